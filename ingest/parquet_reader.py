"""Parquet to rows for COPY, a batch of rows at a time, each value as text.

Text says what the value is, in its shortest exact form: a whole float without its `.0`, a time
without empty fractions of a second. A null is a missing value.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ingest.csv_records import NOT_UTF8, NUL_BYTE, Reject
from ingest.files import LandingError, ShopFile
from ingest.rows import Layout, Rows, match_columns
from perennial.sources import SourceTable

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

BATCH_ROWS = 16_384
TIME_UNITS = ("s", "ms", "us", "ns")


def layout(file: ShopFile, table: SourceTable, local: Path) -> tuple[Layout, int]:
    """The columns, and the number of rows that the file says it holds.

    Raises:
        LandingError: If it can't be read, lacks a column or holds lists in one.
    """
    import pyarrow as pa

    with _opened(file, local) as parquet:
        schema = parquet.schema_arrow
        columns = match_columns(file, table, schema.names)
        for name, column in zip(schema.names, columns, strict=True):
            if column is not None and pa.types.is_nested(schema.field(name).type):
                raise LandingError(
                    f"{file.name}: column {name!r} holds {schema.field(name).type}, not one value "
                    "a row: have it exported flat"
                )
        return Layout(tuple(schema.names), columns), parquet.metadata.num_rows


def rows(file: ShopFile, found: Layout, local: Path, stamp: bytes) -> Iterator[Rows]:
    """Read the rows; the line of a row is its number, from 1."""
    pairs = zip(found.headers, found.columns, strict=True)
    landed = [header for header, column in pairs if column is not None]
    first_row = 1
    with _opened(file, local) as parquet:
        for batch in parquet.iter_batches(BATCH_ROWS, columns=landed, use_threads=False):
            # arrow hands columns over in the file's order, as landed has them
            yield _rows(batch, first_row, stamp)
            first_row += batch.num_rows


def _opened(file: ShopFile, local: Path) -> pq.ParquetFile:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(local)
    except pa.ArrowException as error:
        raise LandingError(
            f"{file.name} is no Parquet file, or cut off ({error}): have it sent again"
        ) from error


def _rows(batch: pa.RecordBatch, first_row: int, stamp: bytes) -> Rows:
    import pyarrow as pa
    import pyarrow.compute as pc

    reasons = _unreadable(batch)
    rejects = [
        Reject(first_row + row, reason, _content(batch, row))
        for row, reason in sorted(reasons.items())
    ]
    numbers = pa.array(range(first_row, first_row + batch.num_rows), pa.int64())
    table = pa.table(
        {"_line": numbers} | {str(index): column for index, column in enumerate(batch.columns)}
    )
    if reasons:
        table = table.filter(pa.array([row not in reasons for row in range(batch.num_rows)]))
    lines = table.column("_line").to_pylist()
    fields = [_quoted(_text(table.column(name))) for name in table.column_names[1:]]
    values = pc.binary_join_element_wise(*fields, ",").cast(pa.large_binary()).to_pylist()
    data = b"".join([stamp % pair for pair in zip(lines, values, strict=True)])
    return Rows(data, len(values), rejects)


def _quoted(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A CSV field: `""` for an empty text, nothing for a null."""
    import pyarrow.compute as pc

    doubled = pc.replace_substring(column, '"', '""')
    return pc.fill_null(pc.binary_join_element_wise('"', doubled, '"', ""), "")


def _text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = column.type
    if pa.types.is_dictionary(kind):
        return _text(column.cast(kind.value_type))
    if pa.types.is_timestamp(kind):
        for unit in TIME_UNITS:
            try:
                return pc.cast(column.cast(pa.timestamp(unit, kind.tz)), pa.string())
            except pa.ArrowInvalid:
                continue  # it has finer fractions than this unit
    return pc.cast(column, pa.string())


def _unreadable(batch: pa.RecordBatch) -> dict[int, str]:
    """Rows of the batch whose text Postgres can't hold, with the reason."""
    import pyarrow as pa

    reasons: dict[int, str] = {}
    for column in batch.columns:
        kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
        if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_binary(kind):
            values = column.cast(kind).cast(pa.large_binary())
            for row in _suspicious(values):
                reason = _reason(values[row].as_py())
                if reason:
                    reasons.setdefault(row, reason)
    return reasons


def _suspicious(values: pa.Array) -> list[int]:
    """Rows that are looked at one by one: all if any byte is NUL or no ASCII, else none."""
    buffer = values.buffers()[2]
    content = b"" if buffer is None else buffer.to_pybytes()
    if content.isascii() and 0 not in content:
        return []
    return [row for row in range(len(values)) if values[row].is_valid]


def _reason(value: bytes) -> str | None:
    if 0 in value:
        return NUL_BYTE
    try:
        value.decode()
    except UnicodeDecodeError:
        return NOT_UTF8
    return None


def _content(batch: pa.RecordBatch, row: int) -> bytes:
    """The row as JSON, with the very bytes of its texts."""
    import pyarrow as pa

    record: dict[str, Any] = {}
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        value = column[row : row + 1]
        if pa.types.is_string(value.type) or pa.types.is_large_string(value.type):
            raw = value.cast(pa.large_binary())[0].as_py()
            record[name] = None if raw is None else raw.decode("utf-8", "surrogateescape")
        else:
            record[name] = value[0].as_py()
    text = json.dumps(record, ensure_ascii=False, default=str)
    return text.encode("utf-8", "surrogateescape")
