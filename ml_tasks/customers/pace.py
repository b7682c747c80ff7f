"""The speed of a shop on each past day, and a projection of the speeds to come.

A day's speed is the ratio of its orders to the orders that its customers would place on an average
day (see `buying_clock`).
"""

from __future__ import annotations

import numpy as np

YEAR_DAYS = 365
MONTH_DAYS = 30
AHEAD_DAYS = 31 + YEAR_DAYS  # the last day of a training month looks a year ahead
SMOOTHING_DAYS = 21
# Prior weights: of a speed of 1, in expected orders, and of the drift expected beforehand, in days.
PRIOR_ORDERS = 20.0
PRIOR_DAYS = 30.0
DRIFT_DAYS = 90
MIN_OVERLAP_DAYS = 7
MIN_MONTHS = 4


def earlier_rates(new: np.ndarray, speeds: np.ndarray) -> np.ndarray:
    """Share of each 30-day block's new customers that later arrival rates do not explain.

    Args:
        new: New customers of each day, shape (n_days,).
        speeds: Speed of each day, shape (n_days,).

    Returns:
        Shape (n_months,), in [0, 1], non-increasing; empty for fewer than MIN_MONTHS.
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
    """Speed of each day: smoothed orders over smoothed expected orders.

    Args:
        orders: Orders of each day, shape (n_days,).
        exposure: Orders expected on each day at speed 1, shape (n_days,).

    Returns:
        Shape (n_days,), with a mean of 1 over the last year.
    """
    prior = PRIOR_ORDERS / SMOOTHING_DAYS
    speeds = (_smoothed(orders) + prior) / (_smoothed(exposure) + prior)
    return speeds / speeds[-YEAR_DAYS:].mean()


def _smoothed(values: np.ndarray) -> np.ndarray:
    """Moving average over each day and up to ten days on either side."""
    reach, n = SMOOTHING_DAYS // 2, len(values)
    passed = np.concatenate([[0.0], np.cumsum(values)])
    low = np.maximum(np.arange(n) - reach, 0)
    high = np.minimum(np.arange(n) + reach + 1, n)
    return (passed[high] - passed[low]) / (high - low)


def projected(speeds: np.ndarray, exposure: np.ndarray, rates: np.ndarray) -> np.ndarray:
    """Past speeds, followed by a projection of AHEAD_DAYS days.

    A coming day has the speed of the same day a year ago, times the drift since. A day of the year
    that has not been observed yet has the mean speed.

    Args:
        speeds: Past speeds, shape (n_days,).
        exposure: Orders expected on each past day at speed 1, shape (n_days,).
        rates: From `earlier_rates`.

    Returns:
        Shape (n_days + AHEAD_DAYS,).
    """
    year = speeds[-YEAR_DAYS:] * np.exp(_drift(speeds, exposure, rates))
    unobserved = np.full(YEAR_DAYS - len(year), year.mean())
    return np.concatenate([speeds, np.resize(np.concatenate([unobserved, year]), AHEAD_DAYS)])


def _drift(speeds: np.ndarray, exposure: np.ndarray, rates: np.ndarray) -> np.ndarray:
    """Log ratio of each coming day's speed to the speed a year before it.

    The estimate compares the newest days with the same days a year ago, and is shrunk. Without such
    days, a shop that is older than its data is expected to have a constant customer base: its
    apparent growth is old customers whose first order was not in the data yet.
    """
    n = len(speeds)
    overlap = max(n - YEAR_DAYS, 0)
    base = np.maximum(_smoothed(exposure), 1e-9)
    growth = np.log(base[-1] / base[overlap:])
    is_older = min(1.0, 2 * rates[0]) if len(rates) else 0.0
    drift = -growth * is_older * PRIOR_DAYS / (overlap + PRIOR_DAYS)
    if overlap >= MIN_OVERLAP_DAYS:
        days = min(DRIFT_DAYS, overlap)
        observed = np.log(speeds[n - days :].sum() / speeds[overlap - days : overlap].sum())
        drift = drift + observed * days / (days + PRIOR_DAYS)
    return np.asarray(drift)
