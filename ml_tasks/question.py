"""What a question is: one class with every hook that training, scoring and lookback use.

A question is a subclass in `ml_tasks/<name>/run.py`; its only instance is called QUESTION there.
Its tables, columns and bounds are in its contract, `dbt_project/models/scores/<name>.yml`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar, cast

from ml_tasks.evaluation import customer_groups
from ml_tasks.lookback import happened

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import date

    import pandas as pd
    import psycopg

    from ml_tasks.evaluation.bias import BiasFigures
    from ml_tasks.evaluation.customer_groups import Group
    from ml_tasks.features.store import FeatureStore
    from ml_tasks.lookback.happened import Due
    from ml_tasks.trained_model import TrainedModel

Frames = dict[str, "pd.DataFrame"]  # score table -> rows
Parts = Collection[Mapping[str, "pd.DataFrame"]]  # of all shards; may be gone through several times
MONTH, WEEK = "month", "week"


class Question:
    """Base of all questions. Only what says so must be overridden.

    Attributes:
        name: Folder, contract, table and DAGs are called so. Must be set.
        contest: Figures of the report that decide between two models -> `contest.LOWER` or
            `contest.HIGHER` is better. Must be set.
        baselines: Names of the simple methods in the report's cuts. Must be set.
        bias: Where the report has what was predicted in all and what came; None: nowhere.
        trained_each: How often there is something new to learn, MONTH or WEEK.
        horizons_days: Horizons that past scores are compared on with what happened, days; empty:
            past scores are not compared.
        tested_days: The horizon whose figures the report has.
        headline: The figure that stands for the question where nothing can be compared.
    """

    name: ClassVar[str]
    contest: ClassVar[Mapping[str, str]]
    baselines: ClassVar[Collection[str]]
    bias: ClassVar[BiasFigures | None] = None
    trained_each: ClassVar[str] = MONTH
    horizons_days: ClassVar[tuple[int, ...]] = ()
    tested_days: ClassVar[int | None] = None
    headline: ClassVar[str] = ""

    def train(self, training_date: date, store: FeatureStore, seed: int) -> TrainedModel:
        """Fit on what was known by a date, and evaluate out of time. Must be overridden."""
        raise NotImplementedError

    def score_shard(self, as_of_date: date, model: TrainedModel, store: FeatureStore) -> Frames:
        """Rows of each score table, of the entities that the store holds. Must be overridden.

        Rows must not depend on which other entities the store holds: see `joined`.
        """
        raise NotImplementedError

    def joined(
        self, parts: Parts, as_of_date: date, model: TrainedModel, store: FeatureStore
    ) -> Iterator[Frames]:
        """The rows of all shards, one by one, with what depends on all of them (ranks, totals).

        Args:
            parts: Of `score_shard`, one per shard.
            as_of_date: The scored date.
            model: What scored.
            store: Reads everybody.
        """
        del as_of_date, model, store
        return (dict(part) for part in parts)

    def score(self, as_of_date: date, model: TrainedModel, store: FeatureStore) -> Frames:
        """All rows of a date in one piece."""
        part = self.score_shard(as_of_date, model, store)
        return next(self.joined([part], as_of_date, model, store))

    def reads(self, model: TrainedModel) -> bool:
        """Whether this code can score with a stored model; else it is trained again."""
        del model
        return True

    def inputs(self, as_of_date: date, store: FeatureStore) -> pd.DataFrame:
        """What the model reads on a date, a row per entity: drift is measured on it."""
        return store.snapshot(as_of_date)

    def past_inputs(
        self, training_date: date, months: Iterable[date], store: FeatureStore
    ) -> Iterator[pd.DataFrame]:
        """The inputs on past dates, as known on the training date, one at a time."""
        del training_date
        return (store.snapshot(month) for month in months)

    def horizon_begins(self, scored_date: date) -> date:
        """First day of every horizon of a scored date."""
        return scored_date

    def figures(self, rows: pd.DataFrame, horizon_days: int) -> dict[str, float]:
        """How good past scores of customers were. Must be overridden if `horizons_days` is set.

        Args:
            rows: Of `happened.customers`.
            horizon_days: One of `horizons_days`.
        """
        raise NotImplementedError

    def compared(self, connection: psycopg.Connection[Any], due: Due) -> list[Group]:
        """Figures of past scores, of all entities and by group, once a horizon has passed."""
        told = partial(self.figures, horizon_days=due.horizon_days)
        return customer_groups.by_group(happened.customers(connection, due), told)


def load(name: str) -> Question:
    """The question of a folder.

    Raises:
        ModuleNotFoundError: If there is no `ml_tasks/<name>/run.py`.
    """
    return cast(Question, import_module(f"ml_tasks.{name}.run").QUESTION)
