"""Closures: weeks without a sale in which a product could not be bought.

While a shop is under repair or a product is out of stock, a product that sold each week sells
nothing, and then sells as before. Such weeks are no evidence on demand. A run of weeks without a
sale is a closure if it is too long to happen by chance.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ml_tasks.demand.panel import Panel

# Largest probability of a closure's run, if the product's weeks without a sale were random.
MAX_CHANCE = 1e-6


def closed(units: np.ndarray) -> np.ndarray:
    """True for weeks of a closure, shape as `units`.

    Args:
        units: Shape (n_products, n_weeks); NaN before a product's first sale.
    """
    is_none = units == 0
    count_live = np.maximum((~np.isnan(units)).sum(axis=1), 1)
    share_none = is_none.sum(axis=1) / count_live
    longest = np.zeros_like(units)
    run = np.zeros(len(units))
    for week in range(units.shape[1]):
        run = (run + 1) * is_none[:, week]
        longest[:, week] = run
    for week in reversed(range(units.shape[1] - 1)):
        goes_on = is_none[:, week] & is_none[:, week + 1]
        longest[:, week] = np.where(goes_on, longest[:, week + 1], longest[:, week])
    return is_none & (share_none[:, None] ** longest < MAX_CHANCE)


def without_past(panel: Panel) -> Panel:
    """The panel with NaN in closures that have ended.

    A closure in the newest weeks stays 0: whether it will end is unknown.
    """
    is_over = np.cumsum(panel.units[:, ::-1] > 0, axis=1)[:, ::-1] > 0
    return replace(panel, units=np.where(closed(panel.units) & is_over, np.nan, panel.units))
