"""Status and reason of score rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

    from perennial.contracts import ScoreTable


def scored(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with score_status `scored` and no reason.

    Example:
        >>> import pandas as pd
        >>> scored(pd.DataFrame({"customer_id": ["a"]})).to_dict("records")
        [{'customer_id': 'a', 'score_status': 'scored', 'score_reason': None}]
    """
    return rows.assign(score_status="scored", score_reason=None)


def not_scored(table: ScoreTable, known: pd.DataFrame, reason: str) -> pd.DataFrame:
    """Rows without numbers, with score_status `not_scored` and a reason.

    Args:
        table: Contract of the score table.
        known: One row per entity, with its key and the facts that need no model.
        reason: A sentence, the same for all rows.

    Returns:
        The columns of `known`, and all other question columns of the table with null.

    Example:
        >>> import pandas as pd
        >>> from perennial import contracts
        >>> table = contracts.load("churn").table("churn")
        >>> rows = not_scored(table, pd.DataFrame({"customer_id": ["a"]}), "too young")
        >>> rows[["churn_probability_90d", "score_status", "score_reason"]].values.tolist()
        [[nan, 'not_scored', 'too young']]
    """
    missing = {
        column.name: np.nan if column.is_number else None
        for column in table.question_columns
        if column.name not in known
    }
    return known.assign(**missing | {"score_status": "not_scored", "score_reason": reason})
