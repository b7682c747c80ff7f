"""What the model card shows of the newest tested origin: products, residuals, coverage."""

from __future__ import annotations

import numpy as np

from ml_tasks.demand.backtest import BLEND, Backtest
from ml_tasks.demand.evaluate import forecast_at, judged_at
from ml_tasks.evaluation import plots as pictures

COUNT_PRODUCTS = 3
SHOWN_WEEKS = 26


def plots(tested: Backtest) -> dict[str, bytes]:
    """File name -> PNG of the newest origin; none where nothing was judged."""
    if not tested.judged():
        return {}
    judged = judged_at(tested, forecast_at(tested, len(tested.origins) - 1))
    if judged is None:
        return {}
    pack = tested.panel.pack
    history, actual, units = judged.history * pack, judged.actual * pack, judged.units[BLEND] * pack
    heaviest = np.argsort(-judged.revenue, kind="stable")[:COUNT_PRODUCTS]
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
