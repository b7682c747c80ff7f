"""features.stage_durations of a planted shop: everybody is in the stage since the day before."""

from __future__ import annotations

import pandas as pd

from tests.unit.planted_features import customer_stages


def rows(orders: pd.DataFrame, day: pd.Timestamp) -> pd.DataFrame:
    """One row per stage: nobody has left it."""
    counts = customer_stages.rows(orders, day).groupby("stage").size()
    return pd.DataFrame(
        {
            "as_of_date": day,
            "stage": counts.index,
            "duration_days": 1,
            "count_left": 0,
            "count_staying": counts.to_numpy(),
        }
    )
