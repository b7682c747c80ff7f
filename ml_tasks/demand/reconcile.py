"""Expected units per product that add up to the forecasts of the families' totals.

Medians of products do not add up to the median of the total, because most products sell less than
their mean. For a product that sells in most weeks, the mean follows from its quantiles. For a
product that sells rarely, the quantiles are 0; its mean is the mean of its past weeks, shrunk to
other new products if it is young. A total is forecast in two ways, by smoothing it and by adding up
the products' means. The two are averaged on the log scale, and the products' means are scaled to
the result.

Source:
    Swanson's rule: Hurst, Brown and Swanson (2000), AAPG Bulletin 84(12)
    (mean = .3 p10 + .4 p50 + .3 p90); Athanasopoulos, Ahmed and Hyndman (2009),
    doi 10.1016/j.ijforecast.2008.07.004 (shares of a total by forecast).
"""

from __future__ import annotations

import numpy as np

from ml_tasks.demand.launches import (
    LEARNT_WEEKS,
    Launches,
    after_first_sale,
    is_young,
    rates,
)
from ml_tasks.demand.panel import Panel

DECAY = 0.8
# Families with fewer products are merged into one group.
MIN_PRODUCTS = 20
LEVELS = np.array([0.1, 0.5, 0.9])
SWANSON = np.array([0.3, 0.4, 0.3])
# The total scales the products' means by this factor at most.
MAX_FACTOR = 3.0
SMALL_UNITS = 1e-9
# Weight of a week relative to the week after it, in a product's own mean.
RATE_DECAY = 0.9
REGULAR_WEEKS, REGULAR_SHARE = 26, 0.5


def means(units: np.ndarray, panel: Panel, season: np.ndarray, launches: Launches) -> np.ndarray:
    """Expected units of each product and week, shape (n_products, n_ahead), at least 0.

    Args:
        units: Quantiles of units, shape (n_products, n_ahead, 3).
        panel: Past sales of the same products.
        season: Log of the season's factor, shape (n_weeks + n_ahead,).
        launches: Launches of all products ever sold.
    """
    usual = np.exp(season)
    rate = weekly_rates(panel.units, usual[: panel.n_weeks], launches)
    trust = regularity(panel.units)[:, None]
    result = trust * (units @ SWANSON) + (1 - trust) * rate[:, None] * usual[panel.n_weeks :]
    # fill the weeks before a product's launch: else the totals would grow with the assortment
    is_known = ~np.isnan(after_first_sale(panel.units))
    past = np.where(is_known, panel.units, rate[:, None] * usual[: panel.n_weeks])
    families = groups(panel.families)
    # the totals' past is no evidence on young products
    is_old = ~is_young(panel.units)
    for family in np.unique(families[is_old]):
        members = is_old & (families == family)
        result[members] *= factor(result[members], past[members], season)
    return result


def weekly_rates(units: np.ndarray, usual: np.ndarray, launches: Launches) -> np.ndarray:
    """Mean units of each product in a week of usual season, shape (n_products,).

    Args:
        units: Shape (n_products, n_weeks); NaN before the first sale.
        usual: The season's factor of the same weeks, shape (n_weeks,).
        launches: Launches of all products, for young products.
    """
    known = after_first_sale(units)
    weight = RATE_DECAY ** np.arange(len(usual))[::-1]
    sold = np.nansum(known * weight, axis=1)
    expected = (~np.isnan(known) * weight * usual).sum(axis=1)
    own = sold / np.where(expected > 0, expected, 1.0)
    recent = float(usual[-LEARNT_WEEKS:].mean())
    return np.where(is_young(units), rates(units, launches) / recent, own)


def regularity(units: np.ndarray) -> np.ndarray:
    """Weight of the quantiles in a product's mean, shape (n_products,), in [0, 1].

    The weight is 1 for a product with a sale in REGULAR_SHARE or more of its last REGULAR_WEEKS
    weeks, proportionally less below, and 0 for a young product.
    """
    recent = after_first_sale(units)[:, -REGULAR_WEEKS:]
    count = np.maximum((~np.isnan(recent)).sum(axis=1), 1)
    share = (np.nan_to_num(recent) > 0).sum(axis=1) / count
    return np.where(is_young(units), 0.0, np.minimum(share / REGULAR_SHARE, 1.0))


def consistent(units: np.ndarray, expected: np.ndarray, least: np.ndarray) -> np.ndarray:
    """Quantiles made consistent with the mean; the .9 quantile is 0 or at least the mean.

    A quantile is 0 where the mean implies a probability of no sale above its level. By Markov's
    inequality the probability of a sale is at most the mean over the least units sold at a time: a
    mean below a tenth of these gives a .9 quantile of 0.

    Args:
        units: Quantiles of units, shape (n_products, n_ahead, 3).
        expected: Expected units of the same weeks, shape (n_products, n_ahead).
        least: Least units sold at a time, shape (n_products,).

    Returns:
        Shape as `units`.
    """
    chance = expected[..., None] / least[:, None, None]
    bounded = np.where(chance < 1 - LEVELS, 0.0, units)
    high = np.where(bounded[..., 2] > 0, np.maximum(bounded[..., 2], expected), 0.0)
    return np.concatenate([bounded[..., :2], high[..., None]], axis=-1)


def groups(families: np.ndarray) -> np.ndarray:
    """Group of each product's total, shape (n_products,); small families are one group, ""."""
    names, place, count = np.unique(families, return_inverse=True, return_counts=True)
    return np.where(count[place] >= MIN_PRODUCTS, names[place], "")


def factor(expected: np.ndarray, units: np.ndarray, season: np.ndarray) -> np.ndarray:
    """Factor on a group's means in each week, shape (n_ahead,).

    Args:
        expected: The group's means, shape (n_members, n_ahead).
        units: The group's past sales, shape (n_members, n_weeks).
        season: Log of the season's factor, shape (n_weeks + n_ahead,).
    """
    added = expected.sum(axis=0)
    direct = total_forecast(units.sum(axis=0), season)
    ratio = (direct + SMALL_UNITS) / (added + SMALL_UNITS)
    return np.clip(np.sqrt(ratio), 1 / MAX_FACTOR, MAX_FACTOR)


def total_forecast(total: np.ndarray, season: np.ndarray) -> np.ndarray:
    """Forecast a total by exponential smoothing, shape (n_ahead,).

    Args:
        total: Total units of past weeks, shape (n_weeks,).
        season: Log of the season's factor, shape (n_weeks + n_ahead,).
    """
    n_weeks = len(total)
    usual = np.exp(season)
    weight = DECAY ** np.arange(n_weeks)[::-1]
    level = (weight * total).sum() / (weight * usual[:n_weeks]).sum()
    return level * usual[n_weeks:]
