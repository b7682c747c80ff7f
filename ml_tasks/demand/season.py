"""The shop's season: how far its sales in a week lie above or below its usual.

One for all products: with barely two years of weeks, one product's season is mostly noise (on
Online Retail II its own last year makes forecasts worse), the shop's is not: closed weeks,
Easter, the run to Christmas.
"""

from __future__ import annotations

from datetime import timedelta

import numpy as np
from scipy import stats

from ml_tasks.demand.panel import HORIZON_WEEKS, SEASON_WEEKS, STEPS, Panel

# Standard deviations on the log scale that the weeks of a year, single and as a smooth curve,
# a week's drift and a week's noise are expected to have.
WEEK_SD, CURVE_SD, DRIFT_SD, NOISE_SD = 0.2, 0.2, 0.03, 0.15
LEVEL_SD = 3.0
CURVE_WEEKS = 3.0
DAYS_PER_YEAR = 365.25
# Fewer, and no week to come was seen last year.
MIN_WEEKS = SEASON_WEEKS - HORIZON_WEEKS
SAME_WEEK_DAYS = 2.5
# A product is taken to follow the shop's season by this much of what products did follow: that
# was measured on the weeks which the season was learnt from.
SHARE = 0.75
MIN_FOLLOWED, MAX_FOLLOWED = 1.0, 1.75
REGULAR_SHARE = 0.7
AROUND_WEEKS = 4
# Below this, log scale, the shop was closed: all products follow that.
CLOSED = -1.2
OUTLIER_QUANTILE = 0.95
SMALL_SHARE = 0.01


def season_of(panel: Panel) -> np.ndarray:
    """Log of the season's factor in each week of a panel and the STEPS after it.

    The total of all products, single large orders cut off, is a drifting level, plus a curve of
    the year, plus noise: the curve's posterior mean (a Gaussian process regression), so what was
    seen once counts in part. Zeros where there are too few weeks.

    Returns:
        Shape (n_weeks + STEPS,).

    Source:
        Rasmussen and Williams (2006), Gaussian Processes for Machine Learning, 2.2 and 5.4.3.
    """
    n_weeks = panel.n_weeks
    if n_weeks < MIN_WEEKS:
        return np.zeros(n_weeks + STEPS)
    total = np.nansum(without_outliers(panel.units, OUTLIER_QUANTILE), axis=0)
    logs = np.log(total + SMALL_SHARE * max(float(np.median(total)), 1.0))
    week = np.arange(n_weeks + STEPS)
    day = days_of_year(panel)
    curve = CURVE_SD**2 * curve_of_year(day, CURVE_WEEKS) + WEEK_SD**2 * week_of_year(day)
    drift = LEVEL_SD**2 + DRIFT_SD**2 * (np.minimum(week[:, None], week) + 1)
    observed = (curve + drift)[:n_weeks, :n_weeks] + NOISE_SD**2 * np.eye(n_weeks)
    season = curve[:, :n_weeks] @ np.linalg.solve(observed, logs - logs.mean())
    return SHARE * followed(panel.units, season[:n_weeks]) * season


def followed(units: np.ndarray, season: np.ndarray) -> float:
    """By how many percent regular products' sales differ for each percent of the shop's season.

    Least squares of weeks less the mean of the weeks around them, so that no product's own run
    has a say. The season is a posterior mean, pulled to 0, and a shop whose products move as one
    follows it by more than 1.

    Args:
        units: Shape (n_products, n_weeks).
        season: Log of the season's factor, shape (n_weeks,).
    """
    is_regular = (units > 0).mean(axis=1) > REGULAR_SHARE
    if not is_regular.any():
        return 1.0
    logs = np.log1p(units[is_regular])
    counts = ~np.isnan(logs) & (season > CLOSED)
    own, shop = _less_around(np.nan_to_num(logs)), _less_around(season[None])
    square = (shop**2 * counts).sum()
    slope = (own * shop * counts).sum() / square if square > 0 else 1.0
    return float(np.clip(slope, MIN_FOLLOWED, MAX_FOLLOWED))


def _less_around(values: np.ndarray) -> np.ndarray:
    """Each week less the mean of the weeks around it, shape (n, n_weeks); the ends repeat."""
    padded = np.pad(values, ((0, 0), (AROUND_WEEKS, AROUND_WEEKS)), mode="edge")
    around = np.lib.stride_tricks.sliding_window_view(padded, 2 * AROUND_WEEKS + 1, axis=1)
    return values - around.mean(axis=-1)


def without_outliers(units: np.ndarray, quantile: float) -> np.ndarray:
    """Units, each product's cut off at a quantile of its weeks with a sale; same shape."""
    sold = np.where(units > 0, units, np.nan)
    none = np.isnan(sold).all(axis=1)
    ceiling = np.full(len(units), np.inf)
    if not none.all():  # numpy's own goes product by product: thirty times the time
        ceiling[~none] = stats.quantile(sold[~none], quantile, axis=1, nan_policy="omit")
    return np.minimum(units, ceiling[:, None])


def curve_of_year(day: np.ndarray, curve_weeks: float) -> np.ndarray:
    """Correlation of a smooth curve of the year between weeks, shape (n_weeks, n_weeks).

    Args:
        day: Of the year, see `days_of_year`.
        curve_weeks: How far apart weeks are that hardly have to do with each other.
    """
    angle = np.pi * np.abs(day[:, None] - day) / DAYS_PER_YEAR
    length = 2 * np.pi * 7 * curve_weeks / DAYS_PER_YEAR
    return np.exp(-2 * (np.sin(angle) / length) ** 2)


def week_of_year(day: np.ndarray) -> np.ndarray:
    """Correlation of what the same week of the year brings, shape (n_weeks, n_weeks).

    Weeks of two years begin some days apart, more with each year between them; a week later hardly
    anything is left. A yes or no would not be a correlation: of three years the first and the last
    would differ where both are like the one between, and a sum of squares could fall below 0.

    Args:
        day: Of the year, see `days_of_year`.
    """
    apart = np.abs(day[:, None] - day)
    return np.exp(-((np.minimum(apart, DAYS_PER_YEAR - apart) / SAME_WEEK_DAYS) ** 2) / 2)


def days_of_year(panel: Panel) -> np.ndarray:
    """Day of the year of each week's Thursday, the STEPS weeks to come included."""
    weeks = (panel.week(week) for week in range(panel.n_weeks + STEPS))
    return np.array([(w + timedelta(days=3)).timetuple().tm_yday for w in weeks], dtype=float)
