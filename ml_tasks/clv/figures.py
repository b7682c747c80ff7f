"""Accuracy of past CLV scores; a figure that cannot be computed is NaN."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ml_tasks.evaluation import metrics
from ml_tasks.evaluation.bias import FIGURE


def figures(rows: pd.DataFrame, horizon_days: int) -> dict[str, float]:
    """Gini, total error and mean absolute error of spend, and the coverage of the interval.

    The absolute error is that of the median where there is one: a mean does not minimise it.

    Args:
        rows: Columns happened_spend_amount (spend in the horizon) and
            predicted_spend_amount_<horizon_days>d, with suffixes _p50, _lower and _upper if any.
        horizon_days: 90 or 365.

    Returns:
        Figure -> value; empty if no row has a prediction.
    """
    name = f"predicted_spend_amount_{horizon_days}d"
    rows = rows[rows[name].notna()]
    if rows.empty:
        return {}
    spend = rows["happened_spend_amount"].to_numpy(dtype=float)
    mean = rows[name].to_numpy(dtype=float)
    # a repeat of the past has no median
    middle = rows.get(f"{name}_p50", rows[name]).fillna(rows[name]).to_numpy(dtype=float)
    total_error = metrics.total_error(spend, mean)
    computed = {
        "gini": metrics.normalised_gini(spend, mean),
        "total_error": total_error,
        "abs_total_error": abs(total_error),
        FIGURE: total_error,
        "mean_absolute_error": float(np.abs(spend - middle).mean()),
        "predicted_total_amount": float(mean.sum()),
        "actual_total_amount": float(spend.sum()),
    }
    lower, upper = rows.get(f"{name}_lower"), rows.get(f"{name}_upper")
    if lower is not None and upper is not None and lower.notna().all():
        computed["coverage_80"] = float(np.mean((lower <= spend) & (spend <= upper)))
    return computed
