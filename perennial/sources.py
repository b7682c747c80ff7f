"""Read the definition of a source, the raw tables of a shop's files, from the dbt source yml.

A source is defined in `dbt_project/models/staging/<source>/<source>__sources.yml`, and nowhere
else: landing, the raw tables and dbt are derived from that file. A further table may have a file of
its own beside it, `<source>__<table>__sources.yml`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

import yaml

from perennial.settings import DBT_PROJECT, SettingsError

STAGING = DBT_PROJECT / "models" / "staging"


@dataclass(frozen=True)
class SourceColumn:
    """A text column of a raw table.

    Attributes:
        name: Name in raw.
        header: Name in the shop's files.
        description: Description in a sentence.
        is_required: Whether every file must have the column.
        kind: Type to which staging casts it: `text`, `id`, `number`, `whole_number`, `date` or
            `timestamp`.
        is_order_time: Whether it holds the time of an order.
        is_key: Whether it is the table's key, or a part of it.
        is_pii: Whether it is personal: raw then holds a keyed hash, and the vault the original.
        is_customer_key: Whether it names the row's customer; erasure and export use it.
    """

    name: str
    header: str
    description: str
    is_required: bool
    kind: str = "text"
    is_order_time: bool = False
    is_key: bool = False
    is_pii: bool = False
    is_customer_key: bool = False


@dataclass(frozen=True)
class SourceTable:
    """A table of the shop: its files, its columns, and the columns with money as their product."""

    name: str
    raw_table: str
    files: tuple[str, ...]
    description: str
    columns: tuple[SourceColumn, ...]
    describes_customers: bool = False  # a row is a customer, not an act of a customer
    is_optional: bool = False  # the shop may leave it out
    amount: tuple[str, ...] = ()

    @property
    def key_columns(self) -> tuple[SourceColumn, ...]:
        """Key columns: a later row replaces an earlier one of the same key; empty: rows add up."""
        return tuple(column for column in self.columns if column.is_key)

    @property
    def pii_columns(self) -> tuple[SourceColumn, ...]:
        """Personal columns: their values land as keyed hashes."""
        return tuple(column for column in self.columns if column.is_pii)

    @property
    def customer_key(self) -> SourceColumn | None:
        """The column that names a row's customer; None if the table has none."""
        return next((column for column in self.columns if column.is_customer_key), None)

    def holds(self, file_name: str) -> bool:
        """Whether a file of this base name belongs to this table."""
        return any(fnmatch(Path(file_name).name.lower(), pattern) for pattern in self.files)

    def is_named_by(self, folder_name: str) -> bool:
        """Whether a folder of this name holds this table; a pattern that matches all is ignored."""
        patterns = [pattern for pattern in self.files if pattern.strip("*?")]
        return any(fnmatch(folder_name.lower(), pattern) for pattern in patterns)


@dataclass(frozen=True)
class Source:
    """The form of a shop's files: its tables, default time zone (IANA) and currency (ISO 4217).

    perennial/shop.py reads the shop's own time zone and currency.
    """

    name: str
    time_zone: str
    currency: str
    tables: tuple[SourceTable, ...]


def available() -> list[str]:
    """Names of the sources that can be landed."""
    paths = STAGING.glob("*/*__sources.yml")
    return sorted(
        {path.parent.name for path in paths if path.stem == f"{path.parent.name}__sources"}
    )


def load(source: str) -> Source:
    """Read a source's definition.

    Raises:
        SettingsError: If the source does not exist; the message lists all sources.
    """
    if source not in available():
        raise SettingsError(
            f"unknown SOURCE {source!r}: it is no folder of dbt_project/models/staging; "
            f"choose one of {', '.join([*available(), 'sample'])}, "
            "or add your own as dbt_project/models/staging/README.md describes"
        )
    own, *others = [yaml.safe_load(path.read_text())["sources"][0] for path in _files(source)]
    meta = own["config"]["meta"]
    tables = tuple(_table(source, table) for one in (own, *others) for table in one["tables"])
    check_pii_tags(source, tables)
    return Source(source, meta["time_zone"], meta["currency"], tables)


def _files(source: str) -> list[Path]:
    """The source's own file, then the files of further tables, `<source>__<table>__sources.yml`."""
    folder = STAGING / source
    return [folder / f"{source}__sources.yml", *sorted(folder.glob(f"{source}__*__sources.yml"))]


def check_pii_tags(source: str, tables: Sequence[SourceTable]) -> None:
    """Check that personal columns can be hashed, and that hashes can be joined.

    Raises:
        SettingsError: If a personal column is a number or a time, since a hash is text; or if
            columns of the same name, or the customer keys, are personal in one table only.
    """
    where = f"{source}__sources.yml"
    tagged: dict[str, dict[bool, str]] = {}
    for table in tables:
        for column in table.columns:
            place = f"{table.raw_table}.{column.name}"
            if column.is_pii and (column.kind not in ("text", "id") or column.is_order_time):
                raise SettingsError(
                    f"{where}: {place} is tagged pii and is a {column.kind}: a hash is text, so "
                    "leave out the kind, or leave the column out of the contract"
                )
            for name in {column.name} | ({"the customer key"} if column.is_customer_key else set()):
                tagged.setdefault(name, {})[column.is_pii] = place
    for name, places in tagged.items():
        if len(places) > 1:
            raise SettingsError(
                f"{where}: {name} is tagged pii in {places[True]} and not in {places[False]}: "
                "hashed values can't be joined with plain ones, so tag both or neither"
            )


def _table(source: str, table: dict) -> SourceTable:
    meta = table["config"]["meta"]
    return SourceTable(
        name=table["name"].removeprefix(f"{source}_"),
        raw_table=table["name"],
        files=tuple(meta["files"].split()),
        description=table["description"],
        columns=tuple(_column(column) for column in table["columns"]),
        describes_customers=meta.get("describes") == "customers",
        is_optional=meta.get("optional", False),
        amount=tuple(meta.get("amount", "").split()),
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
        is_key=meta.get("key", False),
        is_pii=meta.get("pii", False),
        is_customer_key=meta.get("customer_key", False),
    )
