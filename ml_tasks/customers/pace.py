"""The pace of a shop day by day: how fast it was, and how fast it will be.

Speeds are those of `buying_clock`: orders over what the customers of the day would order on an
average one.
"""

from __future__ import annotations

import numpy as np

YEAR_DAYS = 365
MONTH_DAYS = 30
AHEAD_DAYS = 31 + YEAR_DAYS  # the last day of a training month looks a year ahead
SMOOTHING_DAYS = 21
# Speeds are pulled to 1, and the drift to what is expected without seeing it, as by so many
# expected orders and days.
PRIOR_ORDERS = 20.0
PRIOR_DAYS = 30.0
DRIFT_DAYS = 90
MIN_OVERLAP_DAYS = 7
MIN_MONTHS = 4


def earlier_rates(new: np.ndarray, speeds: np.ndarray) -> np.ndarray:
    """By 30 days: share of the new customers beyond what later months and chance explain, falling.

    Args:
        new: New customers of each day.
        speeds: Speed of each day.
    """
    months = len(new) // MONTH_DAYS
    if months < MIN_MONTHS:
        return np.zeros(0)
    starts = np.arange(months) * MONTH_DAYS
    arrived = np.add.reduceat(new[: months * MONTH_DAYS], starts)
    passed = np.add.reduceat(speeds[: months * MONTH_DAYS], starts)
    settled = slice(max(months - 6, months // 2), months)
    usual = arrived[settled].sum() / passed[settled].sum() * passed
    excess = arrived - usual - 2 * np.sqrt(usual)
    return np.minimum.accumulate(np.clip(excess / np.maximum(arrived, 1.0), 0.0, 1.0))


def speeds_of(orders: np.ndarray, exposure: np.ndarray) -> np.ndarray:
    """Orders over expected orders, both as means of the days around; mean 1 over the last year."""
    prior = PRIOR_ORDERS / SMOOTHING_DAYS
    speeds = (_smoothed(orders) + prior) / (_smoothed(exposure) + prior)
    return speeds / speeds[-YEAR_DAYS:].mean()


def _smoothed(values: np.ndarray) -> np.ndarray:
    """Mean of each day and those up to ten days around it."""
    reach, n = SMOOTHING_DAYS // 2, len(values)
    passed = np.concatenate([[0.0], np.cumsum(values)])
    low = np.maximum(np.arange(n) - reach, 0)
    high = np.minimum(np.arange(n) + reach + 1, n)
    return (passed[high] - passed[low]) / (high - low)


def projected(speeds: np.ndarray, exposure: np.ndarray, rates: np.ndarray) -> np.ndarray:
    """Past speeds and those of AHEAD_DAYS more: of a year ago and the drift, else their mean."""
    year = speeds[-YEAR_DAYS:] * np.exp(_drift(speeds, exposure, rates))
    not_seen = np.full(YEAR_DAYS - len(year), year.mean())
    return np.concatenate([speeds, np.resize(np.concatenate([not_seen, year]), AHEAD_DAYS)])


def _drift(speeds: np.ndarray, exposure: np.ndarray, rates: np.ndarray) -> np.ndarray:
    """Log of how much slower or faster each day of the next year will be than a year before.

    What the newest days show against the same days a year ago, shrunk. As long as there are none,
    of a shop that is older than its data a base of customers is expected that does not grow: what
    looks like growth is customers who had not shown yet.
    """
    n = len(speeds)
    overlap = max(n - YEAR_DAYS, 0)
    base = np.maximum(_smoothed(exposure), 1e-9)
    growth = np.log(base[-1] / base[overlap:])
    is_older = min(1.0, 2 * rates[0]) if len(rates) else 0.0
    drift = -growth * is_older * PRIOR_DAYS / (overlap + PRIOR_DAYS)
    if overlap >= MIN_OVERLAP_DAYS:
        days = min(DRIFT_DAYS, overlap)
        seen = np.log(speeds[n - days :].sum() / speeds[overlap - days : overlap].sum())
        drift = drift + seen * days / (days + PRIOR_DAYS)
    return np.asarray(drift)
