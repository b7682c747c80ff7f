"""Read feature models from their dbt properties: columns, key, bounds, dates to check.

The properties are in `dbt_project/models/features/<model>.yml`, and nowhere else. The gate of the
features is derived from them, so a new feature model is checked without a line of Python.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from perennial.settings import DBT_PROJECT

FEATURES = DBT_PROJECT / "models" / "features"
AS_OF_DATE = "as_of_date"
# Dates of the rows that the gate checks: the scored date; its training date (the first of its
# month); the newest grid date with known outcomes.
SCORED_DATE, TRAINING_DATE, GRID_DATE = "scored_date", "training_date", "grid_date"
COLUMN_META = {"min", "max", "required"}
MODEL_META = {"gated_on", "entity", "needs", "may_be_empty"}


class FeatureModelError(ValueError):
    """The properties of a feature model are not complete; the message names file and column."""


@dataclass(frozen=True)
class FeatureColumn:
    """A column and its permitted values.

    Attributes:
        name: Name of the column.
        data_type: Type, as Postgres names it.
        is_required: Whether the column must not be null.
        minimum: Least value; None: no bound.
        maximum: Largest value; None: no bound.
    """

    name: str
    data_type: str = "text"
    is_required: bool = False
    minimum: float | None = None
    maximum: float | None = None


@dataclass(frozen=True)
class FeatureModel:
    """A table of features.

    Attributes:
        name: Name of the table, without schema.
        key: Columns of the primary key.
        columns: All columns, in order.
        gated_on: Dates of the rows that the gate checks: SCORED_DATE, TRAINING_DATE, GRID_DATE.
        entity: What a row is about, a name in perennial/entities; empty: the shop. A question reads
            the rows of its own shard.
        needs: Optional tables of the source that the model requires; it is built and gated only if
            the shop's source has them.
        may_be_empty: Whether a date may have no rows, as where only recent orders are in it.
    """

    name: str
    key: tuple[str, ...]
    columns: tuple[FeatureColumn, ...]
    gated_on: tuple[str, ...] = (SCORED_DATE,)
    entity: str = ""
    needs: tuple[str, ...] = ()
    may_be_empty: bool = False

    @property
    def column_names(self) -> list[str]:
        """Names of all columns, in order."""
        return [column.name for column in self.columns]


@cache
def load(folder: Path = FEATURES) -> tuple[FeatureModel, ...]:
    """All feature models, ascending by name.

    Raises:
        FeatureModelError: If a model lacks a key or has an unknown entry.
    """
    models = []
    for path in sorted(folder.glob("*.yml")):
        content = yaml.safe_load(path.read_text())
        models += [_model(entry, path.name) for entry in content.get("models", [])]
    return tuple(sorted(models, key=lambda model: model.name))


def _model(entry: dict[str, Any], where: str) -> FeatureModel:
    where = f"{where}, model {entry['name']}"
    meta = _meta(entry, MODEL_META, where)
    keys = [c["columns"] for c in entry.get("constraints", []) if c["type"] == "primary_key"]
    columns = tuple(_column(column, where) for column in entry.get("columns", []))
    gated_on = tuple(meta.get("gated_on", (SCORED_DATE,)))
    if len(keys) != 1 or not set(keys[0]) <= {column.name for column in columns}:
        raise FeatureModelError(f"{where}: lacks a primary_key constraint of its columns")
    if unknown := set(gated_on) - {SCORED_DATE, TRAINING_DATE, GRID_DATE}:
        raise FeatureModelError(f"{where}: gated_on has {', '.join(sorted(unknown))}")
    return FeatureModel(
        name=entry["name"],
        key=tuple(keys[0]),
        columns=columns,
        gated_on=gated_on,
        entity=meta.get("entity", ""),
        needs=tuple(meta.get("needs", ())),
        may_be_empty=bool(meta.get("may_be_empty", False)),
    )


def _column(entry: dict[str, Any], where: str) -> FeatureColumn:
    meta = _meta(entry, COLUMN_META, f"{where}, column {entry['name']}")
    has_constraint = any(c["type"] == "not_null" for c in entry.get("constraints", []))
    return FeatureColumn(
        entry["name"],
        data_type=entry["data_type"],
        is_required=has_constraint or bool(meta.get("required", False)),
        minimum=meta.get("min"),
        maximum=meta.get("max"),
    )


def _meta(entry: dict[str, Any], known: set[str], where: str) -> dict[str, Any]:
    meta: dict[str, Any] = entry.get("config", {}).get("meta", {})
    if unknown := sorted(set(meta) - known):
        raise FeatureModelError(f"{where}: unknown meta {', '.join(unknown)}")
    return meta
