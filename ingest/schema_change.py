"""Warn when a table's columns changed since its last file: once, when the first such file lands.

A missing required column is an error (ingest.rows). This module warns of the changes with which a
landing can go on.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import psycopg

from ingest.rows import closest, listed
from perennial.sources import SourceTable
from perennial.text import plain

log = logging.getLogger(__name__)

LONGEST_KEPT = 200  # characters of a column's name


def note_columns(
    connection: psycopg.Connection[Any],
    place: tuple[str, SourceTable, str, int],
    headers: Sequence[str],
    *,
    is_sparse: bool = False,
) -> list[str]:
    """Store a file's columns in ops.landed_files, and log how they differ from the last file's.

    Args:
        connection: Connection in the landing's transaction.
        place: Source, table, file name, file id.
        headers: Columns as the file names them.
        is_sparse: Whether records may omit fields, so that a missing column means nothing.

    Returns:
        One warning, a sentence, for each change.
    """
    source, table, name, file_id = place
    now = kept_names(headers)
    row = connection.execute(
        "select column_names from ops.landed_files where source = %s and table_name = %s"
        " and file_id < %s and status <> 'refused' and column_names is not null"
        " order by file_id desc limit 1",
        [source, table.raw_table, file_id],
    ).fetchone()
    connection.execute(
        "update ops.landed_files set column_names = %s where file_id = %s", [now, file_id]
    )
    # the first file of a table can't lack an optional column that an earlier file had
    needed = [column.header for column in table.columns if column.is_required]
    before = row[0] if row else needed
    warnings = [f"{plain(name)}: {change}" for change in changes(table, before, now, is_sparse)]
    for line in warnings:
        log.warning("%s", line)
    return warnings


def kept_names(headers: Sequence[str]) -> list[str]:
    """Column names in the form in which JSON and Postgres can store them."""
    return [plain(header)[:LONGEST_KEPT] for header in headers]


def changes(
    table: SourceTable, before: Sequence[str], now: Sequence[str], is_sparse: bool = False
) -> list[str]:
    """Describe new columns and missing known columns, each in sentences with the remedy.

    The order of columns does not matter: they are read by name.
    """
    known = {column.header for column in table.columns}
    new = [name for name in now if name not in before and name not in known]
    gone = [] if is_sparse else [name for name in before if name in known and name not in now]
    sentences = []
    for name in gone:
        renamed = closest(name, [other for other in now if other not in known])
        sentences.append(
            f"table {table.name} no longer has the column {listed([name])}, which is optional: "
            "rows land without it."
            + (f" Perhaps it is called {listed([renamed])} now." if renamed else "")
            + f" Restore it in the export, or give its new name as meta.header in "
            f"{table.raw_table} of the source yml"
        )
    if new:
        sentences.append(
            f"table {table.name} has columns that nothing reads: {listed(new)}. They are left out; "
            f"to use one, add it to {table.raw_table} of the source yml"
        )
    return sentences
