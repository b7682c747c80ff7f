"""Weeks without a sale that say nothing of a product's demand: it could not be bought.

A shop under repair, a product out of stock: what sold each week sells nothing for a while and comes
back as it was. A spell is taken for such a closure if it is too long for chance.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ml_tasks.demand.panel import Panel

# Of a spell, if the product's weeks without a sale fell at random.
MAX_CHANCE = 1e-6


def closed(units: np.ndarray) -> np.ndarray:
    """Whether a week belongs to such a spell, shape as `units`, (n_products, n_weeks)."""
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
    """The panel with NaN in closures that are over; whether one that runs will end is unknown."""
    is_over = np.cumsum(panel.units[:, ::-1] > 0, axis=1)[:, ::-1] > 0
    return replace(panel, units=np.where(closed(panel.units) & is_over, np.nan, panel.units))
