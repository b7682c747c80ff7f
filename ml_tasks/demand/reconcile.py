"""Expected units whose sums over products are the forecasts of their families' totals.

Medians of products do not add up to the total's: most products sell less than their mean. A total
is forecast both ways, by smoothing itself and by adding up the products' means; the two are
averaged on the log scale, and the products' means scaled to the result.

Source:
    Swanson's rule: Hurst, Brown and Swanson (2000), AAPG Bulletin 84(12)
    (mean = .3 p10 + .4 p50 + .3 p90); Athanasopoulos, Ahmed and Hyndman (2009),
    doi 10.1016/j.ijforecast.2008.07.004 (shares of a total by forecast).
"""

from __future__ import annotations

import numpy as np

from ml_tasks.demand.panel import Panel

DECAY = 0.8
# Families with fewer products are one, with a total worth forecasting.
MIN_PRODUCTS = 20
SWANSON = np.array([0.3, 0.4, 0.3])
# The total may move the products' means by this factor at most.
MAX_FACTOR = 3.0
SMALL_UNITS = 1e-9


def means(units: np.ndarray, panel: Panel, season: np.ndarray) -> np.ndarray:
    """Expected units of each product and week, shape (n_products, n_ahead), at least 0.

    Args:
        units: Quantiles, shape (n_products, n_ahead, 3).
        panel: Sales so far of the same products.
        season: Log of the season's factor, shape (n_weeks + n_ahead,).
    """
    result = units @ SWANSON
    families = groups(panel.families)
    for family in np.unique(families):
        members = families == family
        result[members] *= factor(result[members], panel.units[members], season)
    return result


def groups(families: np.ndarray) -> np.ndarray:
    """The group whose total each product adds to, shape (n_products,): small families are one."""
    names, place, count = np.unique(families, return_inverse=True, return_counts=True)
    return np.where(count[place] >= MIN_PRODUCTS, names[place], "")


def factor(expected: np.ndarray, units: np.ndarray, season: np.ndarray) -> np.ndarray:
    """What a group's means are multiplied by in each week, shape (n_ahead,)."""
    added = expected.sum(axis=0)
    direct = total_forecast(np.nansum(units, axis=0), season)
    ratio = (direct + SMALL_UNITS) / (added + SMALL_UNITS)
    return np.clip(np.sqrt(ratio), 1 / MAX_FACTOR, MAX_FACTOR)


def total_forecast(total: np.ndarray, season: np.ndarray) -> np.ndarray:
    """A total in the weeks to come by exponential smoothing, shape (n_ahead,).

    Args:
        total: Units of past weeks, shape (n_weeks,).
        season: Log of the season's factor, shape (n_weeks + n_ahead,).
    """
    n_weeks = len(total)
    usual = np.exp(season)
    weight = DECAY ** np.arange(n_weeks)[::-1]
    level = (weight * total).sum() / (weight * usual[:n_weeks]).sum()
    return level * usual[n_weeks:]
