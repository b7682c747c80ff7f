"""Convert Parquet to rows for COPY, a batch of rows at a time, each value as text.

Text is the value's shortest exact form: a whole float without its `.0`, a time without empty
fractions of a second. A null is a missing value.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ingest.csv_records import NOT_UTF8, NUL_BYTE, Reject
from ingest.files import (
    MOST_PACKED,
    PACKED_HARMLESS_BYTES,
    LandingError,
    ShopFile,
    require_bounded,
)
from ingest.rows import Layout, Rows, match_columns
from perennial.sources import SourceTable

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

T = TypeVar("T")

BATCH_ROWS, BATCH_BYTES = 16_384, 1 << 24  # upper bounds of the values converted at once
READ_BYTES = 1 << 20
TIME_UNITS = ("s", "ms", "us", "ns")


def layout(file: ShopFile, table: SourceTable, local: Path) -> tuple[Layout, int]:
    """Read the columns, and the number of rows that the file declares.

    Raises:
        LandingError: If the file can't be read, lacks a column, or a column holds values that
            can't be written as text.
    """
    with _opened(file, local) as parquet:
        schema = parquet.schema_arrow
        columns = match_columns(file, table, schema.names)
        for name, column in zip(schema.names, columns, strict=True):
            if column is not None and not _has_text(schema.field(name).type):
                raise LandingError(
                    f"{file.name}: column {name!r} holds {schema.field(name).type}, which is not "
                    "one value a row that can be written as text: have it exported as text"
                )
        return Layout(tuple(schema.names), columns), parquet.metadata.num_rows


def rows(file: ShopFile, file_layout: Layout, local: Path, stamp: bytes) -> Iterator[Rows]:
    """Read the rows; the line of a row is its number, from 1.

    Raises:
        LandingError: If the file is damaged or too long.
    """
    pairs = zip(file_layout.headers, file_layout.columns, strict=True)
    landed = [header for header, column in pairs if column is not None]
    first_row = 1
    with _opened(file, local) as parquet:
        texts = [name for name in landed if _is_text(parquet.schema_arrow.field(name).type)]
        batch_rows = _batch_rows(file, parquet.metadata, landed)
    with _opened(file, local, texts) as parquet:
        batches = parquet.iter_batches(batch_rows, columns=landed, use_threads=False)
        while (batch := _read(file, lambda: next(batches, None))) is not None:
            # arrow returns columns in the file's order, which is also the order of `landed`
            for part in _read(file, partial(_parts, batch)):
                yield _read(file, partial(_rows, part, first_row, stamp))
                first_row += part.num_rows
        if first_row - 1 != parquet.metadata.num_rows:
            raise LandingError(
                f"{file.name} declares {parquet.metadata.num_rows} rows and holds "
                f"{first_row - 1}: it is damaged, have it sent again"
            )


def _opened(file: ShopFile, local: Path, texts: Sequence[str] = ()) -> pq.ParquetFile:
    """Open the file; columns `texts` stay dictionary-encoded, which keeps each value once."""
    import pyarrow.parquet as pq

    read = partial(pq.ParquetFile, local, buffer_size=READ_BYTES, read_dictionary=list(texts))
    return _read(file, read)


def _is_text(kind: pa.DataType) -> bool:
    import pyarrow as pa

    checks = (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary)
    return any(check(kind) for check in (*checks, pa.types.is_large_binary))


def _batch_rows(file: ShopFile, metadata: pq.FileMetaData, landed: Sequence[str]) -> int:
    """Number of rows a batch, by the sizes that the file declares.

    Raises:
        LandingError: If the declared size is too long, or compressed more than any real export.
    """
    batch_rows = BATCH_ROWS
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        columns = [group.column(index) for index in range(group.num_columns)]
        read = [column for column in columns if column.path_in_schema in landed]
        unpacked = sum(column.total_uncompressed_size for column in read)
        packed = sum(column.total_compressed_size for column in read)
        most = min(file.limit_bytes, max(MOST_PACKED * packed, PACKED_HARMLESS_BYTES))
        require_bounded(file, unpacked, most)
        batch_rows = min(batch_rows, BATCH_BYTES * group.num_rows // max(unpacked, 1))
    return max(batch_rows, 1)


def _parts(batch: pa.RecordBatch) -> list[pa.RecordBatch]:
    """Split the batch into parts of at most BATCH_BYTES of values, or of one row."""
    import numpy as np

    sizes = np.zeros(batch.num_rows, np.int64)
    for column in batch.columns:
        sizes += _sizes(column)
    ends = np.cumsum(sizes)
    parts, start = [], 0
    while start < batch.num_rows:
        before = ends[start - 1] if start else 0
        stop = max(int(np.searchsorted(ends, before + BATCH_BYTES, side="right")), start + 1)
        parts.append(batch.slice(start, stop - start))
        start = stop
    return parts


def _sizes(column: pa.Array) -> Any:
    """Bytes of each value of a text column, shape (n_rows,); 0 for columns of other types.

    Dictionary-encoded values are not decoded.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    is_packed = pa.types.is_dictionary(column.type)
    values = column.dictionary if is_packed else column
    if not _is_text(values.type):
        return np.zeros(len(column), np.int64)
    lengths = pc.fill_null(pc.binary_length(values), 0)
    if is_packed:
        lengths = pc.fill_null(lengths.take(column.indices), 0)
    return lengths.to_numpy(zero_copy_only=False)


