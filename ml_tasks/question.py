"""The base class of all questions, with every hook that training, scoring and lookback call.

A question is a subclass in `ml_tasks/<name>/run.py`, with one instance named QUESTION. The contract
`dbt_project/models/scores/<name>.yml` holds kind, tables, columns, bounds and horizons.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar, cast

from psycopg import sql

from ml_tasks.evaluation import customer_groups
from ml_tasks.lookback import happened
from ml_tasks.trained_model import TrainedModel
from perennial import contracts
from perennial.settings import REPOSITORY

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
Parts = Collection[Mapping[str, "pd.DataFrame"]]  # one per shard; may be iterated several times


class Question:
    """Base class of all questions. A hook that must be overridden says so.

    The kind in the contract decides which hooks are called:

    - predicts: `train`, `score_shard`, and `figures` once a horizon has passed;
    - describes: `train`, `matched`, `score_shard`;
    - rules: `rules`, `score_shard`; or `query`, if the contract says `in_sql`.

    Attributes:
        name: Name of the folder, contract, table and DAGs. Must be set.
        contest: Figure of the report that decides between two models -> `contest.LOWER` or
            `contest.HIGHER`, whichever is better. Must be set if the question is trained.
        baselines: Names of the baselines in the report.
        bias: Metrics of the report with predicted and actual totals; None if there are none.
        tested_days: Horizon of the report's figures, days.
        headline: Figure that lookback reports if nothing can be compared.
        features: Feature table that the model reads, one row per entity; drift is measured on it.
        is_recounted: Whether a question that describes counts the newest data with no choice in it,
            so that its newer model replaces the older one, as of a question that predicts.
    """

    name: ClassVar[str]
    contest: ClassVar[Mapping[str, str]] = {}
    baselines: ClassVar[Collection[str]] = ()
    bias: ClassVar[BiasFigures | None] = None
    tested_days: ClassVar[int | None] = None
    headline: ClassVar[str] = ""
    features: ClassVar[str] = "customer_snapshots"
    is_recounted: ClassVar[bool] = False

    @property
    def contract(self) -> Contract:
        """The question's contract."""
        return contracts.load(self.name)

    def train(self, training_date: date, store: FeatureStore, seed: int) -> TrainedModel:
        """Fit to what was known by a date, and evaluate out of time.

        Must be overridden, except by a question with rules.

        Args:
            training_date: Nothing of this day or later is known.
            store: Reads all shards.
            seed: Random seed of the fit.
        """
        raise NotImplementedError

    def rules(self) -> Mapping[str, Any]:
        """The rules as JSON. The entry `version` is a text that changes whenever the rules do.

        Must be overridden by a question with rules; not called for any other.
        """
        raise NotImplementedError

    def matched(self, model: TrainedModel, previous: TrainedModel) -> TrainedModel:
        """The new model, with its parts named like the same parts of the previous model.

        Called for a question that describes, so that names keep their meaning: segment 3 holds the
        same kind of customers next month.
        """
        del previous
        return model

    def score_shard(self, as_of_date: date, model: TrainedModel, store: FeatureStore) -> Frames:
        """Score the entities of the store's shard: score table -> rows.

        Must be overridden, except by a question in SQL, whose queries are read here for tests. A
        row must not depend on which other entities the shard holds: see `joined`.
        """
        names = [table.name for table in self.contract.tables]
        return {name: store.read(self.query(name, as_of_date, model), {}) for name in names}

    def query(self, table: str, as_of_date: date, model: TrainedModel) -> sql.Composed:
        """The rows of a score table as one query: by default the file `<table>.sql` of the folder.

        In the file {as_of_date} and the names of the rules in braces stand for their values.

        Args:
            table: One of the contract's tables.
            as_of_date: The scored date. Nothing of this day or later may be read.
            model: The rules.

        Returns:
            A query with the question columns of the contract: key, figures, status, reason.
        """
        folder = REPOSITORY / "ml_tasks" / self.name
        values = {name: sql.Literal(value) for name, value in model.parameters.items()}
        text = (folder / f"{table}.sql").read_text()
        return sql.SQL(text).format(as_of_date=sql.Literal(as_of_date), **values)

    def joined(
        self, parts: Parts, as_of_date: date, model: TrainedModel, store: FeatureStore
    ) -> Iterator[Frames]:
        """The rows of each shard in turn, with the columns that depend on all (ranks, totals).

        Args:
            parts: From `score_shard`, one per shard.
            as_of_date: The scored date.
            model: The model that scored.
            store: Reads all shards.
        """
        del as_of_date, model, store
        return (dict(part) for part in parts)

    def score(self, as_of_date: date, model: TrainedModel, store: FeatureStore) -> Frames:
        """All rows of a date at once: score table -> rows. The store reads all shards."""
        part = self.score_shard(as_of_date, model, store)
        return next(self.joined([part], as_of_date, model, store))

    def reads(self, model: TrainedModel) -> bool:
        """Whether this code can score with a stored model. If not, the model is trained again."""
        del model
        return True

    def inputs(self, as_of_date: date, store: FeatureStore) -> pd.DataFrame:
        """The model's inputs on a date, one row per entity; drift is measured on them."""
        if self.features == Question.features:
            return store.snapshot(as_of_date)
        return store.features(self.features, as_of_date)

    def past_inputs(
        self, training_date: date, months: Iterable[date], store: FeatureStore
    ) -> Iterator[pd.DataFrame]:
        """The inputs of past dates, as known on the training date, one date at a time."""
        del training_date
        return (self.inputs(month, store) for month in months)

    def horizon_begins(self, scored_date: date) -> date:
        """First day of every horizon of a scored date."""
        return scored_date

    def figures(self, rows: pd.DataFrame, horizon_days: int) -> dict[str, float]:
        """Figure -> value for past scores of customers. Must be overridden if there is lookback.

        Args:
            rows: From `happened.customers`.
            horizon_days: One of the contract's `horizons_days`.
        """
        raise NotImplementedError

    def compared(self, connection: psycopg.Connection[Any], due: Due) -> list[Group]:
        """Figures of past scores for all entities and by group, once a horizon has passed."""
        figures = partial(self.figures, horizon_days=due.horizon_days)
        return customer_groups.by_group(happened.customers(connection, due), figures)

    def ruled(self, as_of_date: date) -> TrainedModel:
        """The model of a question with rules: the rules, as of the scored date."""
        rules = dict(self.rules())
        return TrainedModel(contracts.RULES, as_of_date, rules, version=str(rules["version"]))


def load(name: str) -> Question:
    """The question with a name.

    Raises:
        ModuleNotFoundError: If there is no `ml_tasks/<name>/run.py`.

    Example:
        >>> load("churn").tested_days
        90
    """
    return cast(Question, import_module(f"ml_tasks.{name}.run").QUESTION)
