"""Sales as they would have been at a product's usual price.

A week on offer sells more and says too much of the weeks to come, whose prices nobody has told us:
they are taken to be usual. Orders by the pallet are cheaper a piece, too, so on a wholesaler's
sales this tames large orders; whether it helps a shop is for the backtest to say.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ml_tasks.demand.panel import SEASON_WEEKS, Panel

# Prices further from the usual one are taken for other things than offers.
MIN_RATIO, MAX_RATIO = 0.3, 1.5
MAX_ELASTICITY = 4.0
# Pulls the elasticity to 0: as much as these many weeks of an offer of a third off.
PRIOR_OFFERS = 20.0
OFFER_SQUARE = np.log(2 / 3) ** 2


def at_usual_price(panel: Panel, elasticity: float) -> Panel:
    """The panel with the units of each week moved to the product's usual price.

    Args:
        panel: Units and takings; some products of the shop, or all.
        elasticity: Of the shop, see `elasticity_of`.
    """
    return replace(panel, units=panel.units * np.exp(elasticity * log_price_ratio(panel)))


def log_price_ratio(panel: Panel) -> np.ndarray:
    """Log of each week's mean price over the product's median of a year; 0 without a sale."""
    is_sale = (panel.units > 0) & (panel.amount > 0)
    price = np.where(is_sale, panel.amount / np.where(is_sale, panel.units, 1.0), np.nan)
    recent = price[:, -SEASON_WEEKS:]
    usual = np.full((len(price), 1), np.nan)
    has_price = ~np.isnan(recent).all(axis=1)
    usual[has_price] = np.nanmedian(recent[has_price], axis=1, keepdims=True)
    ratio = np.nan_to_num(price / usual, nan=1.0).clip(MIN_RATIO, MAX_RATIO)
    return np.log(ratio)


def elasticity_of(panel: Panel, season: np.ndarray) -> float:
    """By how many percent a price 1 % lower raises sales, one figure for the shop; 0 to 4.

    Least squares within products, weeks with a sale, after the season.

    Args:
        panel: All products, units and takings.
        season: Log of the season's factor, of n_weeks or more weeks.
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
