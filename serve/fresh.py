"""Score one customer now, from the marts as they are.

The features come from the SQL of features.customer_snapshots itself, restricted to one customer,
and the scores from the questions' own `score_shard` with the model that published: there is no
second way to compute either. Orders that were landed and built since the publication count.
"""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

from psycopg import sql

from ml_tasks import question as questions
from ml_tasks.engine.contract_check import converted
from ml_tasks.features import reading
from ml_tasks.features.shards import Shard
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

# Questions whose `score_shard` reads nothing but the snapshots of its customers.
QUESTIONS = ("churn", "clv", "survival")
SNAPSHOTS = "customer_snapshots"
# intermediate.int_snapshot_dates, as if the date were the scored one.
DATES = (
    "(select %(as_of_date)s::date as as_of_date, false as is_grid_date, true as is_scored_date,"
    " false as is_training_date, true as is_past, true as is_whole,"
    " null::integer as sample_buckets)"
)
OWN_DAYS = "(select * from {table} where customer_id = %(customer_id)s)"


@dataclass(frozen=True)
class Published:
    """What a question's newest publication was made with.

    Attributes:
        as_of_date: Its date.
        model: Its model.
    """

    as_of_date: date
    model: TrainedModel


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
    """A store whose snapshot is one customer's, computed now.

    Args:
        connection: Role scorer.
        snapshot: The customer's row of features.customer_snapshots, with `days_watched`.
    """

    def __init__(self, connection: psycopg.Connection[Any], snapshot: pd.DataFrame) -> None:
        super().__init__(connection, shard=Shard(0, 2))  # a row must not depend on other customers
        self._fresh = snapshot

    def snapshot(self, as_of_date: date) -> pd.DataFrame:
        """The customer's row; the date's other customers are not read."""
        del as_of_date
        return self._fresh


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
        """Scores of a customer by question, of a date; empty: the newest that was published.

        Raises:
            UnknownError: If the customer had no order before the date, or nothing was published.
        """
        with connect(self.settings, "scorer") as connection:
            connection.execute("set transaction isolation level repeatable read read only")
            published = {name: self._published(connection, name) for name in QUESTIONS}
            day = as_of_date or min(one.as_of_date for one in published.values())
            store = FreshStore(connection, self.snapshot(connection, customer_id, day))
            answer: dict[str, Any] = {"customer_id": customer_id, "as_of_date": str(day)}
            for name, one in published.items():
                frames = questions.load(name).score_shard(day, one.model, store)
                rows = converted(frames[name], contracts.load(name).table(name))
                answer[name] = {**rows.to_pylist()[0], "model_version": one.model.model_version}
        return answer

    def snapshot(
        self, connection: psycopg.Connection[Any], customer_id: str, day: date
    ) -> pd.DataFrame:
        """The customer's row of features.customer_snapshots for a day, with `days_watched`.

        Raises:
            UnknownError: If the customer had no order before the day.
        """
        known = {"customer_id": customer_id, "as_of_date": day}
        frame = reading.read(connection, self.query().format(), known)
        if frame.empty:
            raise UnknownError(f"{customer_id} had no order before {day}")
        query = "select min(day_date) from intermediate.int_customer_days where count_orders > 0"
        ((first,),) = connection.execute(query).fetchall()
        watched = frame.assign(days_watched=(day - first).days)
        return watched.drop(columns="is_in_sample")

    def _published(self, connection: psycopg.Connection[Any], question: str) -> Published:
        row = connection.execute(
            "select as_of_date, training_date, model_version from ops.publications"
            " where question = %s order by as_of_date desc limit 1",
            [question],
        ).fetchone()
        if row is None:
            raise UnknownError(f"{question} was never published: run `make run` first")
        as_of_date, training_date, version = row
        key = (question, training_date, version)
        with self._lock:
            if key not in self._models:
                model = registry.find(self.settings, *key)
                if model is None:
                    raise UnknownError(f"the model {version} of {question} is gone")
                self._models = {k: v for k, v in self._models.items() if k[0] != question}
                self._models[key] = model
            return Published(as_of_date, self._models[key])
