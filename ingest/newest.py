"""The newest order in the shop's files: the day after it is the date to score by default."""

from __future__ import annotations

import re
import tempfile
from dataclasses import replace
from datetime import date
from pathlib import Path

from psycopg import sql

from ingest.files import TABLE_PREFIX, LandingError, ShopFile, find
from ingest.reading import prepare, read_rows
from perennial import sources
from perennial.settings import Settings
from perennial.sources import SourceColumn, SourceTable
from perennial.warehouse import connect

STAMP = b"%d,%b\n"  # a row of one column, behind its line
ISO_DATE = re.compile(rb'^\d+,"?(\d{4}-\d\d-\d\d)', re.MULTILINE)
PLACEHOLDER = "{as_of_date}"


def newest_order_date(settings: Settings) -> date:
    """Shop-local day of the newest order in FILES.

    Raises:
        LandingError: If its order times are not ISO.
    """
    source = sources.load(settings.staging_source)
    ((table, column),) = (
        (table, column)
        for table in source.tables
        for column in table.columns
        if column.is_order_time
    )
    if settings.files.startswith(TABLE_PREFIX):
        newest = _newest_in_table(settings, table, column)
    else:
        files = [file for file in find(settings.files, date.min) if table.holds(file.base_name)]
        with tempfile.TemporaryDirectory(prefix="newest-", dir=settings.home) as folder:
            found = [_newest_in_file(file, table, column, Path(folder)) for file in files]
            newest = max((text for text in found if text), default=None)
    if newest is None:
        raise LandingError(
            f"no time like 2011-09-10 in column {column.header!r} of {settings.files}, so the "
            "newest order's day is not known: say which date to score, AS_OF=2011-09-10"
        )
    return date.fromisoformat(newest[:10])


def _newest_in_file(
    file: ShopFile, table: SourceTable, column: SourceColumn, folder: Path
) -> str | None:
    """The newest ISO date that the column's values begin with; ISO dates sort as text."""
    found = prepare(file, table, folder)
    columns = tuple(name if name == column.name else None for name in found.layout.columns)
    chunks = read_rows(found, replace(found.layout, columns=columns), STAMP)
    days = (day for chunk in chunks for day in ISO_DATE.findall(chunk.data))
    return max(days, default=b"").decode() or None


def _newest_in_table(settings: Settings, table: SourceTable, column: SourceColumn) -> str | None:
    schema = settings.files.removeprefix(TABLE_PREFIX)
    query = sql.SQL("select max({}::text) from {}").format(
        sql.Identifier(column.header), sql.Identifier(schema, table.name)
    )
    with connect(settings, "loader") as connection:
        (newest,) = connection.execute(query).fetchone() or (None,)
    return newest
