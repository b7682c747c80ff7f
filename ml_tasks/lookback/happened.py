"""Past scores beside what happened after them, read from the warehouse.

Nothing of a day on which the horizon had passed, or later, is read: not even where it is known.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from psycopg import sql

from ml_tasks.demand.panel import HORIZON_WEEKS, first_forecast_week
from ml_tasks.shared.features import FeatureStore
from perennial.contracts import LOOKBACK, load

if TYPE_CHECKING:
    import pandas as pd
    import psycopg

NUMBERS = ("integer", "numeric", "double precision")
DEMAND_DAYS = 7 * HORIZON_WEEKS
# Days after the scored date, by question; demand's begin with its first forecast week.
HORIZONS_DAYS = {
    "churn": (90,),
    "clv": (90, 365),
    "demand": (DEMAND_DAYS,),
    "survival": (30, 60, 90, 180),
}


@dataclass(frozen=True)
class Due:
    """Scores in force of a past date, and a horizon of theirs that has passed.

    Attributes:
        question: Whose.
        scored_date: Their as_of_date.
        horizon_days: Which horizon.
        publication_id: Which rows are in force.
        model_name: Of the model that made them.
        model_version: Of the model that made them.
        training_date: Of the model that made them.
    """

    question: str
    scored_date: date
    horizon_days: int
    publication_id: int
    model_name: str
    model_version: str
    training_date: date

    @property
    def known_on_date(self) -> date:
        """The first day after the horizon."""
        begin = first_forecast_week(self.scored_date) if self.question == "demand" else None
        return (begin or self.scored_date) + timedelta(days=self.horizon_days)


def due(connection: psycopg.Connection[Any], as_of_date: date) -> list[Due]:
    """Horizons that had passed by a date and that no lookback of an earlier date has judged."""
    publications = connection.execute(
        "select question, as_of_date, publication_id, model_name, model_version, training_date"
        " from ops.publications where as_of_date < %s and question <> %s"
        " order by question, as_of_date",
        [as_of_date, LOOKBACK],
    ).fetchall()
    judged = set(
        connection.execute(
            "select distinct lookback.question, lookback.scored_date, lookback.horizon_days"
            " from scores.lookback inner join ops.publications"
            " on publications.question = %s and publications.as_of_date = lookback.as_of_date"
            " and publications.publication_id = lookback.publication_id"
            " where lookback.as_of_date < %s",
            [LOOKBACK, as_of_date],
        ).fetchall()
    )
    passed = [
        Due(question, scored_date, horizon_days, *publication)
        for question, scored_date, *publication in publications
        for horizon_days in HORIZONS_DAYS.get(question, ())
        if (question, scored_date, horizon_days) not in judged
    ]
    return [one for one in passed if one.known_on_date <= as_of_date]


def customers(connection: psycopg.Connection[Any], one: Due) -> pd.DataFrame:
    """Scored customers beside what they did from the scored date to the end of the horizon.

    Returns:
        One row per customer_id, ordered by it: the score table's columns, what was known of the
        customer on the scored date (country, days_since_first_order, count_order_days), and
        `happened_orders`, `happened_spend_amount` (not below 0), `happened_days` to the first
        order, 1 for one on the scored date, NaN if there was none.
    """
    query = sql.SQL(
        "select {columns}, snapshots.country, snapshots.days_since_first_order,"
        " snapshots.count_order_days, coalesce(happened.count_orders, 0) as happened_orders,"
        " greatest(coalesce(happened.net_amount, 0), 0) as happened_spend_amount,"
        " happened.first_order_date - %(scored_date)s + 1 as happened_days"
        " from {scores} as scores"
        " left join features.customer_snapshots as snapshots using (as_of_date, customer_id)"
        " left join (select customer_id, sum(count_orders) as count_orders,"
        "  sum(net_amount) as net_amount,"
        "  min(day_date) filter (where count_orders > 0) as first_order_date"
        "  from intermediate.int_customer_days"
        "  where day_date >= %(scored_date)s and day_date < %(known_on_date)s"
        "  group by customer_id) as happened using (customer_id)"
        " where scores.as_of_date = %(scored_date)s"
        " and scores.publication_id = %(publication_id)s and scores.score_status = 'scored'"
        ' order by scores.customer_id collate "C"'
    ).format(columns=_columns(one.question), scores=_scores(one.question))
    return FeatureStore(connection).read(query, _params(one))


def products(connection: psycopg.Connection[Any], one: Due) -> pd.DataFrame:
    """Forecast weeks of products beside the units that were sold in them.

    Returns:
        One row per product_id and horizon_weeks, ordered by them: week_start_date, the forecast's
        quantiles and mean, and `happened_units`.
    """
    query = sql.SQL(
        "select scores.product_id, scores.week_start_date, scores.horizon_weeks,"
        " scores.demand_units_p10, scores.demand_units_p50, scores.demand_units_p90,"
        " scores.demand_units_mean,"
        " coalesce(demand.sold_units, 0) as happened_units"
        " from {scores} as scores"
        " left join marts.fct_demand_weekly as demand"
        " on scores.product_id = demand.product_id"
        " and scores.week_start_date = demand.week_start_date"
        " and demand.week_start_date < %(known_on_date)s"
        " where scores.as_of_date = %(scored_date)s"
        " and scores.publication_id = %(publication_id)s and scores.score_status = 'scored'"
        ' order by scores.product_id collate "C", scores.horizon_weeks'
    ).format(scores=_scores(one.question))
    return FeatureStore(connection).read(query, _params(one))


def _params(one: Due) -> dict[str, Any]:
    return {
        "scored_date": one.scored_date,
        "known_on_date": one.known_on_date,
        "publication_id": one.publication_id,
    }


def _scores(question: str) -> sql.Identifier:
    return sql.Identifier("scores", question)


def _columns(question: str) -> sql.Composed:
    """The entity and the predicted numbers of a score table, whatever its contract has."""
    table = load(question).table(question)
    names = [
        column.name
        for column in table.question_columns
        if column.name == "customer_id"
        or (column.data_type.startswith(NUMBERS) and not column.is_fact)
    ]
    return sql.SQL(", ").join(sql.Identifier("scores", name) for name in names)
