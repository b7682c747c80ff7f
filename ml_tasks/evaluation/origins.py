"""Rolling origins: past dates on which a model could have been fitted, and what it is asked then.

A model fitted on a date is asked about the customers of that date and of the dates that follow, as
a published model is for some weeks. So a fit, which is dear, brings several dates of evidence.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

MAX_ORIGINS = 4
DATES_OF_AN_ORIGIN = 3
# Before, hardly anybody is known, and those who are have hardly had time to do anything.
MIN_HISTORY_DAYS = 60


@dataclass(frozen=True)
class Origin:
    """A past date.

    Attributes:
        date: Models are fitted to what was known by the start of this day.
        asked: Dates that they are asked about, rising; the first is `date`.
    """

    date: pd.Timestamp
    asked: tuple[pd.Timestamp, ...]


def origins_of(labelled: pd.DataFrame, first_day: pd.Timestamp) -> list[Origin]:
    """The newest origins, oldest first; empty where the shop is too young for one.

    Args:
        labelled: Column as_of_date (datetime64) of snapshots with known outcomes.
        first_day: First day that the shop was watched.
    """
    oldest = first_day + pd.Timedelta(days=MIN_HISTORY_DAYS)
    dates = [pd.Timestamp(day) for day in sorted(labelled["as_of_date"].unique()) if day >= oldest]
    found: list[Origin] = []
    while dates and len(found) < MAX_ORIGINS:
        asked, dates = dates[-DATES_OF_AN_ORIGIN:], dates[:-DATES_OF_AN_ORIGIN]
        found.append(Origin(asked[0], tuple(asked)))
    return found[::-1]
