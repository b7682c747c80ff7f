"""Accuracy of past churn scores; a figure that cannot be computed is NaN."""

from __future__ import annotations

import pandas as pd

from ml_tasks.lookback.probabilities import figures_of


def figures(rows: pd.DataFrame) -> dict[str, float]:
    """AUC, Brier score, calibration error, mean churn probability and actual churn rate.

    Args:
        rows: Columns happened_orders (orders placed in the 90 days), churn_probability_90d.
    """
    stayed_away = (rows["happened_orders"] == 0).to_numpy(dtype=float)
    return figures_of(stayed_away, rows["churn_probability_90d"], "churn_rate")
