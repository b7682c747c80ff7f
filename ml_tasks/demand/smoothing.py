"""Robust exponential smoothing of sales freed from the shop's season.

Shops sell in heavy tails: one wholesale order says little about next week. So a product's few
largest weeks are cut off and the rest smoothed on the square-root scale, which lies between the
mean (chases large orders) and the median (forgets them). On Online Retail II this alone beats
Theta, ETS, ARIMA and Croston's methods.
"""

from __future__ import annotations

import numpy as np

from ml_tasks.demand.panel import Panel
from ml_tasks.demand.season import without_outliers

DECAY = 0.75  # weight of a week by that of the week after it
OUTLIER_QUANTILE = 0.9
# A product's family counts as this many weeks before its first one.
PRIOR_WEEKS = 2.0
LAUNCH_WEEKS = 8
MIN_LAUNCHES = 5
SPREAD_WEEKS, SPREAD_PRIOR_WEEKS = 26, 4.0
MIN_SPREAD_WEEKS = 8
DEFAULT_SIGMA = 0.8
Z_P90 = 1.2815515655446004


def forecast(panel: Panel, season: np.ndarray) -> np.ndarray:
    """Quantiles .1, .5, .9 of log(1 + units) in the weeks to come, shape (n_products, STEPS, 3).

    Args:
        panel: At least one week.
        season: As of `season_of`, shape (n_weeks + STEPS,).
    """
    factor = np.exp(season)
    level = _level(panel, factor[: panel.n_weeks])
    median = np.log1p(level[:, None] * factor[panel.n_weeks :])
    spread = Z_P90 * _sigma(panel.units, level, factor)[:, None]
    return np.stack([median - spread, median, median + spread], axis=-1)


def _level(panel: Panel, factor: np.ndarray) -> np.ndarray:
    """Units in a week of usual season, shape (n_products,).

    A ratio of sums, so that a week in which the shop was closed has no say.
    """
    roots = np.sqrt(np.nan_to_num(without_outliers(panel.units, OUTLIER_QUANTILE)))
    is_live = ~np.isnan(panel.units)
    later = np.cumsum(is_live[:, ::-1], axis=1)[:, ::-1]  # a closure stops the clock
    weight = DECAY ** (later - 1) * is_live
    prior = PRIOR_WEEKS * DECAY ** is_live.sum(axis=1)
    sold = (weight * roots).sum(axis=1) + prior * np.sqrt(_launch_level(panel))
    expected = (weight * np.sqrt(factor)).sum(axis=1) + prior
    return (sold / expected) ** 2


def _launch_level(panel: Panel) -> np.ndarray:
    """Usual units a week of a new product of the same family, shape (n_products,).

    By products that were first sold in the panel's course; the whole shop's where the family had
    few, and what all products usually sell where the shop had few.
    """
    is_live = ~np.isnan(panel.units)
    age = np.cumsum(is_live, axis=1)
    # the week of the first sale is cut short, and has a sale by definition
    is_launch = (age > 1) & (age <= 1 + LAUNCH_WEEKS) & ~is_live[:, :1]
    roots = np.where(is_launch, np.sqrt(np.nan_to_num(panel.units)), 0.0).sum(axis=1)
    own = roots / np.maximum(is_launch.sum(axis=1), 1)
    was_new = is_launch.any(axis=1)
    usual = np.nanmedian(np.sqrt(panel.units)) if is_live.any() else 0.0
    of_shop = own[was_new].mean() if was_new.sum() >= MIN_LAUNCHES else usual
    level = np.full(len(own), of_shop)
    for family in np.unique(panel.families):
        members = panel.families == family
        if (members & was_new).sum() >= MIN_LAUNCHES:
            level[members] = own[members & was_new].mean()
    return level**2


def _sigma(units: np.ndarray, level: np.ndarray, factor: np.ndarray) -> np.ndarray:
    """Spread of recent weeks about the level on the log scale, pulled towards the shop's."""
    recent = units[:, -SPREAD_WEEKS:]
    n_weeks = units.shape[1]
    expected = np.log1p(level[:, None] * factor[max(n_weeks - SPREAD_WEEKS, 0) : n_weeks])
    squares = (np.log1p(recent) - expected) ** 2
    count = (~np.isnan(squares)).sum(axis=1)
    total = np.nansum(squares, axis=1)
    enough = count >= MIN_SPREAD_WEEKS
    # the median: a product that fell asleep is off by its whole log
    shop = np.median(total[enough] / count[enough]) if enough.any() else DEFAULT_SIGMA**2
    return np.sqrt((total + SPREAD_PRIOR_WEEKS * shop) / (count + SPREAD_PRIOR_WEEKS))
