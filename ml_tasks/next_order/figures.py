"""How good predictions of the next order were, of customers who ordered within 90 days."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ml_tasks.evaluation import metrics


def of_wait(days: np.ndarray, predicted: pd.DataFrame) -> dict[str, float]:
    """Error and coverage of the date; empty without rows.

    Args:
        days: Days to the order, 0 to 89, shape (n,).
        predicted: Columns days_p50, days_lower, days_upper.

    Returns:
        `log_days_error`: mean absolute error of the logarithm of days + 1; `days_error`: mean
        absolute error, days; `date_coverage`: share within the interval.
    """
    if not len(days):
        return {}
    middle, lower, upper = (
        predicted[f"days_{name}"].to_numpy(dtype=float) for name in ("p50", "lower", "upper")
    )
    return {
        "log_days_error": float(np.abs(np.log1p(days) - np.log1p(middle)).mean()),
        "days_error": float(np.abs(days - middle).mean()),
        "date_coverage": float(((lower <= days) & (days <= upper)).mean()),
    }


def of_amount(actual: np.ndarray, predicted: pd.DataFrame) -> dict[str, float]:
    """Error and coverage of the amount, total of the mean; empty without rows.

    Args:
        actual: Product sales of the order day, shop currency, shape (n,).
        predicted: Columns amount, amount_p50, amount_lower, amount_upper.

    Returns:
        `log_amount_error`: mean absolute error of the median's logarithm; `amount_coverage`: share
        within the interval; `predicted_total_amount`, `actual_total_amount`, `total_error` of the
        mean.
    """
    if not len(actual):
        return {}
    mean, middle, lower, upper = (
        predicted[f"amount{name}"].to_numpy(dtype=float)
        for name in ("", "_p50", "_lower", "_upper")
    )
    log, log_middle = (np.log(values.clip(min=0.01)) for values in (actual, middle))
    return {
        "log_amount_error": float(np.abs(log - log_middle).mean()),
        "amount_coverage": float(((lower <= actual) & (actual <= upper)).mean()),
        "predicted_total_amount": float(mean.sum()),
        "actual_total_amount": float(actual.sum()),
        "total_error": metrics.total_error(actual, mean),
    }
