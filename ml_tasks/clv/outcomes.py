"""What CLV is asked: net spend and orders in the 90 and 365 days that follow a snapshot."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ml_tasks.customers.matrix import history_days

HORIZON_DAYS = 90
YEAR_HORIZON_DAYS = 365
# From so much history on a year is told; days of the year not seen yet go at the pace of the rest.
MIN_DAYS_FOR_YEAR = 182
# So many snapshots must have been followed by spend before anything can be learnt from them.
MIN_ROWS_WITH_SPEND = 30


def spend(labelled: pd.DataFrame) -> np.ndarray:
    """Net spend that followed each snapshot, at least 0, shop currency."""
    return labelled["outcome_net_spend_amount"].to_numpy(dtype=float).clip(min=0)


def is_learnable(labelled: pd.DataFrame) -> bool:
    """Whether enough snapshots were followed by spend, and by orders, and enough by neither."""
    outcomes = labelled[["outcome_net_spend_amount", "outcome_count_orders"]]
    followed = (outcomes > 0).sum()
    return bool((followed >= MIN_ROWS_WITH_SPEND).all() and (followed < len(labelled)).all())


def was_watched_for(snapshot: pd.DataFrame, days: int) -> bool:
    """Whether the shop's oldest customer is that old; an empty snapshot is of no age."""
    return len(snapshot) > 0 and int(history_days(snapshot).max()) >= days
