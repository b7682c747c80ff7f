"""Accuracy of past survival scores; a figure that cannot be computed is NaN."""

from __future__ import annotations

import pandas as pd

from ml_tasks.evaluation import metrics
from ml_tasks.lookback.probabilities import figures_of


def figures(rows: pd.DataFrame, horizon_days: int) -> dict[str, float]:
    """Brier score and calibration of an order within the horizon, concordance of expected days.

    Args:
        rows: Columns happened_days (days until the order; NaN if there was none),
            order_probability_<horizon_days>d, expected_days_to_next_order.
        horizon_days: One of the contract's `horizons_days`.
    """
    days = rows["happened_days"].fillna(horizon_days + 1).to_numpy(dtype=float)
    has_ordered = (days <= horizon_days).astype(float)
    probability = rows[f"order_probability_{horizon_days}d"]
    computed = figures_of(has_ordered, probability, "order_rate")
    expected_days = rows["expected_days_to_next_order"].to_numpy(dtype=float)
    computed.pop("auc", None)  # concordance measures the ranking; absent without rows
    return {"concordance": metrics.concordance(days, expected_days, horizon_days), **computed}
