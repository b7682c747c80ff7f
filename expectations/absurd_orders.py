"""Orders beyond any doubt, on a shop's first load too: price times quantity times quantity.

Days are compared with days before, and a first load has none. A single order can be judged by
itself: beside the median of all orders, on a log scale (perennial/amounts.py), where a mistake of
some digits stands apart from the largest true order, and moves neither median nor spread.
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

from expectations.rejects import masked
from expectations.results import WARNING
from expectations.shop_days import Finding
from perennial.amounts import largest_believable

if TYPE_CHECKING:
    import psycopg

RULE = "amounts"
MAX_NAMED = 3
# Fewer orders show no spread.
MIN_ORDERS = 30
USUAL = """
with amounts as (
    select product_amount::float8 as amount
    from marts.fct_orders
    where product_amount > 0 and ordered_date < %(as_of_date)s
), middle as (
    select percentile_cont(0.5) within group (order by amount) as median from amounts
)
select
    count(*), min(median),
    percentile_cont(0.5) within group (order by abs(ln(amount / median)))
from amounts cross join middle
"""
LARGE = """
select order_id, ordered_date, product_amount
from marts.fct_orders
where product_amount > %(largest)s and ordered_date < %(as_of_date)s
order by product_amount desc, order_id
"""


def absurd_orders(connection: psycopg.Connection[Any], as_of_date: date) -> list[Finding]:
    """A finding, as long as an order before a date is larger than any order of the shop may be.

    Args:
        connection: Reads marts.
        as_of_date: Orders of that day or later are not looked at.
    """
    ((count, median, deviation),) = connection.execute(USUAL, {"as_of_date": as_of_date})
    if count < MIN_ORDERS:
        return []
    asked = {"largest": largest_believable(median, deviation), "as_of_date": as_of_date}
    found = connection.execute(LARGE, asked).fetchall()
    if not found:
        return []
    named = "; ".join(
        f"{masked(order_id)} of {day}: {amount:,.2f}" for order_id, day, amount in found[:MAX_NAMED]
    )
    more = f" and {len(found) - MAX_NAMED} more" if len(found) > MAX_NAMED else ""
    text = (
        f"{len(found)} of {count:,} orders of marts.fct_orders can't be true beside the "
        f"{median:,.2f} that is usual ({named}{more}). Predictions of spend take such "
        "an order as a usual one; sums and what was spent so far do not. If it is a mistake, "
        "land it corrected"
    )
    return [Finding(RULE, WARNING, found[0][1], text)]
