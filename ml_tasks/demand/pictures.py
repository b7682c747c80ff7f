"""Plots for the model card of demand: products, residuals and coverage at the newest origin."""

from __future__ import annotations

import numpy as np

from ml_tasks.demand.backtest import BLEND, Backtest
from ml_tasks.demand.evaluate import evaluated_at, forecast_at
from ml_tasks.evaluation import plots as pictures

COUNT_PRODUCTS = 3
SHOWN_WEEKS = 26


def plots(tested: Backtest) -> dict[str, bytes]:
    """Plot the newest origin: file name -> PNG; empty if no product was evaluated."""
    if not tested.evaluated():
        return {}
    newest = evaluated_at(tested, forecast_at(tested, len(tested.origins) - 1))
    if newest is None:
        return {}
    pack = tested.panel.pack
    history, actual, units = newest.history * pack, newest.actual * pack, newest.units[BLEND] * pack
    heaviest = np.argsort(-newest.revenue, kind="stable")[:COUNT_PRODUCTS]
    is_inside = (actual >= units[..., 0]) & (actual <= units[..., 2])
    files = {
        f"forecast_{place}.png": pictures.forecast(
            history[row, -SHOWN_WEEKS:], actual[row], units[row]
        )
        for place, row in enumerate(heaviest, start=1)
    }
    misses = np.log1p(actual) - np.log1p(units[..., 1])
    return files | {
        "coverage.png": pictures.coverage(is_inside.mean(axis=0), promised=0.8),
        "residuals.png": pictures.residuals(misses.ravel(), "log(1 + units) less the forecast's"),
    }
