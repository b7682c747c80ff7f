"""Out-of-time cuts: past dates on which a model could have been trained and can now be tested."""

from __future__ import annotations

import pandas as pd

MAX_CUTS = 3


def known_by(labelled: pd.DataFrame, known_date: pd.Timestamp, horizon_days: int) -> pd.DataFrame:
    """Rows with an outcome window that had ended by a date.

    Args:
        labelled: Column as_of_date (datetime64), the first day of the window.
        known_date: The day after the window is on or before this date.
        horizon_days: Length of the window, days.
    """
    return labelled[labelled["as_of_date"] + pd.Timedelta(days=horizon_days) <= known_date]


def cuts(labelled: pd.DataFrame, horizon_days: int, max_cuts: int = MAX_CUTS) -> list[pd.Timestamp]:
    """Snapshot dates to test on, newest first, with outcome windows that do not overlap.

    On each date some earlier snapshot's outcome was known, so a model can be trained.

    Args:
        labelled: Column as_of_date (datetime64) of snapshots with known outcomes.
        horizon_days: Length of the outcome window, days.
        max_cuts: Largest number of cuts.
    """
    horizon = pd.Timedelta(days=horizon_days)
    dates = sorted(labelled["as_of_date"].unique())
    chosen: list[pd.Timestamp] = []
    for cut in reversed(dates):
        is_apart = not chosen or cut + horizon <= chosen[-1]
        if is_apart and dates[0] + horizon <= cut:
            chosen.append(pd.Timestamp(cut))
    return chosen[:max_cuts]
