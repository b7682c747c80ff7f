"""What churn is asked: whether a snapshot was followed by an order within 90 days."""

from __future__ import annotations

import numpy as np
import pandas as pd

HORIZON_DAYS = 90
# So many snapshots must have ordered, and so many not, before anything can be learnt.
MIN_ROWS_OF_A_KIND = 30


def is_learnable(labelled: pd.DataFrame) -> bool:
    """Whether enough snapshots were followed by an order, and enough by none."""
    return min(count_kinds(labelled)) >= MIN_ROWS_OF_A_KIND


def count_kinds(labelled: pd.DataFrame) -> tuple[int, int]:
    """Snapshots that were followed by an order, and by none."""
    count_ordered = int((labelled["outcome_count_orders"] > 0).sum())
    return count_ordered, len(labelled) - count_ordered


def has_ordered(labelled: pd.DataFrame) -> np.ndarray:
    """1.0 where the snapshot was followed by an order within the horizon, else 0.0."""
    return (labelled["outcome_count_orders"] > 0).to_numpy(dtype=float)
