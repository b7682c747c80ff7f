"""Linear predictors and their level: from log odds or logs to a mean, and what a mean missed."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ml_tasks.customers.matrix import history_days

# Bounds on the linear predictor: e^15 times the mean is no forecast of anything.
MAX_MARGIN = 15.0
# The first weeks of a shop show its customers in a window cut short.
MIN_HISTORY_DAYS = 90
# Dates whose level counts, and how many in a row share a quarter: they are one piece of news.
LEVEL_DATES, COUNT_OVERLAPPING = 12, 3


def inverse_link(margin: np.ndarray, family: str) -> np.ndarray:
    """From the linear predictor to what it predicts."""
    bounded = np.clip(margin, -MAX_MARGIN, MAX_MARGIN)
    return 1 / (1 + np.exp(-bounded)) if family == "logistic" else np.exp(bounded)


def log_odds(probability: np.ndarray) -> np.ndarray:
    """Log odds, of probabilities kept away from 0 and 1."""
    kept = np.clip(probability, 1e-5, 1 - 1e-5)
    return np.log(kept / (1 - kept))


def shift_to_mean(margin: np.ndarray, mean: float) -> float:
    """What to add to log odds so that the mean probability is as given; rounded to 6 digits."""
    low, high = -MAX_MARGIN, MAX_MARGIN
    for _ in range(60):
        middle = (low + high) / 2
        if inverse_link(margin + middle, "logistic").mean() < mean:
            low = middle
        else:
            high = middle
    return round((low + high) / 2, 6)


def missed_level(snapshots: pd.DataFrame, offset: np.ndarray, happened: np.ndarray) -> float:
    """What the offset missed on every date alike, in log odds; 0 where dates disagree.

    Args:
        snapshots: Columns of features.customer_snapshots, whole dates.
        offset: Shape (n_snapshots,), log odds.
        happened: Shape (n_snapshots,), 0 or 1.

    Source:
        James and Stein (1961): the mean over the newest dates, drawn to 0 by its own variance.
    """
    is_whole = (history_days(snapshots) >= MIN_HISTORY_DAYS).to_numpy()
    dates = snapshots["as_of_date"].to_numpy()
    found = []
    for date in np.unique(dates[is_whole])[-LEVEL_DATES:]:
        rows = dates == date
        rate = float(happened[rows].mean())
        if 0 < rate < 1:
            found.append(shift_to_mean(offset[rows], rate))
    if len(found) < COUNT_OVERLAPPING:
        return 0.0
    mean = float(np.mean(found))
    variance = float(np.var(found)) * COUNT_OVERLAPPING / len(found)
    return mean * max(0.0, 1 - variance / mean**2) if mean else 0.0
