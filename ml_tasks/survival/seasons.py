"""The level of a date from the levels of past dates: that of a year ago and the trend since."""

from __future__ import annotations

import numpy as np
import pandas as pd

YEAR = pd.Timedelta(days=365)
# The trend since last year is the mean over so many newest dates, shrunk as by one more of none.
TREND_DATES = 3


def project(known: pd.Series, as_of_date: pd.Timestamp) -> float:
    """Level to expect of a date: that of a year ago plus the trend since, shrunk.

    Without a level a year ago the season is unknown: the mean of the last year's levels.

    Args:
        known: Levels indexed by date, rising.
        as_of_date: Date after the newest known one.
    """
    if known.empty:
        return 0.0
    a_year_ago = _at(known, as_of_date - YEAR)
    if np.isnan(a_year_ago):
        return float(known[known.index > known.index[-1] - YEAR].mean())
    changes = [known[day] - _at(known, day - YEAR) for day in known.index[-TREND_DATES:]]
    seen = [change for change in changes if not np.isnan(change)]
    return a_year_ago + sum(seen) / (len(seen) + 1)


def _at(known: pd.Series, day: pd.Timestamp) -> float:
    """Level of any day between two known ones, in a straight line; NaN outside."""
    if not known.index[0] <= day <= known.index[-1]:
        return float("nan")
    days = (known.index - known.index[0]).days
    return float(np.interp((day - known.index[0]).days, days, known.to_numpy()))
