"""Gate in front of the models: the features of one date, after the build and before any score."""

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
# A sample of customers may be so many standard deviations smaller than it is meant to be.
SAMPLE_DEVIATIONS = 7
# Older than this, the newest order before the date makes one ask whether a file is missing.
FRESH_DAYS = 7


@dataclass(frozen=True)
class Asked:
    """Which rows of a feature model are checked.

    Attributes:
        kind: SCORED_DATE, TRAINING_DATE or GRID_DATE.
        day: Their as_of_date.
        scored_date: The date that is scored.
        sample_of: About so many customers may stand for more on a date that is only learnt from.
    """

    kind: str
    day: date
    scored_date: date
    sample_of: int


def gate_features(settings: Settings, as_of_date: date, run_id: str) -> dict[str, Any]:
    """Check every feature model before a date is scored, as scorer.

    Columns, keys, nulls and bounds follow from the models' properties
    (`dbt_project/models/features/*.yml`); rules across rows and columns are in ACROSS.

    Returns:
        JSON-able: gate, rule_count, warnings.

    Raises:
        expectations.results.GateFailed: If no model should read the features.
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
        if not there.issuperset(model.needs):  # it is not built for this form of shop
            continue
        for kind in model.gated_on:
            day = dates[kind]
            if day is None:  # no window has ended yet, so nothing can be learnt
                continue
            if kind != SCORED_DATE and day == as_of_date and SCORED_DATE in model.gated_on:
                continue  # the same rows
            asked = Asked(kind, day, as_of_date, settings.training_customers)
            across = ACROSS[model.name](asked) if model.name in ACROSS else []
            may_be_empty = bool(model.needs) or (kind == TRAINING_DATE and grid_date is None)
            checks.append(_check(model, day, [*column_rules(model), *across], may_be_empty))
    summary = run_gate(settings, "scorer", "features", checks, as_of_date=as_of_date, run_id=run_id)
    return asdict(summary)


def column_rules(model: FeatureModel) -> list[Rule]:
    """What a model's properties say of its key and of each column."""
    found = [rules.unique(*model.key)]
    for column in model.columns:
        if column.is_required and column.name != AS_OF_DATE:
            found.append(rules.not_null(column.name))
        if column.minimum is not None or column.maximum is not None:
            found.append(rules.between(column.name, column.minimum, column.maximum))
    return found


def snapshots_across(asked: Asked) -> list[Rule]:
    """Rules across rows and columns of features.customer_snapshots."""
    is_scored = asked.kind == SCORED_DATE
    known_customers = sql.SQL(
        "select 1 from (select count(*) as customers from {batch}) as given,"
        # not count(distinct), which sorts all orders in one process
        " (select count(*) as customers from ("
        "  select from marts.fct_orders where not is_guest and ordered_date < {as_of_date}"
        "  group by customer_id) as ids) as known"
        " where given.customers <> known.customers and not {is_sample}"
    ).format(
        batch=BATCH,
        as_of_date=sql.Literal(asked.day),
        is_sample=sql.SQL("false") if is_scored else _is_sample(asked.sample_of),
    )
    nested = [*(f"count_orders_{days}d" for days in WINDOWS_DAYS), "count_orders"]
    found = [
        # stop the run: the model would be wrong
        rules.no_rows(
            known_customers,
            "as many customers as ordered before the date"
            + ("" if is_scored else f", or a sample of {asked.sample_of:,}"),
        ),
        rules.at_least("days_since_first_order", "days_since_last_order"),
        *(rules.at_least(longer, shorter) for shorter, longer in pairwise(nested)),
        rules.at_least("count_orders", "count_order_days"),
    ]
    if is_scored:  # warn: the scores may be stale
        found.append(rules.smallest_at_most("days_since_last_order", FRESH_DAYS, severity=WARNING))
    return found


def _is_sample(customers: int) -> sql.Composed:
    """Whether more are known than a sample holds, and enough of them are given."""
    least = customers - SAMPLE_DEVIATIONS * math.sqrt(customers)
    return sql.SQL("(known.customers > {customers} and given.customers >= {least})").format(
        customers=sql.Literal(customers), least=sql.Literal(math.floor(least))
    )


def outcomes_across(asked: Asked) -> list[Rule]:
    """Rules of features.customer_outcomes of one grid date; later runs may have added more."""
    shortest_window = sql.SQL(
        "select 1 from {batch} where horizon_days = {days}"
        " having count(*) = 0 or max(known_on_date) > {as_of_date}"
    ).format(
        batch=BATCH,
        days=sql.Literal(min(HORIZONS_DAYS)),
        as_of_date=sql.Literal(asked.scored_date),
    )
    return [
        # stop the run: the model would learn from what was not known
        rules.in_set("horizon_days", HORIZONS_DAYS),
        rules.no_rows(
            "select 1 from {batch} where known_on_date is distinct from as_of_date + horizon_days",
            "known_on_date is as_of_date + horizon_days",
        ),
        rules.no_rows(
            shortest_window,
            "the shortest window's outcome is there, and was known by the date",
        ),
    ]


def next_orders_across(asked: Asked) -> list[Rule]:
    """Rules of features.customer_next_orders of one training date."""
    del asked
    return [
        # stop the run: the curves would see the future
        rules.no_rows(
            "select 1 from {batch} where duration_days is null or duration_days < 0"
            " or snapshot_date + duration_days > as_of_date - is_ordered::integer"
            " or (not is_ordered and snapshot_date + duration_days <> as_of_date)",
            "an order came before as_of_date, and who has none was watched until then",
        ),
    ]


def product_weeks_across(asked: Asked) -> list[Rule]:
    """Rules across the weeks of features.product_weeks."""
    as_of_date = asked.day
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
            no_gap, "each product has every week from its first to the last that is complete"
        ),
    ]


def shop_days_across(asked: Asked) -> list[Rule]:
    """Rules across the columns of features.shop_days."""
    del asked
    return [
        rules.at_least("count_customers", "count_new_customers"),
        rules.no_rows(
            "select 1 from {batch} where day_date >= as_of_date", "every day is before the date"
        ),
    ]


# Rules that no property of a single column can say, by model.
ACROSS: dict[str, Callable[[Asked], list[Rule]]] = {
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
