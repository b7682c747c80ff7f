"""Score rows as CSV for COPY: stamps, order, blocks, and Postgres's array literals."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from perennial.contracts import RUN_COLUMNS, ScoreTable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date

ROWS_AT_ONCE = 10_000


def stamped(
    rows: pa.Table, table: ScoreTable, as_of_date: date, model_name: str, model_version: str
) -> pa.Table:
    """Add the stamps that are equal in equal runs, and sort by the key.

    Args:
        rows: Question columns, see `contract_check.checked`.
        table: Contract of the table.
        as_of_date: The scored date.
        model_name: Name of the model.
        model_version: Version of the model.

    Returns:
        The table's columns in the contract's order, without RUN_COLUMNS.
    """
    stamps = {
        "as_of_date": pa.scalar(as_of_date, pa.date32()),
        "model_name": pa.scalar(model_name),
        "model_version": pa.scalar(model_version),
    }
    for name, value in stamps.items():
        rows = rows.append_column(name, pa.repeat(value, rows.num_rows))
    rows = rows.select([name for name in table.column_names if name not in RUN_COLUMNS])
    return rows.sort_by([(name, "ascending") for name in table.key])


def blocks(rows: pa.Table) -> Iterator[pa.Table]:
    """ROWS_AT_ONCE rows at a time, so that the whole CSV is never in memory."""
    for start in range(0, rows.num_rows, ROWS_AT_ONCE):
        yield rows.slice(start, ROWS_AT_ONCE)


def csv(rows: pa.Table) -> bytes:
    """The rows as CSV without a header, as COPY reads it."""
    for number, column in enumerate(rows.columns):
        if pa.types.is_list(column.type):
            text = _array_literals(column.combine_chunks())
            rows = rows.set_column(number, rows.column_names[number], text)
    sink = pa.BufferOutputStream()
    # text in quotes, null bare: COPY distinguishes an empty text from a null by the quotes
    pa_csv.write_csv(rows, sink, pa_csv.WriteOptions(include_header=False))
    return sink.getvalue().to_pybytes()


def _array_literals(lists: pa.Array) -> pa.Array:
    """Lists as Postgres's array literals, `{"a","b"}`; null stays null."""
    elements = lists.flatten().cast(pa.string())
    for mark in ("\\", '"'):
        elements = pc.replace_substring(elements, mark, f"\\{mark}")
    quoted = pc.binary_join_element_wise('"', elements, '"', "")
    lengths = pc.fill_null(pc.list_value_length(lists), 0)
    offsets = pa.concat_arrays([pa.array([0], pa.int32()), pc.cumulative_sum(lengths)])
    whole = pa.ListArray.from_arrays(offsets.cast(pa.int32()), quoted, mask=pc.is_null(lists))
    return pc.binary_join_element_wise("{", pc.binary_join(whole, ","), "}", "")
