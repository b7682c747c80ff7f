"""Gate before scoring: checks the features of one date, after the build and before any score."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from psycopg import sql

from expectations import rules
from expectations.gate import run_gate
from expectations.results import WARNING
from expectations.rules import BATCH, Check, Rule
from perennial import feature_models, sources
from perennial.feature_models import (
    AS_OF_DATE,
    GRID_DATE,
    SCORED_DATE,
    TRAINING_DATE,
    FeatureModel,
)
from perennial.warehouse import connect

if TYPE_CHECKING:
    from perennial.settings import Settings

HORIZONS_DAYS = (90, 365)
WINDOWS_DAYS = (30, 90, 180, 365)
# A sample of customers may be this many standard deviations smaller than intended.
SAMPLE_DEVIATIONS = 7
# If the newest order before the date is older than this, a file may be missing.
FRESH_DAYS = 7


@dataclass(frozen=True)
class CheckedRows:
    """The rows of a feature model that are checked.

    Attributes:
        kind: SCORED_DATE, TRAINING_DATE or GRID_DATE.
        day: The as_of_date of the rows.
        scored_date: The date to be scored.
        sample_of: On a date used for training only, a sample of about this many customers is
            enough.
    """

    kind: str
    day: date
    scored_date: date
    sample_of: int


def gate_features(settings: Settings, as_of_date: date, run_id: str) -> dict[str, Any]:
    """Check every feature model before a date is scored, with the role scorer.

    Columns, keys, nulls and bounds follow from the models' properties
    (`dbt_project/models/features/*.yml`); rules across rows and columns are in ACROSS.

    Returns:
        JSON-able: gate, rule_count, warnings.

    Raises:
        expectations.results.GateFailed: If a critical rule failed; nothing may be scored then.
    """
    grid_date = _newest_known_grid_date(settings, as_of_date)
    dates = {
        SCORED_DATE: as_of_date,
        # training rows: check the newest only; older ones were checked when they were newest
        TRAINING_DATE: as_of_date.replace(day=1),
        GRID_DATE: grid_date,
    }
    checks = []
    there = {table.name for table in sources.load(settings.staging_source).tables}
    for model in feature_models.load():
        if not there.issuperset(model.needs):  # the model is not built for this form of shop
            continue
        for kind in model.gated_on:
            day = dates[kind]
            if day is None:  # no outcome window has ended yet, so there are no training rows
                continue
            if kind != SCORED_DATE and day == as_of_date and SCORED_DATE in model.gated_on:
                continue  # the same rows
            rows = CheckedRows(kind, day, as_of_date, settings.training_customers)
            across = ACROSS[model.name](rows) if model.name in ACROSS else []
            is_early = kind == TRAINING_DATE and grid_date is None
            may_be_empty = model.may_be_empty or bool(model.needs) or is_early
            checks.append(_check(model, day, [*column_rules(model), *across], may_be_empty))
    summary = run_gate(settings, "scorer", "features", checks, as_of_date=as_of_date, run_id=run_id)
    return asdict(summary)


def column_rules(model: FeatureModel) -> list[Rule]:
    """Rules on a model's key and on each column, from the model's properties."""
    result = [rules.unique(*model.key)]
    for column in model.columns:
        if column.is_required and column.name != AS_OF_DATE:
            result.append(rules.not_null(column.name))
        if column.minimum is not None or column.maximum is not None:
            result.append(rules.between(column.name, column.minimum, column.maximum))
    return result


def snapshots_across(rows: CheckedRows) -> list[Rule]:
    """Rules across rows and columns of features.customer_snapshots."""
    is_scored = rows.kind == SCORED_DATE
    known_customers = sql.SQL(
        "select 1 from (select count(*) as customers from {batch}) as given,"
        # not count(distinct), which sorts all orders in one process
        " (select count(*) as customers from ("
        "  select from marts.fct_orders where not is_guest and ordered_date < {as_of_date}"
        "  group by customer_id) as ids) as known"
        " where given.customers <> known.customers and not {is_sample}"
    ).format(
        batch=BATCH,
        as_of_date=sql.Literal(rows.day),
        is_sample=sql.SQL("false") if is_scored else _is_sample(rows.sample_of),
    )
    nested = [*(f"count_orders_{days}d" for days in WINDOWS_DAYS), "count_orders"]
    result = [
        # stop the run: the model would be wrong
        rules.no_rows(
            known_customers,
            "as many customers as ordered before the date"
            + ("" if is_scored else f", or a sample of {rows.sample_of:,}"),
        ),
        rules.at_least("days_since_first_order", "days_since_last_order"),
        *(rules.at_least(longer, shorter) for shorter, longer in pairwise(nested)),
        rules.at_least("count_orders", "count_order_days"),
    ]
    if is_scored:  # warn: the scores may be stale
        result.append(rules.smallest_at_most("days_since_last_order", FRESH_DAYS, severity=WARNING))
    return result


def _is_sample(customers: int) -> sql.Composed:
    """Condition: the shop has more customers than the sample, and the sample is large enough."""
    least = customers - SAMPLE_DEVIATIONS * math.sqrt(customers)
    return sql.SQL("(known.customers > {customers} and given.customers >= {least})").format(
        customers=sql.Literal(customers), least=sql.Literal(math.floor(least))
    )


def outcomes_across(rows: CheckedRows) -> list[Rule]:
    """Rules across columns of features.customer_outcomes; later runs may add longer horizons."""
    shortest_window = sql.SQL(
        "select 1 from {batch} where horizon_days = {days}"
        " having count(*) = 0 or max(known_on_date) > {as_of_date}"
    ).format(
        batch=BATCH,
        days=sql.Literal(min(HORIZONS_DAYS)),
        as_of_date=sql.Literal(rows.scored_date),
    )
    return [
        # stop the run: the model would be trained on outcomes not known yet
        rules.in_set("horizon_days", HORIZONS_DAYS),
        rules.no_rows(
            "select 1 from {batch} where known_on_date is distinct from as_of_date + horizon_days",
            "known_on_date is as_of_date + horizon_days",
        ),
        rules.no_rows(
            shortest_window,
            "outcomes of the shortest window exist, and were known by the date",
        ),
    ]


def next_orders_across(rows: CheckedRows) -> list[Rule]:
    """Rules across columns of features.customer_next_orders."""
    del rows
    return [
        # stop the run: the curves would see the future
        rules.no_rows(
            "select 1 from {batch} where duration_days is null or duration_days < 0"
            " or snapshot_date + duration_days > as_of_date - is_ordered::integer"
            " or (not is_ordered and snapshot_date + duration_days <> as_of_date)",
            "orders are before as_of_date, and customers without one were observed until then",
        ),
    ]


def product_weeks_across(rows: CheckedRows) -> list[Rule]:
    """Rules across the weeks of features.product_weeks."""
    as_of_date = rows.day
    last_week = as_of_date - timedelta(days=7 + (as_of_date - timedelta(days=7)).weekday())
    no_gap = sql.SQL(
        "select 1 from {batch} group by product_id"
        " having count(*) <> (max(week_start_date) - min(week_start_date)) / 7 + 1"
        " or max(week_start_date) <> {last_week}"
    ).format(batch=BATCH, last_week=sql.Literal(last_week))
    return [
        # stop the run: the forecast would be wrong
        rules.no_rows(
            "select 1 from {batch} where extract(isodow from week_start_date) <> 1",
            "weeks begin on Monday",
        ),
        rules.no_rows(
            no_gap, "each product has every week from its first to the last complete one"
        ),
    ]


def shop_days_across(rows: CheckedRows) -> list[Rule]:
    """Rules across the columns of features.shop_days."""
    del rows
    return [
        rules.at_least("count_customers", "count_new_customers"),
        rules.no_rows(
            "select 1 from {batch} where day_date >= as_of_date", "every day is before the date"
        ),
    ]


# Model -> rules that do not follow from the properties of single columns.
ACROSS: dict[str, Callable[[CheckedRows], list[Rule]]] = {
    "customer_snapshots": snapshots_across,
    "customer_outcomes": outcomes_across,
    "customer_next_orders": next_orders_across,
    "product_weeks": product_weeks_across,
    "shop_days": shop_days_across,
}


def _check(model: FeatureModel, day: date, checked: Sequence[Rule], may_be_empty: bool) -> Check:
    rows = sql.SQL("select * from {table} where as_of_date = {day}").format(
        table=sql.Identifier("features", model.name), day=sql.Literal(day)
    )
    return Check(f"features.{model.name}", rows, model.column_names, checked, may_be_empty)


def _newest_known_grid_date(settings: Settings, as_of_date: date) -> date | None:
    """The newest grid date with its shortest outcome window ended by `as_of_date`.

    None if the shop had no orders before that grid date.
    """
    grid_date = (as_of_date - timedelta(days=min(HORIZONS_DAYS))).replace(day=1)
    with connect(settings, "scorer") as connection:
        row = connection.execute(
            "select exists (select from marts.fct_orders where not is_guest and ordered_date < %s)",
            [grid_date],
        ).fetchone()
    return grid_date if row and row[0] else None
