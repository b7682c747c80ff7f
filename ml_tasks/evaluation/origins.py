"""Rolling origins: past dates on which models are fitted, and the dates that each fit predicts.

A model fitted on an origin predicts the customers of that date and of the following dates, as a
published model scores several weeks. So one costly fit yields several dates of evidence.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

MAX_ORIGINS = 4
DATES_OF_AN_ORIGIN = 3
# In a younger shop there are few customers, and these have short histories.
MIN_HISTORY_DAYS = 60


@dataclass(frozen=True)
class Origin:
    """A past date and the dates that models fitted on it predict.

    Attributes:
        date: Models are fitted to what was known by the start of this day.
        predicted_dates: Dates that the models predict, rising; the first is `date`.
    """

    date: pd.Timestamp
    predicted_dates: tuple[pd.Timestamp, ...]


def origins_of(labelled: pd.DataFrame, first_day: pd.Timestamp) -> list[Origin]:
    """The newest origins, oldest first; empty if the shop is too young.

    Args:
        labelled: Column as_of_date (datetime64) of snapshots with known outcomes.
        first_day: First day of the shop's data.
    """
    oldest = first_day + pd.Timedelta(days=MIN_HISTORY_DAYS)
    dates = [pd.Timestamp(day) for day in sorted(labelled["as_of_date"].unique()) if day >= oldest]
    origins: list[Origin] = []
    while dates and len(origins) < MAX_ORIGINS:
        predicted, dates = dates[-DATES_OF_AN_ORIGIN:], dates[:-DATES_OF_AN_ORIGIN]
        origins.append(Origin(predicted[0], tuple(predicted)))
    return origins[::-1]
