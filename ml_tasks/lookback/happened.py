"""Past scores and what happened within their horizon, read from the warehouse.

Days after the horizon are not read, even if they are known.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Protocol

from psycopg import sql

from ml_tasks.features.store import FeatureStore
from perennial.contracts import LOOKBACK, load

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    import psycopg

    from perennial.contracts import Contract


@dataclass(frozen=True)
class Due:
    """The valid scores of a past date, and one of their horizons, which has passed.

    Attributes:
        question: Name of the question.
        scored_date: The as_of_date of the scores.
        horizon_days: Length of the horizon, days.
        begins_on: First day of the horizon.
        publication_id: The valid publication of the date.
        model_name: Name of the model that scored.
        model_version: Version of that model.
        training_date: Training date of that model.
    """

    question: str
    scored_date: date
    horizon_days: int
    begins_on: date
    publication_id: int
    model_name: str
    model_version: str
    training_date: date

    @property
    def known_on_date(self) -> date:
        """The first day after the horizon."""
        return self.begins_on + timedelta(days=self.horizon_days)


class LookedBackOn(Protocol):
    """The part of `question.Question` that describes horizons."""

    @property
    def contract(self) -> Contract:
        """The question's contract, with the lengths of the horizons."""

    def horizon_begins(self, scored_date: date) -> date:
        """First day of every horizon of a scored date."""


def due(
    connection: psycopg.Connection[Any], as_of_date: date, questions: Mapping[str, LookedBackOn]
) -> list[Due]:
    """Horizons that had passed by a date and that no earlier lookback has compared.

    Args:
        connection: Role scorer.
        as_of_date: Nothing of this day or later is known.
        questions: Name -> question, for those with lookback.
    """
    publications = connection.execute(
        "select question, as_of_date, publication_id, model_name, model_version, training_date"
        " from ops.publications where as_of_date < %s and question <> %s"
        " order by question, as_of_date",
        [as_of_date, LOOKBACK],
    ).fetchall()
    compared = set(
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
        Due(name, scored_date, days, questions[name].horizon_begins(scored_date), *publication)
        for name, scored_date, *publication in publications
        if name in questions
        for days in questions[name].contract.horizons_days
        if (name, scored_date, days) not in compared
    ]
    return [one for one in passed if one.known_on_date <= as_of_date]


def customers(connection: psycopg.Connection[Any], one: Due) -> pd.DataFrame:
    """Scored customers, with their orders from the scored date to the end of the horizon.

    Returns:
        One row per customer_id, ordered by it: the numbers of the score table; country,
        days_since_first_order and count_order_days as known on the scored date; `happened_orders`;
        `happened_spend_amount` (shop currency, at least 0); `happened_days` to the first order (1
        for an order on the scored date, NaN without an order).
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
    ).format(columns=_columns(one.question), scores=score_table(one.question))
    return FeatureStore(connection).read(query, params(one))


def params(one: Due) -> dict[str, Any]:
    """Bind parameters `scored_date`, `known_on_date` and `publication_id`."""
    return {
        "scored_date": one.scored_date,
        "known_on_date": one.known_on_date,
        "publication_id": one.publication_id,
    }


def score_table(question: str) -> sql.Identifier:
    """The score table with the question's name."""
    return sql.Identifier("scores", question)


def _columns(question: str) -> sql.Composed:
    """Customer id and predicted numbers of a score table, from its contract."""
    table = load(question).table(question)
    names = [
        column.name
        for column in table.question_columns
        if column.name == "customer_id" or (column.is_number and not column.is_fact)
    ]
    return sql.SQL(", ").join(sql.Identifier("scores", name) for name in names)
