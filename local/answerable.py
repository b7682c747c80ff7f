"""What a shop's marts come to, and which questions can be answered from them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

import psycopg

from expectations.reconciliation import as_table, reconciliation
from perennial import shop
from perennial.settings import Settings
from perennial.text import plain
from perennial.warehouse import connect

# The grid of past dates that models learn from is the firsts of months: who was known then, and
# what they did in the days after it, as far as it is known by the day after the newest order.
_LEARNT_FROM = """
    with grid as (
        select day::date as day
        from (
            select min(ordered_date) as first_date, max(ordered_date) as last_date
            from marts.fct_orders
        ) as span, generate_series(
            date_trunc('month', first_date) + interval '1 month',
            (last_date + 1 - %(horizon)s)::timestamp,
            interval '1 month'
        ) as day
    ),

    known as (
        select customer_id, min(ordered_date) as first_date
        from marts.fct_orders where customer_id is not null group by customer_id
    ),

    followed as (
        select
            grid.day,
            known.customer_id,
            exists (
                select from marts.fct_orders as orders
                where orders.customer_id = known.customer_id
                    and orders.ordered_date >= grid.day
                    and orders.ordered_date < grid.day + %(horizon)s
            ) as has_ordered
        from grid join known on known.first_date < grid.day
    )

    select count(*) filter (where has_ordered), count(*) filter (where not has_ordered)
    from followed
"""


@dataclass(frozen=True)
class Summary:
    """What the marts hold. Amounts in the shop's currency, days shop-local; none without orders."""

    count_orders: int
    count_customers: int
    count_guest_orders: int
    product_amount: Decimal
    charge_amount: Decimal
    refund_amount: Decimal
    first_date: date | None
    last_date: date | None
    count_repeat_orders: int
    count_weeks: int
    count_followed: int
    count_not_followed: int


@dataclass(frozen=True)
class Answer:
    """Whether a question can be answered, and of what that was told."""

    question: str
    is_answered: bool
    why: str


def summary(settings: Settings) -> Summary:
    """Read the marts."""
    from ml_tasks.customers.known import HORIZON_DAYS

    with connect(settings, "transformer") as connection:
        orders = _row(
            connection,
            "select count(*), count(distinct customer_id), count(*) filter (where is_guest),"
            " coalesce(sum(product_amount), 0), coalesce(sum(charge_amount), 0),"
            " (select coalesce(sum(refund_amount), 0) from marts.fct_refunds),"
            " min(ordered_date), max(ordered_date),"
            " count(customer_id) - count(distinct customer_id),"
            " coalesce((date_trunc('week', max(ordered_date)::timestamp)::date"
            "  - date_trunc('week', min(ordered_date)::timestamp)::date) / 7, 0)"
            " from marts.fct_orders",
        )
        followed = _row(connection, _LEARNT_FROM, {"horizon": HORIZON_DAYS})
    return Summary(*orders, *followed)


def answers(found: Summary) -> list[Answer]:
    """Which questions have enough to go by, each by its own bound."""
    from ml_tasks.clv.outcomes import HORIZON_DAYS, MIN_ROWS_WITH_SPEND
    from ml_tasks.customers.learnable import MIN_ROWS_OF_A_KIND
    from ml_tasks.demand.eligibility import MIN_WEEKS_TO_TEST
    from ml_tasks.demand.evaluate import MIN_WEEKS
    from ml_tasks.survival.recency import MIN_EVENTS, MIN_FOLLOW_UP_DAYS

    days = 0
    if found.first_date and found.last_date:
        days = (found.last_date - found.first_date).days + 1
    kinds = (
        f"past customers who ordered in the {HORIZON_DAYS} days after the first of a month: "
        f"{found.count_followed:,}, who did not: {found.count_not_followed:,}"
    )
    learnable = min(found.count_followed, found.count_not_followed)
    repeats = f"{found.count_repeat_orders:,} further orders in {days:,} days"
    weeks = f"{found.count_weeks:,} whole weeks of sales"
    return [
        Answer(
            "churn", learnable >= MIN_ROWS_OF_A_KIND, f"{kinds} (needed: {MIN_ROWS_OF_A_KIND} each)"
        ),
        Answer(
            "clv",
            found.count_customers > 0 and days >= HORIZON_DAYS,
            f"{days:,} days of orders (needed: {HORIZON_DAYS}); a model of its own "
            + (
                "is trained"
                if found.count_followed >= MIN_ROWS_WITH_SPEND and found.count_not_followed
                else f"needs {MIN_ROWS_WITH_SPEND} who ordered again"
            ),
        ),
        Answer(
            "survival",
            days >= MIN_FOLLOW_UP_DAYS and found.count_repeat_orders >= MIN_EVENTS,
            f"{repeats} (needed: {MIN_EVENTS} orders, {MIN_FOLLOW_UP_DAYS} days)",
        ),
        Answer(
            "demand",
            found.count_weeks >= MIN_WEEKS,
            f"{weeks} (needed: {MIN_WEEKS}; {MIN_WEEKS_TO_TEST} until models are tested and used)",
        ),
    ]


def lines(settings: Settings, found: Summary) -> Iterator[str]:
    """The whole in words, for a terminal."""
    mine = shop.own(settings)
    guests = "a guest" if found.count_guest_orders == 1 else "guests"
    yield ""
    if not found.count_orders:
        yield "Your files give no order."
    else:
        yield (
            f"Your files give {_count(found.count_orders, 'order')} of "
            f"{_count(found.count_customers, 'customer')} "
            f"({found.count_guest_orders:,} of {guests}), "
            f"revenue {found.product_amount:,.2f} {mine.currency} "
            f"(charges beside it {found.charge_amount:,.2f}, refunds {found.refund_amount:,.2f}) "
            f"in zone {mine.time_zone}, "
            f"from {found.first_date} to {found.last_date}."
        )
    yield from dropped(settings)
    yield ""
    yield "Questions that can be answered as of the day after:"
    for answer in answers(found):
        yield f"  {answer.question:<9} {'yes' if answer.is_answered else 'no ':<4} {answer.why}"


def dropped(settings: Settings) -> Iterator[str]:
    """A line a reason why rows count nowhere, then where all the rest went; money as sent."""
    with connect(settings, "transformer") as connection:
        rejected = connection.execute(
            "select rejected_reason, count(*), coalesce(sum(abs(sent_amount)), 0)"
            " from intermediate.int_rejected_rows group by 1 order by 2 desc, 1"
        ).fetchall()
    total = sum(count for _, count, _ in rejected)
    yield f"Dropped: {total:,} rows{':' if total else '.'}"
    for reason, count, amount in rejected:
        yield f"  {count:>9,} rows, {amount:>14,.2f}: {plain(reason)}"
    yield ""
    yield "Where the orders and the money went (money without sign):"
    for line in as_table(reconciliation(settings)):
        yield f"  {line}"


def _count(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _row(
    connection: psycopg.Connection[Any], query: str, params: dict[str, Any] | None = None
) -> tuple[Any, ...]:
    row = connection.execute(query, params).fetchone()
    assert row is not None
    return row
