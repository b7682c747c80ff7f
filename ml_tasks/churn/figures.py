"""How good past scores of churn were; a figure that cannot be computed is NaN."""

from __future__ import annotations

import pandas as pd

from ml_tasks.lookback.probabilities import figures_of


def figures(rows: pd.DataFrame) -> dict[str, float]:
    """AUC, Brier score, calibration error, and mean probability against the rate.

    Args:
        rows: happened_orders, churn_probability_90d.
    """
    stayed_away = (rows["happened_orders"] == 0).to_numpy(dtype=float)
    return figures_of(stayed_away, rows["churn_probability_90d"], "churn_rate")
