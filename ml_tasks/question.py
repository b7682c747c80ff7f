"""What a question is: one class with every hook that training, scoring and lookback use.

A question is a subclass in `ml_tasks/<name>/run.py`; its only instance is called QUESTION there.
Its kind, tables, columns, bounds and horizons are in its contract,
`dbt_project/models/scores/<name>.yml`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar, cast

from ml_tasks.evaluation import customer_groups
from ml_tasks.lookback import happened
from ml_tasks.trained_model import TrainedModel
from perennial import contracts

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import date

    import pandas as pd
    import psycopg

    from ml_tasks.evaluation.bias import BiasFigures
    from ml_tasks.evaluation.customer_groups import Group
    from ml_tasks.features.store import FeatureStore
    from ml_tasks.lookback.happened import Due
    from perennial.contracts import Contract

Frames = dict[str, "pd.DataFrame"]  # score table -> rows
Parts = Collection[Mapping[str, "pd.DataFrame"]]  # of all shards; may be gone through several times


class Question:
    """Base of all questions. Only what says so must be overridden.

    Which hooks are called depends on the kind that the contract names:

    - predicts: `train`, `score_shard`, and `figures` once a horizon has passed;
    - describes: `train`, `matched`, `score_shard`;
    - rules: `rules`, `score_shard`.

    Attributes:
        name: Folder, contract, table and DAGs are called so. Must be set.
        contest: Figures of the report that decide between two models -> `contest.LOWER` or
            `contest.HIGHER` is better. Must be set where there is training.
        baselines: Names of the simple methods in the report's cuts.
        bias: Where the report has what was predicted in all and what came; None: nowhere.
        tested_days: The horizon whose figures the report has.
        headline: The figure that stands for the question where nothing can be compared.
        features: Feature table that the model reads, a row per entity: drift is measured on it.
    """

    name: ClassVar[str]
    contest: ClassVar[Mapping[str, str]] = {}
    baselines: ClassVar[Collection[str]] = ()
    bias: ClassVar[BiasFigures | None] = None
    tested_days: ClassVar[int | None] = None
    headline: ClassVar[str] = ""
    features: ClassVar[str] = "customer_snapshots"

    @property
    def contract(self) -> Contract:
        """Its contract."""
        return contracts.load(self.name)

    def train(self, training_date: date, store: FeatureStore, seed: int) -> TrainedModel:
        """Fit on what was known by a date, and evaluate out of time. Must be overridden.

        Not called of a question that has rules.
        """
        raise NotImplementedError

    def rules(self) -> Mapping[str, Any]:
        """The rules as JSON, `version` among them: a text that changes whenever they do.

        Must be overridden by a question that has rules, and is called of no other.
        """
        raise NotImplementedError

    def matched(self, model: TrainedModel, previous: TrainedModel) -> TrainedModel:
        """A newly trained model whose parts have the names of the same parts of the previous one.

        Called of a question that describes, so that what it names stays what it was: segment 3 is
        the same kind of customers next month.
        """
        del previous
        return model

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
        if self.features == Question.features:
            return store.snapshot(as_of_date)
        return store.features(self.features, as_of_date)

    def past_inputs(
        self, training_date: date, months: Iterable[date], store: FeatureStore
    ) -> Iterator[pd.DataFrame]:
        """The inputs on past dates, as known on the training date, one at a time."""
        del training_date
        return (self.inputs(month, store) for month in months)

    def horizon_begins(self, scored_date: date) -> date:
        """First day of every horizon of a scored date."""
        return scored_date

    def figures(self, rows: pd.DataFrame, horizon_days: int) -> dict[str, float]:
        """How good past scores of customers were. Must be overridden where they are looked back on.

        Args:
            rows: Of `happened.customers`.
            horizon_days: One of the contract's `horizons_days`.
        """
        raise NotImplementedError

    def compared(self, connection: psycopg.Connection[Any], due: Due) -> list[Group]:
        """Figures of past scores, of all entities and by group, once a horizon has passed."""
        told = partial(self.figures, horizon_days=due.horizon_days)
        return customer_groups.by_group(happened.customers(connection, due), told)

    def ruled(self, as_of_date: date) -> TrainedModel:
        """What scores where nothing is trained: the rules, as of the scored date."""
        rules = dict(self.rules())
        return TrainedModel(contracts.RULES, as_of_date, rules, version=str(rules["version"]))


def load(name: str) -> Question:
    """The question of a folder.

    Raises:
        ModuleNotFoundError: If there is no `ml_tasks/<name>/run.py`.
    """
    return cast(Question, import_module(f"ml_tasks.{name}.run").QUESTION)
