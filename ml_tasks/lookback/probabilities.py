"""Figures of past probabilities, named as in `model_health`."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ml_tasks.evaluation import metrics
from ml_tasks.evaluation.bias import FIGURE, bias_of_rate


def figures_of(event: np.ndarray, probability: pd.Series, rate_name: str) -> dict[str, float]:
    """AUC, Brier score, calibration error, and mean probability against the event rate.

    Args:
        event: 1.0 if the event happened, else 0.0, shape (n,).
        probability: Predicted probability of the event, shape (n,).
        rate_name: Name of the figure with the share of events.

    Returns:
        Figure -> value; NaN if it cannot be computed; empty without rows.
    """
    p = probability.to_numpy(dtype=float)
    if len(p) == 0:
        return {}
    return {
        "auc": metrics.auc(event, p),
        "brier": float(np.mean((p - event) ** 2)),
        "calibration_error": metrics.calibration_error(event, p),
        "mean_probability": float(p.mean()),
        rate_name: float(event.mean()),
        "mean_error": float(p.mean() - event.mean()),
        FIGURE: bias_of_rate(float(p.mean()), float(event.mean())),
    }
