"""Gate in front of the models: the features of one date, after the build and before any score."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from datetime import date, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from psycopg import sql

from expectations.gate import BATCH, WARNING, Check, run_gate, unique
from perennial.warehouse import connect

if TYPE_CHECKING:
    import great_expectations.expectations as gxe

    from perennial.settings import Settings

HORIZONS_DAYS = (90, 365)
WINDOWS_DAYS = (30, 90, 180, 365)
# A sample of customers may be so many standard deviations smaller than it is meant to be.
SAMPLE_DEVIATIONS = 7
# Older than this, the newest order before the date makes one ask whether a file is missing.
FRESH_DAYS = 7

SNAPSHOT_COLUMNS = (
    "as_of_date",
    "customer_id",
    "days_since_first_order",
    "days_since_last_order",
    "count_orders",
    "count_order_days",
    *(f"count_orders_{days}d" for days in WINDOWS_DAYS),
    "net_spend_amount",
    *(f"net_spend_amount_{days}d" for days in WINDOWS_DAYS),
    "count_orders_season_last_year",
    "net_spend_amount_season_last_year",
    "gross_spend_amount",
    "refund_amount",
    "refund_amount_365d",
    "count_refunds",
    "avg_order_amount",
    "max_order_amount",
    "last_order_amount",
    "first_order_amount",
    "avg_days_between_orders",
    "stddev_days_between_orders",
    "count_products",
    "count_units_365d",
    "count_active_months_365d",
    "country",
    "is_in_sample",
)
OUTCOME_COLUMNS = (
    "as_of_date",
    "customer_id",
    "horizon_days",
    "known_on_date",
    "count_orders",
    "net_spend_amount",
)
NEXT_ORDER_COLUMNS = (
    "as_of_date",
    "snapshot_date",
    "customer_id",
    "duration_days",
    "is_ordered",
)
PRODUCT_WEEK_COLUMNS = (
    "as_of_date",
    "product_id",
    "week_start_date",
    "sold_units",
    "sold_amount",
    "avg_unit_price_amount",
    "product_family",
)


def gate_features(settings: Settings, as_of_date: date, run_id: str) -> dict[str, Any]:
    """Ask what the questions read to score a date, as scorer.

    Returns:
        JSON-able: gate, rule_count, warnings.

    Raises:
        expectations.gate.GateFailed: If no model should read it.
    """
    grid_date = _newest_known_grid_date(settings, as_of_date)
    training_date = as_of_date.replace(day=1)
    is_young = grid_date is None  # no window has ended yet, so nothing can be learnt
    checks = [
        # what is scored
        _check("customer_snapshots", as_of_date, SNAPSHOT_COLUMNS, snapshot_suite(as_of_date)),
        _check("product_weeks", as_of_date, PRODUCT_WEEK_COLUMNS, product_week_suite(as_of_date)),
        # what is learnt from: the newest of it, older dates were asked when they were that
        _check(
            "product_weeks",
            training_date,
            PRODUCT_WEEK_COLUMNS,
            product_week_suite(training_date),
            may_be_empty=is_young,
        ),
        _check(
            "customer_next_orders",
            training_date,
            NEXT_ORDER_COLUMNS,
            next_order_suite(),
            may_be_empty=is_young,
        ),
    ]
    if grid_date is not None:
        checks += [
            _check(
                "customer_snapshots",
                grid_date,
                SNAPSHOT_COLUMNS,
                snapshot_suite(grid_date, settings.training_customers),
            ),
            _check("customer_outcomes", grid_date, OUTCOME_COLUMNS, outcome_suite(as_of_date)),
        ]
    summary = run_gate(settings, "scorer", "features", checks, as_of_date=as_of_date, run_id=run_id)
    return asdict(summary)


def snapshot_suite(as_of_date: date, sample_of: int | None = None) -> list[gxe.Expectation]:
    """Rules of features.customer_snapshots on one date.

    Args:
        as_of_date: The date.
        sample_of: About so many customers may stand for more on a date that is only learnt from;
            None of one that is scored.
    """
    import great_expectations.expectations as gxe

    known_customers = sql.SQL(
        "select 1 from (select count(*) as customers from {batch}) as given,"
        # not count(distinct), which sorts all orders in one process
        " (select count(*) as customers from ("
        "  select from marts.fct_orders where not is_guest and ordered_date < {as_of_date}"
        "  group by customer_id) as ids) as known"
        " where given.customers <> known.customers and not {is_sample}"
    ).format(
        batch=BATCH,
        as_of_date=sql.Literal(as_of_date),
        is_sample=sql.SQL("false") if sample_of is None else _is_sample(sample_of),
    )
    nested = [
        *(f"count_orders_{days}d" for days in WINDOWS_DAYS),
        "count_orders",
    ]
    return [
        # stop the run: the model would be wrong
        gxe.ExpectColumnValuesToNotBeNull(column="customer_id"),
        unique("customer_id"),
        gxe.UnexpectedRowsExpectation(
            unexpected_rows_query=known_customers.as_string(),
            description="as many customers as ordered before the date"
            + (f", or a sample of {sample_of:,}" if sample_of else ""),
        ),
        # 0 would be an order on the day itself, which nobody knows yet
        gxe.ExpectColumnValuesToBeBetween(column="days_since_last_order", min_value=1),
        gxe.ExpectColumnValuesToNotBeNull(column="days_since_last_order"),
        _at_least("days_since_first_order", "days_since_last_order"),
        gxe.ExpectColumnValuesToBeBetween(column="count_orders", min_value=1),
        *(_at_least(longer, shorter) for shorter, longer in pairwise(nested)),
        _at_least("count_orders", "count_order_days"),
        *(
            rule
            for column in ("net_spend_amount", "gross_spend_amount", "refund_amount")
            for rule in (
                gxe.ExpectColumnValuesToNotBeNull(column=column),
                gxe.ExpectColumnValuesToBeBetween(column=column, min_value=0),
            )
        ),
        # tell a person: the scores may be stale
        *(
            [
                gxe.ExpectColumnMinToBeBetween(
                    column="days_since_last_order", max_value=FRESH_DAYS, severity=WARNING
                )
            ]
            if sample_of is None
            else []
        ),
    ]


def _is_sample(customers: int) -> sql.Composed:
    """Whether more are known than a sample holds, and enough of them are given."""
    least = customers - SAMPLE_DEVIATIONS * math.sqrt(customers)
    return sql.SQL("(known.customers > {customers} and given.customers >= {least})").format(
        customers=sql.Literal(customers), least=sql.Literal(math.floor(least))
    )


def outcome_suite(as_of_date: date) -> list[gxe.Expectation]:
    """Rules of features.customer_outcomes of one grid date; later runs may have added more."""
    import great_expectations.expectations as gxe

    shortest_window = sql.SQL(
        "select 1 from {batch} where horizon_days = {days}"
        " having count(*) = 0 or max(known_on_date) > {as_of_date}"
    ).format(
        batch=BATCH,
        days=sql.Literal(min(HORIZONS_DAYS)),
        as_of_date=sql.Literal(as_of_date),
    )
    return [
        # stop the run: the model would learn from what was not known
        unique("as_of_date", "customer_id", "horizon_days"),
        gxe.ExpectColumnValuesToBeInSet(column="horizon_days", value_set=list(HORIZONS_DAYS)),
        gxe.UnexpectedRowsExpectation(
            unexpected_rows_query=(
                "select 1 from {batch} where known_on_date is distinct from"
                " as_of_date + horizon_days"
            ),
            description="known_on_date is as_of_date + horizon_days",
        ),
        gxe.UnexpectedRowsExpectation(
            unexpected_rows_query=shortest_window.as_string(),
            description="the shortest window's outcome is there, and was known by the date",
        ),
        *(
            rule
            for column in ("count_orders", "net_spend_amount")
            for rule in (
                gxe.ExpectColumnValuesToNotBeNull(column=column),
                gxe.ExpectColumnValuesToBeBetween(column=column, min_value=0),
            )
        ),
    ]


def next_order_suite() -> list[gxe.Expectation]:
    """Rules of features.customer_next_orders of one training date."""
    import great_expectations.expectations as gxe

    return [
        # stop the run: the curves would see the future
        unique("snapshot_date", "customer_id"),
        gxe.ExpectColumnValuesToNotBeNull(column="is_ordered"),
        gxe.UnexpectedRowsExpectation(
            unexpected_rows_query=(
                "select 1 from {batch} where duration_days is null or duration_days < 0"
                " or snapshot_date + duration_days > as_of_date - is_ordered::integer"
                " or (not is_ordered and snapshot_date + duration_days <> as_of_date)"
            ),
            description="an order came before as_of_date, and who has none was watched until then",
        ),
    ]


def product_week_suite(as_of_date: date) -> list[gxe.Expectation]:
    """Rules of features.product_weeks on one date."""
    import great_expectations.expectations as gxe

    last_week = as_of_date - timedelta(days=7 + (as_of_date - timedelta(days=7)).weekday())
    no_gap = sql.SQL(
        "select 1 from {batch} group by product_id"
        " having count(*) <> (max(week_start_date) - min(week_start_date)) / 7 + 1"
        " or max(week_start_date) <> {last_week}"
    ).format(batch=BATCH, last_week=sql.Literal(last_week))
    return [
        # stop the run: the forecast would be wrong
        unique("product_id", "week_start_date"),
        gxe.UnexpectedRowsExpectation(
            unexpected_rows_query=(
                "select 1 from {batch} where extract(isodow from week_start_date) <> 1"
            ),
            description="weeks begin on Monday",
        ),
        gxe.UnexpectedRowsExpectation(
            unexpected_rows_query=no_gap.as_string(),
            description="each product has every week from its first to the last that is complete",
        ),
        *(
            rule
            for column in ("sold_units", "sold_amount")
            for rule in (
                gxe.ExpectColumnValuesToNotBeNull(column=column),
                gxe.ExpectColumnValuesToBeBetween(column=column, min_value=0),
            )
        ),
    ]


def _at_least(larger: str, smaller: str) -> gxe.Expectation:
    import great_expectations.expectations as gxe

    return gxe.ExpectColumnPairValuesAToBeGreaterThanB(
        column_A=larger, column_B=smaller, or_equal=True
    )


def _check(
    table: str,
    as_of_date: date,
    columns: Sequence[str],
    suite: Sequence[gxe.Expectation],
    may_be_empty: bool = False,
) -> Check:
    rows = sql.SQL("select * from {table} where as_of_date = {as_of_date}").format(
        table=sql.Identifier("features", table), as_of_date=sql.Literal(as_of_date)
    )
    return Check(f"features.{table}", rows, columns, suite, may_be_empty)


def _newest_known_grid_date(settings: Settings, as_of_date: date) -> date | None:
    """The newest training date whose shortest window had ended by `as_of_date`.

    None while the shop is too young for one.
    """
    grid_date = (as_of_date - timedelta(days=min(HORIZONS_DAYS))).replace(day=1)
    with connect(settings, "scorer") as connection:
        row = connection.execute(
            "select exists (select from marts.fct_orders where not is_guest and ordered_date < %s)",
            [grid_date],
        ).fetchone()
    return grid_date if row and row[0] else None
