"""What the model card shows of the newest tested origin: products, residuals, coverage."""

from __future__ import annotations

from typing import Any

import numpy as np

from ml_tasks.demand.backtest import Backtest
from ml_tasks.demand.evaluate import judged_units
from ml_tasks.evaluation import plots as pictures

COUNT_PRODUCTS = 3
SHOWN_WEEKS = 26


def plots(tested: Backtest, report: dict[str, Any]) -> dict[str, bytes]:
    """File name -> PNG; none where nothing was judged."""
    judged = judged_units(tested, len(tested.origins) - 1) if report else None
    if judged is None:
        return {}
    pack = tested.panel.pack
    history, actual, units = (judged[name] * pack for name in ("history", "actual", "units"))
    heaviest = np.argsort(-judged["revenue"], kind="stable")[:COUNT_PRODUCTS]
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
