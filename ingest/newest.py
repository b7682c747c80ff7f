"""The newest order in the shop's files: the day after it is the date to score by default."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet
from psycopg import sql

from ingest.files import TABLE_PREFIX, LandingError, ShopFile, fetch, find, opened
from perennial import sources
from perennial.settings import Settings
from perennial.sources import SourceColumn, SourceTable
from perennial.warehouse import connect

ISO_DATE = r"^\d{4}-\d{2}-\d{2}"
PLACEHOLDER = "{as_of_date}"


def newest_order_date(settings: Settings) -> date:
    """Shop-local day of the newest order in FILES.

    Raises:
        LandingError: If FILES depends on the date, or its order times are not ISO.
    """
    if PLACEHOLDER in settings.files:
        raise LandingError(f"FILES has {PLACEHOLDER} in it, so say which date: AS_OF=2011-09-10")
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
            found = (_newest_in_file(file, column, Path(folder)) for file in files)
            newest = max((text for text in found if text), default=None)
    if newest is None:
        raise LandingError(
            f"no time like 2011-09-10 in column {column.header!r} of {settings.files}, so the "
            "newest order's day is not known: say which date to score, AS_OF=2011-09-10"
        )
    return date.fromisoformat(newest[:10])


def _newest_in_file(file: ShopFile, column: SourceColumn, folder: Path) -> str | None:
    try:
        return max(
            (text for values in _values(file, column, folder) if (text := _newest(values))),
            default=None,
        )
    except pa.ArrowInvalid as error:
        raise LandingError(
            f"{file.name}: its newest order can't be found in one pass ({error}): "
            "say which date to score, AS_OF=2011-09-10"
        ) from error


def _values(file: ShopFile, column: SourceColumn, folder: Path) -> Iterator[pa.Array]:
    local = fetch(file, folder)
    if file.format == "parquet":
        for batch in pyarrow.parquet.ParquetFile(local).iter_batches(columns=[column.header]):
            yield batch.column(0).cast(pa.string())
        return
    with opened(file, local) as stream:
        if file.format == "csv":
            yield from (batch.column(0) for batch in _read_csv(stream, column))
        else:
            options = pyarrow.json.ParseOptions(
                explicit_schema=pa.schema([(column.header, pa.string())]),
                unexpected_field_behavior="ignore",
            )
            yield pyarrow.json.read_json(stream, parse_options=options).column(0)


def _read_csv(stream: object, column: SourceColumn) -> pa.RecordBatchReader:
    return pyarrow.csv.open_csv(
        stream,
        parse_options=pyarrow.csv.ParseOptions(
            newlines_in_values=True,
            invalid_row_handler=lambda _: "skip",  # landing gives it to ops.rejected_lines
        ),
        convert_options=pyarrow.csv.ConvertOptions(
            include_columns=[column.header],
            column_types={column.header: pa.string()},
            check_utf8=False,
        ),
    )


def _newest(values: pa.Array) -> str | None:
    dates = values.filter(pc.match_substring_regex(values, ISO_DATE))
    return pc.max(dates).as_py()  # ISO times sort as text


def _newest_in_table(settings: Settings, table: SourceTable, column: SourceColumn) -> str | None:
    schema = settings.files.removeprefix(TABLE_PREFIX)
    query = sql.SQL("select max({}::text) from {}").format(
        sql.Identifier(column.header), sql.Identifier(schema, table.name)
    )
    with connect(settings, "loader") as connection:
        (newest,) = connection.execute(query).fetchone() or (None,)
    return newest
