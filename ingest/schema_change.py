"""What changed in a table's columns since its last file: told once, by the file that brings it.

A column that we need and can't find is an error before this (ingest.rows); here is what a landing
survives and somebody should know all the same.
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
    """Keep a file's columns in ops.landed_files, and say how they differ from the last file's.

    Args:
        connection: In the landing's transaction.
        place: Source, table, file name, file id.
        headers: Columns as the file names them.
        is_sparse: Whether records may leave out fields, so that a missing one says nothing.
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
    # a first file shows what the shop has: what may be missing was never there to go
    needed = [column.header for column in table.columns if column.is_required]
    before = row[0] if row else needed
    told = [f"{plain(name)}: {change}" for change in changes(table, before, now, is_sparse)]
    for line in told:
        log.warning("%s", line)
    return told


def kept_names(headers: Sequence[str]) -> list[str]:
    """Columns' names as JSON and Postgres can keep them."""
    return [plain(header)[:LONGEST_KEPT] for header in headers]


def changes(
    table: SourceTable, before: Sequence[str], now: Sequence[str], is_sparse: bool = False
) -> list[str]:
    """New columns, and known ones that are gone, in sentences that say what to do.

    The order of columns is nobody's concern: they are read by name.
    """
    known = {column.header for column in table.columns}
    new = [name for name in now if name not in before and name not in known]
    gone = [] if is_sparse else [name for name in before if name in known and name not in now]
    told = []
    for name in gone:
        renamed = closest(name, [other for other in now if other not in known])
        told.append(
            f"table {table.name} no longer has the column {listed([name])}, which may be missing: "
            "its rows land without it."
            + (f" Perhaps it is called {listed([renamed])} now." if renamed else "")
            + f" Have it back, or give its new name as meta.header in {table.raw_table} of the "
            "source yml"
        )
    if new:
        told.append(
            f"table {table.name} has columns that nothing reads: {listed(new)}. They are left out; "
            f"to use one, add it to {table.raw_table} of the source yml"
        )
    return told
