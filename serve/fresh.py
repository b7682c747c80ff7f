"""Score one customer now, from the marts as they are.

The features come from the SQL of features.customer_snapshots itself, restricted to one customer,
and the scores from the questions' own `score_shard` with the model that published: there is no
second way to compute either. Orders that were landed and built since the publication count.
"""

from __future__ import annotations

import re
import threading
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from psycopg import sql

from ml_tasks import question as questions
from ml_tasks.engine.contract_check import converted
from ml_tasks.features import reading
from ml_tasks.features.store import FeatureStore
from ml_tasks.models import registry
from ml_tasks.trained_model import TrainedModel
from perennial import contracts
from perennial.dbt import compiled
from perennial.warehouse import connect
from serve.published_copy import UnknownError

if TYPE_CHECKING:
    import pandas as pd
    import psycopg

    from perennial.settings import Settings

# Questions whose `score_shard` reads nothing but snapshots of its customers.
QUESTIONS = ("churn", "clv", "survival")
SNAPSHOTS = "customer_snapshots"
# intermediate.int_snapshot_dates, as if the date were the scored one.
DATES = (
    "(select %(as_of_date)s::date as as_of_date, false as is_grid_date, true as is_scored_date,"
    " false as is_training_date, true as is_past, true as is_whole,"
    " null::integer as sample_buckets)"
)
OWN_DAYS = "(select * from {table} where customer_id = %(customer_id)s)"


class NoSuchDayError(ValueError):
    """A day that no honest score can be computed for; the message names those that can."""


def query_of_one(snapshots_sql: str) -> str:
    """The features' query restricted to one customer and date.

    Args:
        snapshots_sql: Compiled SQL of features.customer_snapshots, of a first build.

    Returns:
        The query with the parameters `customer_id` and `as_of_date`.

    Raises:
        ValueError: If the SQL reads another relation than days and dates of customers.
    """
    text = snapshots_sql.replace("%", "%%")
    relation = re.compile(r'"[^"]+"\."(\w+)"\."(\w+)"(\s+as\b)?')

    def restricted(found: re.Match[str]) -> str:
        table = found.group(2)
        if table not in ("int_customer_days", "int_snapshot_dates"):
            raise ValueError(f"{SNAPSHOTS} reads {table}, which is not restricted to a customer")
        plain = found.group(0).removesuffix(found.group(3) or "")
        body = DATES if table == "int_snapshot_dates" else OWN_DAYS.format(table=plain)
        return body + (found.group(3) or f" as {table}")

    return relation.sub(restricted, text)


class FreshStore(FeatureStore):
    """A store whose snapshots are one customer's, computed now.

    Args:
        connection: Role scorer.
        query: See `query_of_one`.
        customer_id: The customer.
    """

    def __init__(
        self, connection: psycopg.Connection[Any], query: sql.SQL, customer_id: str
    ) -> None:
        super().__init__(connection)
        self.query, self.customer_id = query, customer_id
        days = "select min(day_date) filter (where count_orders > 0), max(day_date)"
        ((self.first_day, self.last_day),) = connection.execute(
            days + " from intermediate.int_customer_days"
        ).fetchall()

    def snapshot(self, as_of_date: date) -> pd.DataFrame:
        """The customer's row of features.customer_snapshots, with `days_watched`.

        Empty if the customer had no order before the date.
        """
        if not self._is_last("snapshot", as_of_date):
            known = {"customer_id": self.customer_id, "as_of_date": as_of_date}
            frame = reading.read(self.connection, self.query.format(), known)
            watched = frame.assign(days_watched=(as_of_date - self.first_day).days)
            self._last["snapshot"] = as_of_date, watched.drop(columns="is_in_sample")
        return self._last["snapshot"][1]


class FreshScores:
    """Scores single customers. Models are read once, and again after a publication.

    Args:
        settings: Settings of the home.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._query = ""
        self._models: dict[tuple[str, date, str], TrainedModel] = {}
        self._lock = threading.Lock()

    def query(self) -> sql.SQL:
        """The features' query of one customer, compiled once.

        Raises:
            DbtError: If the project can't be compiled, as while the warehouse is away.
        """
        with self._lock:
            if not self._query:
                text = compiled(self.settings, SNAPSHOTS, {"of_one_customer": True})
                self._query = query_of_one(text)
            return sql.SQL(self._query)

    def scores(self, customer_id: str, as_of_date: date | None = None) -> dict[str, Any]:
        """Scores of a customer by question, with the models of the newest publication.

        Args:
            customer_id: The customer.
            as_of_date: Orders before this day count. None: the newest date that all questions
                have published.

        Raises:
            UnknownError: If the customer had no order before the date, or nothing was published.
            NoSuchDayError: If the models know of that day already, or the warehouse does not yet.
        """
        if "\0" in customer_id:  # Postgres has no such text
            raise UnknownError("no customer has a NUL in the id")
        with connect(self.settings, "scorer") as connection:
            connection.execute("set transaction isolation level repeatable read read only")
            published, models = self._published(connection)
            store = FreshStore(connection, self.query(), customer_id)
            day = as_of_date or published
            first = max(model.training_date for model in models.values())
            last = max(published, store.last_day + timedelta(days=1))
            if not first <= day <= last:
                raise NoSuchDayError(f"as_of_date={day}: choose a day from {first} to {last}")
            if store.snapshot(day).empty:
                raise UnknownError(f"{customer_id} had no order before {day}")
            answer: dict[str, Any] = {"customer_id": customer_id, "as_of_date": str(day)}
            for name, model in models.items():
                frames = questions.load(name).score_shard(day, model, store)
                rows = converted(frames[name], contracts.load(name).table(name))
                answer[name] = {**rows.to_pylist()[0], "model_version": model.model_version}
        return answer

    def _published(
        self, connection: psycopg.Connection[Any]
    ) -> tuple[date, dict[str, TrainedModel]]:
        """The newest date that all questions have published, and the model of each."""
        rows = connection.execute(
            "select as_of_date, question, training_date, model_version from ops.publications"
            " where question = any(%(questions)s) and as_of_date = ("
            " select as_of_date from ops.publications where question = any(%(questions)s)"
            " group by as_of_date having count(*) = %(count)s order by as_of_date desc limit 1)",
            {"questions": list(QUESTIONS), "count": len(QUESTIONS)},
        ).fetchall()
        if not rows:
            raise UnknownError(f"no date has scores of {', '.join(QUESTIONS)}: run `make run`")
        with self._lock:
            keys = {question: (question, *version) for _, question, *version in rows}
            self._models = {key: self._model(key) for key in keys.values()}
            return rows[0][0], {name: self._models[keys[name]] for name in QUESTIONS}

    def _model(self, key: tuple[str, date, str]) -> TrainedModel:
        model = self._models.get(key) or registry.find(self.settings, *key)
        if model is None:
            raise UnknownError(f"the model {key[2]} of {key[0]} is gone")
        return model
