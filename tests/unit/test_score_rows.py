"""Rows without numbers keep the contract of every score table."""

from __future__ import annotations

from datetime import date
from typing import Any

import pandas as pd
import pytest

from ml_tasks.engine.contract_check import checked
from ml_tasks.score_rows import not_scored, scored
from perennial import contracts
from perennial.contracts import STATUS_COLUMNS, ScoreColumn, ScoreTable

TABLES = [
    pytest.param(table, id=table.name)
    for question in contracts.questions()
    for table in contracts.load(question).tables
]


def example(column: ScoreColumn) -> Any:
    if column.data_type == "text":
        return column.values[0] if column.values else "a"
    if column.data_type == "boolean":
        return True
    return date(2024, 1, 1) if column.data_type == "date" else 1


@pytest.mark.parametrize("table", TABLES)
def test_every_column_but_the_key_and_facts_is_null(table: ScoreTable):
    given = [one for one in table.question_columns if one.name in table.key or one.is_fact]
    known = pd.DataFrame({column.name: [example(column)] for column in given})
    rows = checked(not_scored(table, known, "too young"), table)
    (row,) = rows.to_pylist()
    assert (row["score_status"], row["score_reason"]) == ("not_scored", "too young")
    names = {column.name for column in given}
    assert all(row[name] is not None for name in names)
    others = row.keys() - names - set(STATUS_COLUMNS)
    assert {row[name] for name in others} <= {None}
    assert others  # each table has something to predict


@pytest.mark.parametrize("table", TABLES)
def test_of_nobody_there_is_no_row(table: ScoreTable):
    nobody = pd.DataFrame({name: pd.Series(dtype=object) for name in table.key})
    assert checked(not_scored(table, nobody, "too young"), table).num_rows == 0


def test_scored_rows_have_no_reason():
    rows = scored(pd.DataFrame({"customer_id": ["a", "b"]}))
    assert rows["score_status"].tolist() == ["scored", "scored"]
    assert rows["score_reason"].isna().all()
