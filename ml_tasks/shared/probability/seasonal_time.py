"""Time that runs faster in a shop's high season, so that the models' constant rates can be.

A customer orders at a rate of their own times the shop's activity of the month. Measured in days
of average activity, histories and horizon fit the models as they are. The activity of a month of
the year is read off what known customers ordered in it against what a model in plain days expects
of them, beside a trend: customers of a young shop are not those of an old one.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ml_tasks.shared.probability import bg_nbd
from ml_tasks.shared.probability.rfm import HISTORY, rfm

log = logging.getLogger(__name__)

MONTHS = 12
# Season and trend come apart only where some months were seen twice: a year and two of them.
MIN_HISTORY_DAYS = 365 + 60
# The activity needs the model, the model the activity; a third round moves nothing.
ROUNDS = 2
# Months of a season differ by about so much in log activity, and by so much from year to year.
SEASON_SD, YEAR_SD = 0.15, 0.05


@dataclass(frozen=True)
class SeasonalTime:
    """The activity of a shop by month of the year.

    Attributes:
        activity: Of January to December; their mean by days of a year is 1.
    """

    activity: list[float]

    def rfm(self, snapshots: pd.DataFrame) -> pd.DataFrame:
        """Histories as of `rfm`, recency and age in days of average activity.

        Args:
            snapshots: Columns of features.customer_snapshots, one or more dates.
        """
        until = _days(snapshots["as_of_date"])
        first = until - snapshots["days_since_first_order"].to_numpy()
        last = until - snapshots["days_since_last_order"].to_numpy()
        return rfm(snapshots).assign(
            recency=self.elapsed(first, last), age=self.elapsed(first, until)
        )

    def horizon(self, as_of_date: pd.Timestamp, horizon_days: int) -> float:
        """Days of average activity in `horizon_days` from `as_of_date` on."""
        begin = _days(pd.Series([as_of_date]))
        return float(self.elapsed(begin, begin + horizon_days)[0])

    def elapsed(self, begin: np.ndarray, end: np.ndarray) -> np.ndarray:
        """Days of average activity in [begin, end), both in whole days since 1970."""
        if len(begin) == 0:
            return np.zeros(0)
        earliest, latest = int(begin.min()), int(end.max())
        days = np.arange(earliest, latest + 1).astype("datetime64[D]")
        total = np.r_[0.0, np.cumsum(np.array(self.activity)[_month(days) % MONTHS])]
        return total[end - earliest] - total[begin - earliest]


def fit(snapshots: pd.DataFrame) -> SeasonalTime | None:
    """Learn the season; None where the shop was not watched for long enough or few came back.

    Args:
        snapshots: Columns of features.customer_snapshots on the firsts of months (the training
            grid), all of the same customers or the same sample of them. Rows in any order.
    """
    newest = snapshots[snapshots["as_of_date"] == snapshots["as_of_date"].max()]
    history = newest["days_since_first_order"].max() if len(newest) else 0
    if history < MIN_HISTORY_DAYS:
        log.warning("a season needs %d days of history, not %d", MIN_HISTORY_DAYS, history)
        return None
    repeats = _repeats_by_date(snapshots)
    until = _days(newest["as_of_date"])
    joined, joins = np.unique(
        until - newest["days_since_first_order"].to_numpy(), return_counts=True
    )
    edges = np.r_[joined.min(), _days(repeats.index.to_series())]
    ordered = np.diff(np.r_[0.0, repeats.to_numpy()])
    month_of_year = _month(edges[:-1].astype("datetime64[D]")) % MONTHS
    season = SeasonalTime([1.0] * MONTHS)
    for _ in range(ROUNDS):
        model = bg_nbd.fit(season.rfm(newest))
        if model is None:
            return None
        # what each day's newcomers are expected to order between their first day and each edge
        begin, end = np.broadcast_arrays(joined[:, None], np.maximum(edges, joined[:, None]))
        time = season.elapsed(begin.ravel(), end.ravel())
        newcomers = pd.DataFrame(0.0, index=range(len(time)), columns=list(HISTORY))
        expected = joins @ model.expected_orders(newcomers, time).reshape(begin.shape)
        known = np.log(np.array(season.activity))[month_of_year]
        season = _season(ordered, np.diff(expected), month_of_year, known)
    return season


def _repeats_by_date(snapshots: pd.DataFrame) -> pd.Series:
    """Repeat order days before each date, dates rising."""
    return (snapshots["count_order_days"] - 1).groupby(snapshots["as_of_date"]).sum().sort_index()


def _season(
    ordered: np.ndarray, expected: np.ndarray, month_of_year: np.ndarray, known: np.ndarray
) -> SeasonalTime:
    """Activity by month of the year: a ridge regression on it, beside a line over time.

    Args:
        ordered: Repeats in each month of history, shape (n_months,).
        expected: Of them, by the model.
        month_of_year: 0 is January.
        known: Log activity that `expected` allows for already.
    """
    log_activity = np.log((ordered + 1) / (expected + 1)) + known
    weight = 1 / (1 / (ordered + 1) + YEAR_SD**2)
    line = np.linspace(-1, 1, len(ordered))
    design = np.column_stack([np.ones(len(line)), line, np.eye(MONTHS)[month_of_year]])
    penalty = np.diag(np.r_[0, 0, np.full(MONTHS, 1 / SEASON_SD**2)])
    weighted = design.T * weight
    effects = np.linalg.solve(weighted @ design + penalty, weighted @ log_activity)[2:]
    year = np.arange("2001-01-01", "2002-01-01", dtype="datetime64[D]")
    activity = np.exp(effects)
    # Rounded, so that the last bits of a matrix product can't move a score.
    return SeasonalTime(np.round(activity / activity[_month(year) % MONTHS].mean(), 6).tolist())


def _days(dates: pd.Series) -> np.ndarray:
    """Whole days since 1970."""
    return pd.to_datetime(dates).to_numpy().astype("datetime64[D]").astype(np.int64)


def _month(days: np.ndarray) -> np.ndarray:
    """Whole months since 1970-01."""
    return days.astype("datetime64[M]").astype(np.int64)
