"""Sales adjusted to a product's usual price.

A week on offer sells more than later weeks will. Future prices are unknown and assumed to be usual,
so past sales are converted to the usual price. Orders by the pallet have a lower unit price too, so
on a wholesaler's sales this also reduces large orders. The backtest decides whether it helps a
shop.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ml_tasks.demand.panel import SEASON_WEEKS, Panel

# Ratios to the usual price are clipped to this range: beyond it, prices are not offers.
MIN_RATIO, MAX_RATIO = 0.3, 1.5
MAX_ELASTICITY = 4.0
# Shrinks the elasticity to 0 like this many weeks with a third off and no effect.
PRIOR_OFFERS = 20.0
OFFER_SQUARE = np.log(2 / 3) ** 2


def at_usual_price(panel: Panel, elasticity: float) -> Panel:
    """The panel with the units of each week converted to the product's usual price.

    Args:
        panel: Some products of the shop, or all.
        elasticity: The shop's elasticity, as of `elasticity_of`.
    """
    return replace(panel, units=panel.units * np.exp(elasticity * log_price_ratio(panel)))


def log_price_ratio(panel: Panel) -> np.ndarray:
    """Log of each week's mean price over the product's median price of the last year.

    Returns:
        Shape (n_products, n_weeks); 0 without a sale.
    """
    is_sale = (panel.units > 0) & (panel.amount > 0)
    price = np.where(is_sale, panel.amount / np.where(is_sale, panel.units, 1.0), np.nan)
    recent = price[:, -SEASON_WEEKS:]
    usual = np.full((len(price), 1), np.nan)
    has_price = ~np.isnan(recent).all(axis=1)
    usual[has_price] = np.nanmedian(recent[has_price], axis=1, keepdims=True)
    ratio = np.nan_to_num(price / usual, nan=1.0).clip(MIN_RATIO, MAX_RATIO)
    return np.log(ratio)


def elasticity_of(panel: Panel, season: np.ndarray) -> float:
    """The shop's price elasticity: percent more sales for a price 1 % lower, in [0, 4].

    The estimate is least squares within products, over weeks with a sale, without the season.

    Args:
        panel: All products.
        season: Log of the season's factor, shape (n_weeks or more,).
    """
    units, log_ratio = panel.units, log_price_ratio(panel)
    is_sale = units > 0
    logs = np.log(np.where(is_sale, units, 1.0)) - season[: units.shape[1]]
    count = np.maximum(is_sale.sum(axis=1, keepdims=True), 1)

    def within(values: np.ndarray) -> np.ndarray:
        centred = values - np.where(is_sale, values, 0.0).sum(axis=1, keepdims=True) / count
        return np.where(is_sale, centred, 0.0)

    price = within(log_ratio)
    slope = (price * within(logs)).sum() / ((price**2).sum() + PRIOR_OFFERS * OFFER_SQUARE)
    return float(np.clip(-slope, 0.0, MAX_ELASTICITY))
