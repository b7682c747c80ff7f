"""How good scores were, by question: frames of `happened` in, one number a figure out.

A figure that can't be told is NaN. Figures that evaluation reports too go by the same name there.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd

from ml_tasks.demand import accuracy as demand
from ml_tasks.demand.panel import Panel
from ml_tasks.shared import metrics
from ml_tasks.shared.bias import FIGURE, bias_of_rate
from ml_tasks.shared.slices import ALL, Figures, Slice, standard_errors

MEAN = "demand_units_mean"
QUANTILES = ("demand_units_p10", "demand_units_p50", "demand_units_p90")
# The figure that stands for a question where nothing can be told.
HEADLINES = {"churn": "auc", "clv": "gini", "demand": "wrmsse", "survival": "concordance"}
NOTHING = float("nan")


def of_customers(question: str, horizon_days: int) -> Figures:
    """The figures of a question about customers, for rows of `happened.customers`."""
    by_question: dict[str, Figures] = {
        "churn": churn,
        "clv": partial(clv, horizon_days=horizon_days),
        "survival": partial(survival, horizon_days=horizon_days),
    }
    return by_question[question]


def churn(rows: pd.DataFrame) -> dict[str, float]:
    """AUC, Brier score, calibration error, and mean probability against the rate."""
    stayed_away = (rows["happened_orders"] == 0).to_numpy(dtype=float)
    return _of_probability(stayed_away, rows["churn_probability_90d"], "churn_rate")


def survival(rows: pd.DataFrame, horizon_days: int) -> dict[str, float]:
    """The same of an order within the horizon, and concordance of the expected days up to it."""
    days = rows["happened_days"].fillna(horizon_days + 1).to_numpy(dtype=float)
    has_ordered = (days <= horizon_days).astype(float)
    probability = rows[f"order_probability_{horizon_days}d"]
    figures = _of_probability(has_ordered, probability, "order_rate")
    expected_days = rows["expected_days_to_next_order"].to_numpy(dtype=float)
    del figures["auc"]  # concordance says it
    return {"concordance": metrics.concordance(days, expected_days, horizon_days), **figures}


def _of_probability(event: np.ndarray, probability: pd.Series, rate_name: str) -> dict[str, float]:
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


def clv(rows: pd.DataFrame, horizon_days: int) -> dict[str, float]:
    """Gini, total error and MAE of spend, and how often it fell between the bounds.

    MAE is that of the median where the table has one: the mean is not made to be close.
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
    figures = {
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
        figures["coverage_80"] = float(np.mean((lower <= spend) & (spend <= upper)))
    return figures


def of_products(rows: pd.DataFrame, past: Panel) -> list[Slice]:
    """WRMSSE, MASE, bias and coverage of the products that evaluation judges, too.

    The bias is of expected units, which are there to be added up; the rest is of medians.

    Args:
        rows: Of `happened.products`.
        past: Sales before the scored date.

    Returns:
        `all`, then `week: 1` and so on, by week ahead; empty if no product can be judged.
    """
    judged, revenue = demand.judged_products(past)
    ids = past.product_ids[judged]
    table = rows[rows["product_id"].isin(ids)].pivot(
        index="product_id", columns="horizon_weeks", values=[*QUANTILES, MEAN, "happened_units"]
    )
    if table.empty:
        return []
    place = np.searchsorted(ids, table.index.to_numpy(dtype=str))
    history, weight = past.units[judged][place], revenue[place]
    forecast = np.stack([table[name].to_numpy(dtype=float) for name in QUANTILES], axis=-1)
    expected = table[MEAN].fillna(table[QUANTILES[1]]).to_numpy(dtype=float)
    actual = table["happened_units"].to_numpy(dtype=float)

    def figures(product: pd.DataFrame, week: slice) -> dict[str, float]:
        row = product["row"].to_numpy()
        return {
            **demand.accuracy(forecast[row, week, 1], actual[row, week], history[row], weight[row]),
            FIGURE: metrics.total_error(actual[row, week], expected[row, week]),
            "coverage_p10_p90": demand.coverage(forecast[row, week], actual[row, week]),
        }

    products = pd.DataFrame({"row": np.arange(len(table))})
    weeks = {ALL: slice(None)}
    weeks |= {f"week: {number + 1}": slice(number, number + 1) for number in range(len(actual[0]))}
    return [
        Slice(
            name,
            len(products),
            figures(products, week),
            standard_errors(products, partial(figures, week=week)),
        )
        for name, week in weeks.items()
    ]
