"""Check a question's frame against its contract, before any row is written.

The frame becomes an Arrow table of the contract's types. Messages count rows and show bounds, but
never name an entity, because they reach logs and alerts.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from ml_tasks.trained_model import canonical_json
from perennial.contracts import STATUS_COLUMNS, ContractError, ScoreColumn, ScoreTable

if TYPE_CHECKING:
    import pandas as pd

STATUSES = ("scored", "not_scored")


def checked(frame: pd.DataFrame, table: ScoreTable) -> pa.Table:
    """Convert a frame to the contract's types, with money rounded to its scale.

    Args:
        frame: The table's question columns in any order, one row per key.
        table: Contract of the table.

    Returns:
        The columns in the contract's order; missing numbers and texts are null.

    Raises:
        ContractError: At the first violation; names column, rule and number of rows.
    """
    names = {column.name for column in table.question_columns}
    for problem, columns in {
        "lacks": names - set(frame.columns),
        "has no column": set(frame.columns) - names,
    }.items():
        if columns:
            raise ContractError(f"scores.{table.name} {problem} {', '.join(sorted(columns))}")
    rows = converted(frame, table)
    _check_key(rows, table)
    _check_status(rows, table)
    for column in table.question_columns:
        _check_values(rows[column.name], column, table)
        if column.bounded_by:
            bound = rows[column.bounded_by]
            is_above = pc.and_(pc.greater(rows[column.name], bound), pc.not_equal(bound, 0))
            _refuse(is_above, f"scores.{table.name}.{column.name}", f"above {column.bounded_by}")
    return rows


def converted(frame: pd.DataFrame, table: ScoreTable) -> pa.Table:
    """The contract's columns that a frame has, in the contract's types and order.

    Money is rounded to its scale; missing numbers and texts are null.

    Raises:
        ContractError: If a column's values are not of its type.
    """
    columns = [column for column in table.question_columns if column.name in frame]
    return pa.table({one.name: _array(frame[one.name], one, table) for one in columns})


def _array(series: pd.Series, column: ScoreColumn, table: ScoreTable) -> pa.Array:
    where = f"scores.{table.name}.{column.name}"
    try:
        if series.dtype == "category":
            series = series.astype(object)
        if column.data_type == "jsonb":
            return pa.array([_json(value) for value in series], pa.string())
        values = pa.array(series, from_pandas=True)
        if column.data_type.endswith("[]"):
            return _cast_lists(values, column.data_type.removesuffix("[]"))
        return _cast(values, column.data_type)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
        raise ContractError(
            f"{where} is {series.dtype}, not {column.data_type}: {error}"
        ) from error


def _json(value: object) -> str | None:
    """A value as canonical JSON; None stays None."""
    return None if value is None else canonical_json(value)


def _cast_lists(values: pa.Array, data_type: str) -> pa.Array:
    """Cast lists to lists of a type; no element may be null."""
    if pa.types.is_null(values.type):
        return values.cast(pa.list_(_cast(pa.nulls(0), data_type).type))
    if not pa.types.is_list(values.type):
        raise pa.ArrowTypeError(f"holds {values.type}")
    elements = _cast(values.flatten(), data_type)
    if elements.null_count:
        raise pa.ArrowInvalid(f"holds {elements.null_count} null elements")
    lengths = pc.fill_null(pc.list_value_length(values), 0)
    offsets = pa.concat_arrays([pa.array([0], pa.int32()), pc.cumulative_sum(lengths)])
    return pa.ListArray.from_arrays(offsets.cast(pa.int32()), elements, mask=pc.is_null(values))


def _cast(values: pa.Array, data_type: str) -> pa.Array:
    kind = values.type
    is_number = pa.types.is_integer(kind) or pa.types.is_floating(kind)
    if pa.types.is_null(kind):
        fits, target = True, {"text": pa.string(), "date": pa.date32()}.get(data_type, pa.float64())
    elif data_type == "text":
        fits, target = pa.types.is_string(kind) or pa.types.is_large_string(kind), pa.string()
    elif data_type in ("integer", "bigint"):
        fits, target = is_number, pa.int32() if data_type == "integer" else pa.int64()
    elif data_type == "date":
        fits, target = pa.types.is_date(kind) or pa.types.is_timestamp(kind), pa.date32()
    elif data_type == "boolean":
        fits, target = pa.types.is_boolean(kind), pa.bool_()
    else:
        fits, target = is_number or pa.types.is_decimal(kind), pa.float64()
    if not fits:
        raise pa.ArrowTypeError(f"holds {kind}")
    result = values.cast(target)  # raises if a fraction or a large number would be lost
    if pa.types.is_timestamp(kind) and not result.cast(kind).equals(values):
        raise pa.ArrowInvalid("holds a time of day")
    if pa.types.is_floating(target):
        scale = re.search(r",(\d+)\)", data_type)
        result = pc.round(result, ndigits=int(scale[1])) if scale else result
        result = pc.add(result, 0.0)  # -0.0 and 0.0 are one number
    return result


def _check_key(rows: pa.Table, table: ScoreTable) -> None:
    for name in table.key:
        _refuse(pc.is_null(rows[name]), f"scores.{table.name}.{name}", "null in the key")
    key = rows.select(list(table.key))
    twice = key.num_rows - key.group_by(list(table.key)).aggregate([]).num_rows
    if twice:
        raise ContractError(
            f"scores.{table.name}: {twice} of {rows.num_rows} rows repeat a key "
            f"({', '.join(table.key)})"
        )


def _check_status(rows: pa.Table, table: ScoreTable) -> None:
    status, reason = (rows[name] for name in STATUS_COLUMNS)
    where = f"scores.{table.name}"
    known = pc.is_in(status, value_set=pa.array(STATUSES))
    _refuse(pc.invert(known), f"{where}.score_status", f"none of {', '.join(STATUSES)}")
    is_scored = pc.equal(status, "scored")
    has_reason = pc.fill_null(pc.greater(pc.utf8_length(reason), 0), False)
    _refuse(pc.and_(is_scored, pc.is_valid(reason)), f"{where}.score_reason", "given though scored")
    _refuse(
        pc.invert(pc.or_(is_scored, has_reason)),
        f"{where}.score_reason",
        "missing though not scored",
    )
    for column in table.question_columns:
        if not column.is_required_when_scored:
            continue
        values, name = rows[column.name], f"{where}.{column.name}"
        _refuse(pc.and_(is_scored, pc.is_null(values)), name, "null though scored")
        if not column.is_fact:
            not_scored = pc.invert(is_scored)
            _refuse(pc.and_(not_scored, pc.is_valid(values)), name, "given though not scored")


def _check_values(values: pa.ChunkedArray, column: ScoreColumn, table: ScoreTable) -> None:
    where = f"scores.{table.name}.{column.name}"
    if pa.types.is_floating(values.type):
        _refuse(pc.invert(pc.is_finite(values)), where, "infinite")
    if column.minimum is not None:
        _refuse(pc.less(values, column.minimum), where, f"below {column.minimum}")
    if column.maximum is not None:
        _refuse(pc.greater(values, column.maximum), where, f"above {column.maximum}")
    if column.values:
        known = pc.is_in(values, value_set=pa.array(column.values), skip_nulls=False)
        bad = pc.and_(pc.is_valid(values), pc.invert(known))
        _refuse(bad, where, f"none of {', '.join(column.values)}")


def _refuse(is_bad: pa.ChunkedArray, where: str, what: str) -> None:
    count = pc.sum(is_bad).as_py() or 0
    if count:
        raise ContractError(f"{where}: {count} of {len(is_bad)} rows are {what}")
