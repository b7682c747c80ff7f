"""Robust exponential smoothing of sales without the shop's season.

Sales have heavy tails: one wholesale order is little evidence on next week. So a product's few
largest weeks are clipped, and the rest is smoothed on the square-root scale, between the mean
(which follows large orders) and the median (which ignores them). On Online Retail II this alone
beats Theta, ETS, ARIMA and Croston's methods.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ml_tasks.demand.launches import LAUNCH_WEEKS, MIN_LAUNCHES, after_first_sale
from ml_tasks.demand.panel import Panel
from ml_tasks.demand.season import without_outliers

DECAY = 0.75  # weight of a week relative to the week after it
OUTLIER_QUANTILE = 0.9
# A product's family counts as this many weeks before its first one.
PRIOR_WEEKS = 2.0
SPREAD_WEEKS, SPREAD_PRIOR_WEEKS = 26, 4.0
MIN_SPREAD_WEEKS = 8
DEFAULT_SIGMA = 0.8
Z_P90 = 1.2815515655446004


@dataclass(frozen=True)
class Usual:
    """Usual level and spread in the shop, to which products with little history are shrunk.

    Attributes:
        launch_roots: Family -> square root of a new product's usual units a week.
        launch_root: The same for families with few new products.
        variance: Variance of a week around its level, log scale.
    """

    launch_roots: dict[str, float]
    launch_root: float
    variance: float


def usual_of(panel: Panel, season: np.ndarray) -> Usual:
    """Compute the usual level and spread of a shop; the order of products does not matter.

    Args:
        panel: All products.
        season: As of `season_of`, shape (n_weeks + STEPS,).
    """
    launches = Usual(*_launches(panel), variance=DEFAULT_SIGMA**2)
    factor = np.exp(season)
    squares, count = _misses(panel, _level(panel, factor, launches), factor)
    enough = count >= MIN_SPREAD_WEEKS
    if not enough.any():
        return launches
    # the median, because the error of a product that is no longer sold is its whole log
    return replace(launches, variance=float(np.median(squares[enough] / count[enough])))


def forecast(panel: Panel, season: np.ndarray, usual: Usual) -> np.ndarray:
    """Quantiles .1, .5, .9 of log(1 + units) in the weeks to come, shape (n_products, STEPS, 3).

    Args:
        panel: Some products of the shop, or all, at least one week.
        season: As of `season_of`, shape (n_weeks + STEPS,).
        usual: As of `usual_of`, from all products.
    """
    factor = np.exp(season)
    level = _level(panel, factor, usual)
    median = np.log1p(level[:, None] * factor[panel.n_weeks :])
    squares, count = _misses(panel, level, factor)
    pulled = (squares + SPREAD_PRIOR_WEEKS * usual.variance) / (count + SPREAD_PRIOR_WEEKS)
    spread = Z_P90 * np.sqrt(pulled)[:, None]
    return np.stack([median - spread, median, median + spread], axis=-1)


def _level(panel: Panel, factor: np.ndarray, usual: Usual) -> np.ndarray:
    """Units in a week of usual season, shape (n_products,).

    The level is a ratio of sums, so that weeks with the shop closed have no weight.
    """
    units = after_first_sale(panel.units)
    roots = np.sqrt(np.nan_to_num(without_outliers(units, OUTLIER_QUANTILE)))
    is_live = ~np.isnan(units)
    later = np.cumsum(is_live[:, ::-1], axis=1)[:, ::-1]  # a closure stops the clock
    weight = DECAY ** (later - 1) * is_live
    prior = PRIOR_WEEKS * DECAY ** is_live.sum(axis=1)
    launch_roots = [usual.launch_roots.get(f, usual.launch_root) for f in panel.families.tolist()]
    sold = (weight * roots).sum(axis=1) + prior * np.array(launch_roots)
    expected = (weight * np.sqrt(factor[: panel.n_weeks])).sum(axis=1) + prior
    return (sold / expected) ** 2


def _launches(panel: Panel) -> tuple[dict[str, float], float]:
    """Root of the usual units a week of new products: by family, and for all other families.

    New products are those first sold after the panel's first week. A family with few new products
    gets the figure of the shop; a shop with few gets the median of all products.
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
    names, count = np.unique(panel.families[was_new], return_counts=True)
    of_family = {
        str(name): float(own[was_new & (panel.families == name)].mean())
        for name in names[count >= MIN_LAUNCHES]
    }
    return of_family, float(of_shop)


def _misses(panel: Panel, level: np.ndarray, factor: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sum of squared errors of the level in recent weeks, log scale, and the number of weeks."""
    recent = after_first_sale(panel.units)[:, -SPREAD_WEEKS:]
    n_weeks = panel.n_weeks
    expected = np.log1p(level[:, None] * factor[max(n_weeks - SPREAD_WEEKS, 0) : n_weeks])
    squares = (np.log1p(recent) - expected) ** 2
    return np.nansum(squares, axis=1), (~np.isnan(squares)).sum(axis=1)
