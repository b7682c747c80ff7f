"""Expected units whose sums over products are the forecasts of their families' totals.

Medians of products do not add up to the total's: most products sell less than their mean. What a
product that sells in most weeks is expected to sell follows from its quantiles. The quantiles of
one that is rarely sold are 0 and say nothing: what it sold a week so far does, and of a young one
that and what other new products sold. A total is forecast both ways, by smoothing itself and by
adding up the products' means; the two are averaged on the log scale, and the products' means
scaled to the result.

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
# Families with fewer products are one, with a total worth forecasting.
MIN_PRODUCTS = 20
LEVELS = np.array([0.1, 0.5, 0.9])
SWANSON = np.array([0.3, 0.4, 0.3])
# The total may move the products' means by this factor at most.
MAX_FACTOR = 3.0
SMALL_UNITS = 1e-9
# Weight of a week by that of the week after it, in a product's own mean.
RATE_DECAY = 0.9
REGULAR_WEEKS, REGULAR_SHARE = 26, 0.5


def means(units: np.ndarray, panel: Panel, season: np.ndarray, launches: Launches) -> np.ndarray:
    """Expected units of each product and week, shape (n_products, n_ahead), at least 0.

    Args:
        units: Quantiles, shape (n_products, n_ahead, 3).
        panel: Sales so far of the same products.
        season: Log of the season's factor, shape (n_weeks + n_ahead,).
        launches: Of all products that were ever sold.
    """
    usual = np.exp(season)
    rate = weekly_rates(panel.units, usual[: panel.n_weeks], launches)
    trust = regularity(panel.units)[:, None]
    result = trust * (units @ SWANSON) + (1 - trust) * rate[:, None] * usual[panel.n_weeks :]
    # weeks before a product came would make the totals' history grow with the assortment
    is_known = ~np.isnan(after_first_sale(panel.units))
    past = np.where(is_known, panel.units, rate[:, None] * usual[: panel.n_weeks])
    families = groups(panel.families)
    # the totals' past says nothing of products that were not there
    is_old = ~is_young(panel.units)
    for family in np.unique(families[is_old]):
        members = is_old & (families == family)
        result[members] *= factor(result[members], past[members], season)
    return result


def weekly_rates(units: np.ndarray, usual: np.ndarray, launches: Launches) -> np.ndarray:
    """Units in a week of usual season by a product's own sales, shape (n_products,).

    Args:
        units: Shape (n_products, n_weeks); NaN before the first sale.
        usual: The season's factor of the same weeks.
        launches: Of all products: what the young lean on.
    """
    known = after_first_sale(units)
    weight = RATE_DECAY ** np.arange(len(usual))[::-1]
    sold = np.nansum(known * weight, axis=1)
    expected = (~np.isnan(known) * weight * usual).sum(axis=1)
    own = sold / np.where(expected > 0, expected, 1.0)
    recent = float(usual[-LEARNT_WEEKS:].mean())
    return np.where(is_young(units), rates(units, launches) / recent, own)


def regularity(units: np.ndarray) -> np.ndarray:
    """How far a product's quantiles tell its mean, shape (n_products,), 0 to 1.

    1 if half of the last year's half had a sale, and in proportion below; 0 of a young product.
    """
    recent = after_first_sale(units)[:, -REGULAR_WEEKS:]
    count = np.maximum((~np.isnan(recent)).sum(axis=1), 1)
    share = (np.nan_to_num(recent) > 0).sum(axis=1) / count
    return np.where(is_young(units), 0.0, np.minimum(share / REGULAR_SHARE, 1.0))


def consistent(units: np.ndarray, expected: np.ndarray, least: np.ndarray) -> np.ndarray:
    """Quantiles that the mean allows for, the .9 one not below it unless that is 0; same shape.

    Nine weeks in ten without a sale are a .9 quantile of 0, whatever the mean; and a mean of less
    than a tenth of what is sold at a time says that there are so many (Markov's inequality).

    Args:
        units: Quantiles, shape (n_products, n_ahead, 3).
        expected: Of the same weeks, shape (n_products, n_ahead).
        least: That a product sells at a time, shape (n_products,).
    """
    chance = expected[..., None] / least[:, None, None]
    found = np.where(chance < 1 - LEVELS, 0.0, units)
    high = np.where(found[..., 2] > 0, np.maximum(found[..., 2], expected), 0.0)
    return np.concatenate([found[..., :2], high[..., None]], axis=-1)


def groups(families: np.ndarray) -> np.ndarray:
    """The group whose total each product adds to, shape (n_products,): small families are one."""
    names, place, count = np.unique(families, return_inverse=True, return_counts=True)
    return np.where(count[place] >= MIN_PRODUCTS, names[place], "")


def factor(expected: np.ndarray, units: np.ndarray, season: np.ndarray) -> np.ndarray:
    """What a group's means are multiplied by in each week, shape (n_ahead,)."""
    added = expected.sum(axis=0)
    direct = total_forecast(units.sum(axis=0), season)
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
