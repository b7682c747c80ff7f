"""Status and reason of score rows: with numbers, or without and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

    from perennial.contracts import ScoreTable

NUMBERS = ("integer", "bigint", "double precision", "numeric")


def scored(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with the status `scored`."""
    return rows.assign(score_status="scored", score_reason=None)


def not_scored(table: ScoreTable, known: pd.DataFrame, reason: str) -> pd.DataFrame:
    """Rows that say why there is no number.

    Args:
        table: Contract of the table that the rows are for.
        known: One row per entity: its columns, and facts that need no model.
        reason: In a sentence; of all rows.

    Returns:
        The columns of `known` and every other column that a question brings, null.
    """
    missing = {
        column.name: np.nan if column.data_type.startswith(NUMBERS) else None
        for column in table.question_columns
        if column.name not in known
    }
    return known.assign(**missing | {"score_status": "not_scored", "score_reason": reason})
