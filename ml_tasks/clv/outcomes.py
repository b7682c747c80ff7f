"""Outcomes that CLV predicts: net spend and orders in the 90 and 365 days after a snapshot."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ml_tasks.customers.matrix import history_days

HORIZON_DAYS = 90
YEAR_HORIZON_DAYS = 365
# A year is predicted from this much history on; days of the year not seen yet get the mean pace.
MIN_DAYS_FOR_YEAR = 182
# Training needs at least so many snapshots that were followed by spend.
MIN_ROWS_WITH_SPEND = 30


def spend(labelled: pd.DataFrame) -> np.ndarray:
    """Net spend in the horizon after each snapshot, at least 0, shop currency, shape (n,).

    Args:
        labelled: Column outcome_net_spend_amount.
    """
    return labelled["outcome_net_spend_amount"].to_numpy(dtype=float).clip(min=0)


def is_learnable(labelled: pd.DataFrame) -> bool:
    """True if enough snapshots were followed by spend and by an order, but not all of them.

    Args:
        labelled: Columns outcome_net_spend_amount, outcome_count_orders.
    """
    outcomes = labelled[["outcome_net_spend_amount", "outcome_count_orders"]]
    followed = (outcomes > 0).sum()
    return bool((followed >= MIN_ROWS_WITH_SPEND).all() and (followed < len(labelled)).all())


def was_watched_for(snapshot: pd.DataFrame, days: int) -> bool:
    """True if the oldest customer's first order is at least `days` old; False if there is none."""
    return len(snapshot) > 0 and int(history_days(snapshot).max()) >= days
