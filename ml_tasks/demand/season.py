"""The shop's season: how far sales in a week of the year lie above or below the usual.

All products share one season. With barely two years of weeks, the season of one product is mostly
noise (on Online Retail II a product's own last year makes forecasts worse). The season of the shop
is not: closed weeks, Easter, the weeks before Christmas.
"""

from __future__ import annotations

from datetime import timedelta

import numpy as np
from scipy import stats

from ml_tasks.demand.panel import HORIZON_WEEKS, SEASON_WEEKS, STEPS, Panel

# Prior standard deviations, log scale: of a single week of the year, of the smooth curve of the
# year, of a week's drift and of a week's noise.
WEEK_SD, CURVE_SD, DRIFT_SD, NOISE_SD = 0.2, 0.2, 0.03, 0.15
LEVEL_SD = 3.0
CURVE_WEEKS = 3.0
DAYS_PER_YEAR = 365.25
# With fewer weeks, none of the weeks to forecast was observed last year.
MIN_WEEKS = SEASON_WEEKS - HORIZON_WEEKS
SAME_WEEK_DAYS = 2.5
# Share of the measured response of products to the shop's season that forecasts use: it is measured
# on the same weeks that the season is learnt from, which overstates it.
SHARE = 0.75
MIN_FOLLOWED, MAX_FOLLOWED = 1.0, 1.75
REGULAR_SHARE = 0.7
AROUND_WEEKS = 4
# Below this, log scale, the shop was closed: such weeks do not count for the response.
CLOSED = -1.2
OUTLIER_QUANTILE = 0.95
SMALL_SHARE = 0.01


def season_of(panel: Panel) -> np.ndarray:
    """Log of the season's factor in each week of a panel and the STEPS after it.

    The log of the total over products, without single large orders, is a drifting level plus a
    curve of the year plus noise (a Gaussian process regression). The season is the posterior mean
    of the curve, so that an effect seen in one year counts in part.

    Returns:
        Shape (n_weeks + STEPS,); zeros with fewer than MIN_WEEKS weeks.

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
    """Response of regular products to the shop's season: percent of sales per percent of season.

    The estimate is least squares on weeks minus the mean of the weeks around them, which removes
    each product's own trend. The season is a posterior mean, shrunk to 0, so the response is above
    1 in a shop with products that move together.

    Args:
        units: Shape (n_products, n_weeks).
        season: Log of the season's factor, shape (n_weeks,).

    Returns:
        In [MIN_FOLLOWED, MAX_FOLLOWED].
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
    """Each week minus the mean of the weeks around it, shape (n, n_weeks); the ends repeat."""
    padded = np.pad(values, ((0, 0), (AROUND_WEEKS, AROUND_WEEKS)), mode="edge")
    around = np.lib.stride_tricks.sliding_window_view(padded, 2 * AROUND_WEEKS + 1, axis=1)
    return values - around.mean(axis=-1)


def without_outliers(units: np.ndarray, quantile: float) -> np.ndarray:
    """Units clipped to a quantile of each product's weeks with a sale, shape as `units`.

    Args:
        units: Shape (n_products, n_weeks).
        quantile: Level of the quantile, in [0, 1].
    """
    sold = np.where(units > 0, units, np.nan)
    none = np.isnan(sold).all(axis=1)
    ceiling = np.full(len(units), np.inf)
    if not none.all():  # np.nanquantile works product by product, in 30 times the time
        ceiling[~none] = stats.quantile(sold[~none], quantile, axis=1, nan_policy="omit")
    return np.minimum(units, ceiling[:, None])


def curve_of_year(day: np.ndarray, curve_weeks: float) -> np.ndarray:
    """Correlation of a smooth curve of the year between weeks, shape (n_weeks, n_weeks).

    Args:
        day: Days of the year, as of `days_of_year`.
        curve_weeks: Length scale in weeks: weeks farther apart are nearly uncorrelated.
    """
    angle = np.pi * np.abs(day[:, None] - day) / DAYS_PER_YEAR
    length = 2 * np.pi * 7 * curve_weeks / DAYS_PER_YEAR
    return np.exp(-2 * (np.sin(angle) / length) ** 2)


def week_of_year(day: np.ndarray) -> np.ndarray:
    """Correlation between the effects of single weeks of the year, shape (n_weeks, n_weeks).

    The same week begins on other days in another year, by more the more years lie between. So the
    correlation falls with the distance in days, to nearly 0 a week apart. An indicator of the same
    week would not be a valid correlation: the first and the last of three years could differ while
    both equal the second, and the matrix would not be positive semidefinite.

    Args:
        day: Days of the year, as of `days_of_year`.
    """
    apart = np.abs(day[:, None] - day)
    return np.exp(-((np.minimum(apart, DAYS_PER_YEAR - apart) / SAME_WEEK_DAYS) ** 2) / 2)


def days_of_year(panel: Panel) -> np.ndarray:
    """Day of the year of each week's Thursday, the STEPS weeks to come included.

    Returns:
        Shape (n_weeks + STEPS,), in [1, 366].
    """
    weeks = (panel.week(week) for week in range(panel.n_weeks + STEPS))
    return np.array([(w + timedelta(days=3)).timetuple().tm_yday for w in weeks], dtype=float)
