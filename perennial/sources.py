"""Source definitions: which raw tables a shop's files become, read from the dbt source yml.

One place says it: `dbt_project/models/staging/<source>/<source>__sources.yml`. Landing, the raw
tables and dbt all follow from that file.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

import yaml

from perennial.settings import DBT_PROJECT, SettingsError

STAGING = DBT_PROJECT / "models" / "staging"


@dataclass(frozen=True)
class SourceColumn:
    """A text column of a raw table and its name in the shop's files.

    Its kind says what staging will make of it: `text`, `number` or `timestamp`. The one that is
    the order time says how new a file's orders are.
    """

    name: str
    header: str
    description: str
    is_required: bool
    kind: str = "text"
    is_order_time: bool = False


@dataclass(frozen=True)
class SourceTable:
    """A table of the shop: which files hold it, and its columns."""

    name: str
    raw_table: str
    files: tuple[str, ...]
    description: str
    columns: tuple[SourceColumn, ...]

    def holds(self, file_name: str) -> bool:
        """Whether a file of this base name belongs to this table."""
        return any(fnmatch(Path(file_name).name.lower(), pattern) for pattern in self.files)


@dataclass(frozen=True)
class Source:
    """A shop's form: time zone (IANA), currency (ISO 4217) and tables."""

    name: str
    time_zone: str
    currency: str
    tables: tuple[SourceTable, ...]


def available() -> list[str]:
    """Names of the sources that can be landed."""
    return sorted(path.parent.name for path in STAGING.glob("*/*__sources.yml"))


def load(source: str) -> Source:
    """Read a source's definition.

    Raises:
        SettingsError: If there is no such source; the message lists those there are.
    """
    path = STAGING / source / f"{source}__sources.yml"
    if source not in available():
        raise SettingsError(
            f"unknown SOURCE {source!r}: it is no folder of dbt_project/models/staging; "
            f"choose one of {', '.join([*available(), 'sample'])}, "
            "or add your own as dbt_project/models/staging/README.md tells"
        )
    (definition,) = yaml.safe_load(path.read_text())["sources"]
    meta = definition["config"]["meta"]
    return Source(
        name=source,
        time_zone=meta["time_zone"],
        currency=meta["currency"],
        tables=tuple(_table(source, table) for table in definition["tables"]),
    )


def _table(source: str, table: dict) -> SourceTable:
    return SourceTable(
        name=table["name"].removeprefix(f"{source}_"),
        raw_table=table["name"],
        files=tuple(table["config"]["meta"]["files"].split()),
        description=table["description"],
        columns=tuple(_column(column) for column in table["columns"]),
    )


def _column(column: dict) -> SourceColumn:
    meta = column.get("config", {}).get("meta", {})
    return SourceColumn(
        name=column["name"],
        header=meta.get("header", column["name"]),
        description=column["description"],
        is_required=meta.get("required", True),
        kind=meta.get("kind", "text"),
        is_order_time=meta.get("order_time", False),
    )
