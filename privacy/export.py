"""Export all data about a customer as JSON, to answer the customer's request for it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from psycopg import sql

from perennial.warehouse import connect
from privacy.persons import (
    NOBODY,
    PrivacyError,
    is_theirs,
    keyed_tables,
    originals,
    person,
    relation,
    tables_behind,
)

if TYPE_CHECKING:
    import psycopg

    from perennial.settings import Settings


def export_customer(settings: Settings, given: str) -> dict[str, Any]:
    """Read a customer's rows by table, from raw to scores, and the originals in the vault.

    Returns:
        `customer_id`, and `tables`: lists of rows by table name, tables without rows left out.

    Raises:
        PrivacyError: If no customer has that key.
    """
    who = person(settings, given)
    key = {"customer_id": who.customer_id}
    tables: dict[str, list[dict[str, Any]]] = {}
    with connect(settings, "eraser") as connection:
        connection.execute("set transaction isolation level repeatable read, read only")
        for table in keyed_tables(settings):
            query = sql.SQL("select to_jsonb(t) from {} as t where {} order by _file_id, _line")
            tables[f"raw.{table.raw_table}"] = _rows(
                connection, query.format(relation(table), is_theirs(table)), key
            )
        tables["vault.originals"] = originals(connection, settings, who)
        for schema, name in tables_behind(connection):
            query = sql.SQL(
                "select to_jsonb(t) from {} as t where customer_id = %(customer_id)s"
                " order by to_jsonb(t)::text"
            )
            tables[f"{schema}.{name}"] = _rows(
                connection, query.format(sql.Identifier(schema, name)), key
            )
    with_rows = {name: rows for name, rows in tables.items() if rows}
    if not with_rows:
        raise PrivacyError(NOBODY)
    return {"customer_id": who.customer_id, "tables": with_rows}


def write_export(settings: Settings, given: str, path: Path) -> int:
    """Write an export into a new file that only its owner may read; return the number of rows.

    Raises:
        PrivacyError: If no customer has that key, or the file exists already.
    """
    exported = export_customer(settings, given)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise PrivacyError(f"{path} can't be written ({error.strerror}): name a new file") from None
    with os.fdopen(descriptor, "w") as file:
        file.write(as_text(exported))
    return sum(map(len, exported["tables"].values()))


def as_text(exported: dict[str, Any]) -> str:
    """An export as indented JSON."""
    return json.dumps(exported, indent=2, ensure_ascii=False) + "\n"


def _rows(
    connection: psycopg.Connection[Any], query: sql.Composed, key: dict[str, str]
) -> list[dict[str, Any]]:
    return [row for (row,) in connection.execute(query, key).fetchall()]
