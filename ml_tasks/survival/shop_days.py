"""Shop days: time that runs faster in the months in which customers order more.

A season multiplies every customer's hazard alike, so it stretches time instead of changing the
model: a day in a month of level 0.3 counts exp(0.3) shop days. Models are fitted to shop days and
know no season; a customer looked at on a date is followed along that date's own path.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.linear_model import PoissonRegressor

from ml_tasks.survival.seasons import project

# Levels compare customers by what they did in the last 180 days, which means the same in a young
# shop and an old one; what they did in all their life does not.
WINDOW_DAYS = 180
RIDGE = 1.0
# A month of five times the usual orders is a promotion or an error, not a season to rely on.
MAX_LEVEL = 1.6
MONTHS_AHEAD = 26


@dataclass(frozen=True)
class ShopDays:
    """How many shop days a day counts.

    Attributes:
        first_month: First day of the first month, ISO.
        levels: Log of the shop days in a day, by month; the last holds from then on.
    """

    first_month: str
    levels: list[float]

    def path(self, day: pd.Timestamp, n_days: int) -> np.ndarray:
        """Shop days from `day` to the end of day 0..n_days; rising, 0 first."""
        passed = self._passed(pd.DatetimeIndex([day]), np.arange(n_days + 1))
        return passed - passed[0]

    def between(self, dates: pd.Series, days: np.ndarray) -> np.ndarray:
        """Shop days in the `days` (0 or more) that follow each date, shape (n,)."""
        start = pd.DatetimeIndex(dates)
        return self._passed(start, np.asarray(days)) - self._passed(start, np.zeros(len(start)))

    def _passed(self, dates: pd.DatetimeIndex, days: np.ndarray) -> np.ndarray:
        """Shop days from the first month to `days` after each date."""
        first = pd.Timestamp(self.first_month)
        months = pd.date_range(first, periods=len(self.levels) + 1, freq="MS")
        edges = np.asarray((months - first).days, dtype=float)
        rate = np.exp(np.asarray(self.levels))
        total = np.concatenate([[0.0], np.cumsum(np.diff(edges) * rate)])
        at = np.asarray((dates - first).days, dtype=float) + days
        beyond = np.where(at > edges[-1], at - edges[-1], np.minimum(at, 0.0))
        return np.interp(at, edges, total) + beyond * np.where(at > 0, rate[-1], rate[0])


def fit_shop_days(observations: pd.DataFrame, known_date: pd.Timestamp) -> ShopDays:
    """Levels of the months watched, and those to expect of the months ahead.

    A month ahead takes the level of a year ago and the trend since; where there is none yet, the
    last year's mean. A month too early to have a level takes that of the same month in the first
    year that has one.

    Args:
        observations: As of `observations_of`, by what was known on `known_date`.
        known_date: A first of a month.
    """
    levels = month_levels(observations, known_date)
    first = observations["snapshot_date"].min() if len(observations) else known_date
    months = pd.date_range(first.replace(day=1), known_date, freq="MS")
    months = pd.date_range(months[0], periods=len(months) + MONTHS_AHEAD, freq="MS")
    values = [_level(levels, month) for month in months]
    return ShopDays(str(months[0].date()), np.clip(values, -MAX_LEVEL, MAX_LEVEL).round(6).tolist())


def month_levels(observations: pd.DataFrame, known_date: pd.Timestamp) -> pd.Series:
    """Log hazard of a month against other months, of customers who did alike before.

    Poisson regression of "ordered by the end of the month", on the days watched in it, with a level
    per month; levels are then drawn to 0 as far as chance alone would scatter them.

    Returns:
        Indexed by the month's first day (rising), mean about 0. Empty if the shop was watched for
        less than WINDOW_DAYS before its newest month, or nobody ordered.
    """
    was_watched = observations.groupby("snapshot_date")["days_since_first_order"].transform("max")
    rows = (observations["days_since_last_order"] <= WINDOW_DAYS) & (was_watched >= WINDOW_DAYS)
    active = observations[rows & (observations["snapshot_date"] < known_date)]
    month_end = active["snapshot_date"] + pd.offsets.MonthBegin(1)
    month_end = month_end.where(month_end < known_date, known_date)
    days_watched = (month_end - active["snapshot_date"]).dt.days.to_numpy()
    days = np.minimum(active["days"].to_numpy(dtype=float), days_watched)
    y = (active["is_ordered"] & (active["days"] <= days_watched)).to_numpy(dtype=float)
    if not y.any():
        return pd.Series(dtype=float, index=pd.DatetimeIndex([]))
    dates, month = np.unique(active["snapshot_date"].to_numpy(), return_inverse=True)
    design = np.hstack([np.eye(len(dates))[month], _recent_activity(active)])
    usual = y.sum() / days.sum()
    fitted = PoissonRegressor(
        alpha=RIDGE / len(y), solver="newton-cholesky", tol=1e-8, max_iter=200
    ).fit(design, y / days / usual, sample_weight=days)
    expected = fitted.predict(design) * days * usual
    noise = np.bincount(month, (y - expected) ** 2) / np.bincount(month, expected) ** 2
    return pd.Series(_shrunk(fitted.coef_[: len(dates)], noise), index=pd.DatetimeIndex(dates))


def _level(levels: pd.Series, month: pd.Timestamp) -> float:
    if levels.empty or month in levels.index:
        return float(levels.get(month, 0.0))
    if month > levels.index[-1]:
        years = (month - levels.index[-1]).days // 366
        return project(levels, month - pd.DateOffset(years=years))
    same = levels[[day.month == month.month for day in levels.index]]
    return float(same.iloc[0] if len(same) else levels.mean())


def _shrunk(values: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Empirical Bayes with the variance by moments: Morris (1983), JASA 78:47."""
    centred = values - values.mean()
    spread = max(float(centred @ centred) / max(len(values) - 1, 1) - float(noise.mean()), 0.0)
    return centred * spread / np.maximum(spread + noise, 1e-12)


def _recent_activity(active: pd.DataFrame) -> np.ndarray:
    """What a customer did in the last 180 days, logged and standardised: shape (n, 5)."""
    columns = [
        "days_since_last_order",
        "count_orders_30d",
        "count_orders_90d",
        "count_orders_180d",
        "net_spend_amount_90d",
    ]
    table = np.log1p(active[columns].clip(lower=0).to_numpy(dtype=float))
    spread = table.std(axis=0)
    return (table - table.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
