"""Out-of-time cuts: past dates on which a model could have been trained and can now be checked."""

from __future__ import annotations

import pandas as pd

MAX_CUTS = 3


def known_by(labelled: pd.DataFrame, known_date: pd.Timestamp, horizon_days: int) -> pd.DataFrame:
    """The snapshots whose outcome window had ended by a date.

    Args:
        labelled: Column as_of_date (datetime64), the first day of the window.
        known_date: The window's day after the last is on or before this.
        horizon_days: Length of the window, days.
    """
    return labelled[labelled["as_of_date"] + pd.Timedelta(days=horizon_days) <= known_date]


def cuts(labelled: pd.DataFrame, horizon_days: int, max_cuts: int = MAX_CUTS) -> list[pd.Timestamp]:
    """Snapshot dates to test on, newest first, whose outcome windows don't overlap.

    A date qualifies if some snapshot's outcome was known by then, so that there is something to
    train on.

    Args:
        labelled: Column as_of_date (datetime64) of snapshots with known outcomes.
        horizon_days: Length of the outcome window, days.
        max_cuts: At most so many.
    """
    horizon = pd.Timedelta(days=horizon_days)
    dates = sorted(labelled["as_of_date"].unique())
    chosen: list[pd.Timestamp] = []
    for cut in reversed(dates):
        is_apart = not chosen or cut + horizon <= chosen[-1]
        if is_apart and dates[0] + horizon <= cut:
            chosen.append(pd.Timestamp(cut))
    return chosen[:max_cuts]
