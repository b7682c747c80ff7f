"""Forecasts for intermittent sales: chance of a sale and size of a sale, smoothed separately.

Sizes are log-normal, so the forecast is a full distribution. Where fewer than half of the weeks
have a sale, the median is 0.

Source:
    Teunter, Syntetos and Babai (2011), doi 10.1016/j.ejor.2011.05.018 (TSB: weeks without a sale
    update the chance too).
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
        season: As of `season_of`, shape (n_weeks + STEPS,); it changes the sizes.
        usual_chance: Chance of a sale in a week for new products, after the week of the first sale.
    """
    n_weeks = units.shape[1]
    chance, size, variance = _smoothed(units, season[:n_weeks], usual_chance)
    with np.errstate(divide="ignore", invalid="ignore"):
        # level among weeks with a sale that corresponds to the level among all weeks
        of_sales = 1 - (1 - LEVELS) / chance[:, None]
        z = ndtri(np.clip(of_sales, 1e-9, 1 - 1e-9))
    logs = size[:, None] + np.sqrt(variance)[:, None] * z
    units_by_level = np.where(of_sales[:, None] > 0, np.exp(logs)[:, None], 0.0)
    return np.log1p(units_by_level * np.exp(season[n_weeks:])[None, :, None])


def _smoothed(
    units: np.ndarray, season: np.ndarray, usual_chance: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Chance of a sale in a week, mean and variance of its log size, shape (n_products,) each.

    The week of the first sale counts for the size only, not for the chance.
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