def _read(file: ShopFile, step: Callable[[], T]) -> T:
    """Run one step of reading; in a damaged file any step may raise."""
    import pyarrow as pa

    try:
        return step()
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise LandingError(
            f"{file.name} is no Parquet file, or damaged ({error}): have it sent again"
        ) from error


def _has_text(kind: pa.DataType) -> bool:
    """Whether values of the type can be written as text; times of unknown time zones can't."""
    import pyarrow as pa

    example = pa.nulls(1, kind)
    if pa.types.is_timestamp(kind):
        example = pa.array([0], pa.int64()).cast(kind)
    try:
        _text(pa.chunked_array([_plain(example)]))
    except pa.ArrowException:
        return False
    return True


def _rows(batch: pa.RecordBatch, first_row: int, stamp: bytes) -> Rows:
    import pyarrow as pa
    import pyarrow.compute as pc

    columns = [_plain(column) for column in batch.columns]
    reasons = _unreadable(columns)
    rejects = [
        Reject(first_row + row, reason, _content(batch.schema.names, columns, row))
        for row, reason in sorted(reasons.items())
    ]
    numbers = pa.array(range(first_row, first_row + batch.num_rows), pa.int64())
    table = pa.table(
        {"_line": numbers} | {str(index): column for index, column in enumerate(columns)}
    )
    if reasons:
        table = table.filter(pa.array([row not in reasons for row in range(batch.num_rows)]))
    lines = table.column("_line").to_pylist()
    fields = [_quoted(_text(table.column(name))) for name in table.column_names[1:]]
    values = pc.binary_join_element_wise(*fields, ",").cast(pa.large_binary()).to_pylist()
    data = b"".join([stamp % pair for pair in zip(lines, values, strict=True)])
    return Rows(data, len(values), rejects)


def _plain(column: pa.Array) -> pa.Array:
    """Convert texts and bytes of any type to bytes, unchecked for UTF-8; keep other columns."""
    import pyarrow as pa

    kind = column.type
    if pa.types.is_dictionary(kind):
        # `take` checks that texts are UTF-8; it does not check bytes
        values = _plain(column.dictionary)
        return _plain(values.take(column.indices))
    if pa.types.is_string_view(kind) or pa.types.is_binary_view(kind):
        return column.cast(pa.large_binary())
    if pa.types.is_fixed_size_binary(kind):
        column = column.cast(pa.binary())
    elif pa.types.is_string(kind):
        column = column.view(pa.binary())
    elif pa.types.is_large_string(kind):
        return column.view(pa.large_binary())
    return column.cast(pa.large_binary()) if pa.types.is_binary(column.type) else column


def _quoted(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Each value as a CSV field: `""` for an empty text, nothing for a null."""
    import pyarrow.compute as pc

    doubled = pc.replace_substring(column, '"', '""')
    return pc.fill_null(pc.binary_join_element_wise('"', doubled, '"', ""), "")


def _text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = column.type
    if pa.types.is_timestamp(kind):
        for unit in TIME_UNITS:
            try:
                return pc.cast(column.cast(pa.timestamp(unit, kind.tz)), pa.string())
            except pa.ArrowInvalid:
                continue  # some value has finer fractions than this unit
    text = pc.cast(column, pa.string())
    if pa.types.is_decimal(kind) and pc.any(pc.match_substring(text, "E")).as_py():
        digits = [None if value is None else f"{value:f}" for value in column.to_pylist()]
        return pa.chunked_array([pa.array(digits, pa.string())])
    return text


def _unreadable(columns: list[pa.Array]) -> dict[int, str]:
    """Rows of the batch with a text that Postgres can't store, with the reason."""
    import pyarrow as pa

    reasons: dict[int, str] = {}
    for column in columns:
        if pa.types.is_large_binary(column.type):
            for row in _suspicious(column):
                reason = _reason(column[row].as_py())
                if reason:
                    reasons.setdefault(row, reason)
    return reasons


def _suspicious(values: pa.Array) -> list[int]:
    """Rows to check one by one: all rows if any byte is NUL or not ASCII, else none."""
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


def _content(names: list[str], columns: list[pa.Array], row: int) -> bytes:
    """The row as JSON, with the bytes of its texts unchanged."""
    import pyarrow as pa

    record: dict[str, str | None] = {}
    for name, column in zip(names, columns, strict=True):
        value = column[row : row + 1]
        if not pa.types.is_large_binary(value.type):
            value = _text(pa.chunked_array([value])).cast(pa.large_binary())
        raw = value[0].as_py()
        record[name] = None if raw is None else raw.decode("utf-8", "surrogateescape")
    return json.dumps(record, ensure_ascii=False).encode("utf-8", "surrogateescape")
