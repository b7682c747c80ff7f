"""Feature tables, and the scores of other questions, as frames with the rows of one shard."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from psycopg import sql

from ml_tasks.features import reading
from ml_tasks.features.shards import WHOLE, Shard
from perennial import contracts, entities, feature_models
from perennial.feature_models import AS_OF_DATE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import date

    import pandas as pd
    import psycopg

    from perennial.entities import Entity

KNOWN_ON_DATE = "known_on_date"


class FeaturesMissingError(ValueError):
    """The warehouse was not built for a date; the message names the dates that it holds."""


class Tables:
    """Reads tables through one open connection (role scorer).

    Args:
        connection: Role scorer.
        shard: The shard to read, from tables with an entity that is divided into shards.
    """

    def __init__(self, connection: psycopg.Connection[Any], shard: Shard = WHOLE) -> None:
        self.connection = connection
        self.shard = shard
        self.reads: list[dict[str, Any]] = []  # tables, counts and dates of each query so far

    def features(self, name: str, as_of_date: date) -> pd.DataFrame:
        """Rows of a feature table for a date, of the store's shard, ordered by the key.

        Args:
            name: Name of a model in dbt_project/models/features.
            as_of_date: The rows hold what was known by the start of this day.

        Raises:
            FeaturesMissingError: If there is no such model.
        """
        return self._rows(name, sql.SQL("as_of_date = {}").format(sql.Literal(as_of_date)))

    def past_features(self, name: str, known_by: date) -> pd.DataFrame:
        """Rows of a feature table for past grid dates, as known on a date, ordered by the key.

        Only the firsts of months are read: a model must not depend on which other dates were
        scored. A table with `known_on_date` holds outcomes, and those known by then are read.

        Args:
            name: Name of a model in dbt_project/models/features.
            known_by: The date.

        Raises:
            FeaturesMissingError: If there is no such model.
        """
        columns = _model(name).column_names
        known = KNOWN_ON_DATE if KNOWN_ON_DATE in columns else AS_OF_DATE
        condition = sql.SQL("{} <= {} and extract(day from as_of_date) = 1").format(
            sql.Identifier(known), sql.Literal(known_by)
        )
        return self._rows(name, condition)

    def scores(self, question: str, as_of_date: date) -> pd.DataFrame:
        """Published scores of another question for a date, of the store's shard, ordered by key.

        The contract of the reading question must name the other question in `reads`; it is then
        scored after the other.
        """
        table = contracts.load(question).tables[0]
        query = sql.SQL(
            "select {columns} from {table} as scores inner join ops.publications as publications"
            " using (as_of_date, publication_id) where publications.question = {question}"
            " and scores.as_of_date = {as_of_date} and {is_own} order by {key}"
        ).format(
            columns=_columns(column.name for column in table.question_columns),
            table=table.relation,
            question=sql.Literal(question),
            as_of_date=sql.Literal(as_of_date),
            is_own=self._is_own(table.entity.dealt_by),
            key=sql.SQL(", ").join(
                _in_order(column.name, column.data_type)
                for column in table.columns
                if column.name in table.key
            ),
        )
        return self.read(query, {})

    def count(self, entity: Entity, as_of_date: date) -> int:
        """Number of an entity's rows on a date, over all shards."""
        covered = entity.covered_on(sql.Literal(as_of_date))
        query = sql.SQL("select count(*) from ({}) as covered").format(covered)
        ((count,),) = self.connection.execute(query).fetchall()
        return int(count)

    def read(self, query: sql.Composed, params: Mapping[str, Any]) -> pd.DataFrame:
        """Run a query and append its tables, counts and dates to `reads`.

        The query is run as it is: unlike `features`, it is not restricted to the shard.
        """
        frame = reading.read(self.connection, query, params)
        tables = re.findall(r'"features"\."(\w+)"', query.as_string(self.connection))
        self.reads.append({"tables": sorted(set(tables)), **reading.facts(frame)})
        # it selects the rows that are read, and is no feature
        return frame.drop(columns="is_in_sample", errors="ignore")

    def _rows(self, name: str, condition: sql.Composed) -> pd.DataFrame:
        model = _model(name)
        dealt_by = entities.load(model.entity).dealt_by if model.entity else None
        query = sql.SQL("select {columns} from {table} where {condition} and {is_own}"
                        " order by {key}").format(
            columns=_columns(model.column_names),
            table=sql.Identifier("features", name),
            condition=condition,
            is_own=self._is_own(dealt_by),
            key=sql.SQL(", ").join(
                _in_order(column.name, column.data_type)
                for column in model.columns
                if column.name in model.key
            ),
        )  # fmt: skip
        return self.read(query, {})

    def _is_own(self, dealt_by: str | None) -> sql.Composable:
        if dealt_by is None or self.shard == WHOLE:
            return sql.SQL("true")
        return self.shard.condition(sql.Identifier(dealt_by))

    def made_for(self, table: str, known_by: date) -> date:
        """The earliest date on or after `known_by` that the table was built for.

        The rows of a later date include those known by `known_by`; the caller filters the rest.

        Raises:
            FeaturesMissingError: If there is no such date and the table is not empty.
        """
        row = self.connection.execute(
            sql.SQL(
                "select min(as_of_date) filter (where as_of_date >= %(known_by)s),"
                " max(as_of_date) from {table}"
            ).format(table=sql.Identifier("features", table)),
            {"known_by": known_by},
        ).fetchone()
        made_for, newest = row or (None, None)
        if made_for is None and newest is not None:
            raise FeaturesMissingError(
                f"features.{table} holds what happened before {newest}, not before"
                f" {known_by}: choose an earlier date, or score a later one first"
            )
        return made_for or known_by


def _model(name: str) -> feature_models.FeatureModel:
    """The feature model with a name.

    Raises:
        FeaturesMissingError: If there is none; the message lists all models.
    """
    models = {model.name: model for model in feature_models.load()}
    if name not in models:
        raise FeaturesMissingError(f"no feature model {name!r}: choose one of {', '.join(models)}")
    return models[name]


def _columns(names: Iterable[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, names))


def _in_order(column: str, data_type: str) -> sql.Composed:
    """The column as an order by expression; text has the same order under every locale."""
    collation = sql.SQL(' collate "C"' if data_type == "text" else "")
    return sql.SQL("{}{}").format(sql.Identifier(column), collation)
