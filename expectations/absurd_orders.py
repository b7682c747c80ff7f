"""Absurd orders, for example with price times quantity times quantity; on a first load too.

Days are compared with earlier days, and a first load has none. A single order is compared with the
median of all orders on a log scale (perennial/amounts.py). There a mistake of some digits stands
apart from the largest true order, and changes neither median nor spread.
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
# With fewer orders the spread is unknown.
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
    """One finding if any order before a date is larger than believable in this shop, else none.

    Args:
        connection: Connection that may read marts.
        as_of_date: Orders of this day or later are not read.
    """
    ((count, median, deviation),) = connection.execute(USUAL, {"as_of_date": as_of_date})
    if count < MIN_ORDERS:
        return []
    parameters = {"largest": largest_believable(median, deviation), "as_of_date": as_of_date}
    rows = connection.execute(LARGE, parameters).fetchall()
    if not rows:
        return []
    named = "; ".join(
        f"{masked(order_id)} of {day}: {amount:,.2f}" for order_id, day, amount in rows[:MAX_NAMED]
    )
    more = f" and {len(rows) - MAX_NAMED} more" if len(rows) > MAX_NAMED else ""
    text = (
        f"{len(rows)} of {count:,} orders of marts.fct_orders can't be true beside the "
        f"{median:,.2f} that is usual ({named}{more}). Predictions of spend read such "
        "an order as a usual one; totals and past spend keep its amount. If it is a mistake, "
        "land it corrected"
    )
    return [Finding(RULE, WARNING, rows[0][1], text)]
