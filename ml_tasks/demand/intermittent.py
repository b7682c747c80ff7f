"""Products that sell now and then: the chance of a sale and its size, each smoothed by itself.

Sizes are log-normal, so the forecast is a whole distribution: where fewer than half of the weeks
have a sale the median is 0.

Source:
    Teunter, Syntetos and Babai (2011), doi 10.1016/j.ejor.2011.05.018 (TSB: the chance is updated
    in weeks without a sale, too).
"""

from __future__ import annotations

import numpy as np
from scipy.special import ndtri

CHANCE_WEIGHT, SIZE_WEIGHT = 0.15, 0.15
LEVELS = np.array([0.1, 0.5, 0.9])
MIN_SIZE_SD = 0.3


def forecast(units: np.ndarray, season: np.ndarray, usual_chance: float) -> np.ndarray:
    """Quantiles .1, .5, .9 of log(1 + units) in the weeks to come, shape (n_products, STEPS, 3).

    Args:
        units: Shape (n_products, n_weeks); NaN before a product's first sale.
        season: As of `season_of`, shape (n_weeks + STEPS,): it moves the sizes.
        usual_chance: Of a sale in a week after the one of the first sale, of new products.
    """
    n_weeks = units.shape[1]
    chance, size, variance = _smoothed(units, season[:n_weeks], usual_chance)
    with np.errstate(divide="ignore", invalid="ignore"):
        # the quantile among sales that is the asked one among all weeks
        of_sales = 1 - (1 - LEVELS) / chance[:, None]
        z = ndtri(np.clip(of_sales, 1e-9, 1 - 1e-9))
    logs = size[:, None] + np.sqrt(variance)[:, None] * z
    units_by_level = np.where(of_sales[:, None] > 0, np.exp(logs)[:, None], 0.0)
    return np.log1p(units_by_level * np.exp(season[n_weeks:])[None, :, None])


def _smoothed(
    units: np.ndarray, season: np.ndarray, usual_chance: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Chance of a sale in a week, mean and variance of the log of its size; (n_products,) each.

    The week of the first sale says how large a sale is, not how likely.
    """
    n_products = len(units)
    chance, size = np.full(n_products, usual_chance), np.zeros(n_products)
    variance, has_size = np.full(n_products, MIN_SIZE_SD**2), np.zeros(n_products, dtype=bool)
    for week in range(units.shape[1]):
        sales = units[:, week]
        is_live, is_sale = ~np.isnan(sales), np.nan_to_num(sales) > 0
        chance = np.where(is_live & has_size, chance + CHANCE_WEIGHT * (is_sale - chance), chance)
        log_size = np.log(np.where(is_sale, sales, 1.0)) - season[week]
        miss = np.where(has_size, log_size - size, 0.0)
        size = np.where(is_sale, np.where(has_size, size + SIZE_WEIGHT * miss, log_size), size)
        spread = variance + SIZE_WEIGHT * (miss**2 - variance)
        variance = np.where(is_sale & has_size, np.maximum(spread, MIN_SIZE_SD**2), variance)
        has_size |= is_sale
    return chance, size, variance
