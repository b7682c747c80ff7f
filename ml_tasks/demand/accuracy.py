"""Measures of forecast accuracy, and the products that are evaluated."""

from __future__ import annotations

import numpy as np

from ml_tasks.demand.panel import Panel

# Evaluated products: those with most takings, among products sold in half of the last weeks.
SCORED_PRODUCTS = 1_000
REVENUE_WEEKS = 13
ACTIVE_WEEKS = 52
LEVELS = np.array([0.1, 0.5, 0.9])


def evaluated_products(past: Panel) -> tuple[np.ndarray, np.ndarray]:
    """The products to evaluate, and their weights.

    Returns:
        Booleans, shape (n_products,); and recent takings of the chosen, shape (n_chosen,).
    """
    recent = past.units[:, -ACTIVE_WEEKS:]
    is_active = (recent > 0).sum(axis=1) >= recent.shape[1] / 2
    is_active &= (~np.isnan(past.units)).sum(axis=1) > 1
    revenue = past.amount[:, -REVENUE_WEEKS:].sum(axis=1) * is_active
    order = np.argsort(-revenue, kind="stable")[:SCORED_PRODUCTS]
    is_chosen = np.zeros(len(revenue), dtype=bool)
    is_chosen[order[revenue[order] > 0]] = True
    return is_chosen, revenue[is_chosen]


def accuracy(
    forecast: np.ndarray, actual: np.ndarray, history: np.ndarray, weight: np.ndarray
) -> dict[str, float]:
    """WRMSSE, MASE and bias of point forecasts.

    Args:
        forecast: Forecast units, shape (n_products, n_weeks).
        actual: Actual units, same shape.
        history: Units before, shape (n_products, n_past); NaN before the first sale.
        weight: Weights of WRMSSE, shape (n_products,).

    Returns:
        wrmsse: root of (mean squared error / mean squared one-step change of the history),
        weighted; mase: the same with absolute values, unweighted; bias_rate: forecast total over
        actual total, minus 1. Products with a constant history are left out; NaN if none is
        left.

    Source:
        Makridakis, Spiliotis and Assimakopoulos (2022), doi 10.1016/j.ijforecast.2021.07.007;
        Hyndman and Koehler (2006), doi 10.1016/j.ijforecast.2006.03.001.
    """
    square, absolute = changes(history)
    moved = square > 0
    if not moved.any():
        return dict.fromkeys(("wrmsse", "mase", "bias_rate"), float("nan"))
    error = (forecast - actual)[moved]
    rmsse = np.sqrt(np.mean(error**2, axis=1) / square[moved])
    total = actual[moved].sum()
    return {
        "wrmsse": float(np.average(rmsse, weights=weight[moved])),
        "mase": float(np.mean(np.mean(np.abs(error), axis=1) / absolute[moved])),
        "bias_rate": float(error.sum() / total) if total else float("nan"),
    }


def changes(history: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean squared and mean absolute one-week change of each product.

    Args:
        history: Units, shape (n_products, n_weeks); NaN before the first sale.

    Returns:
        Shape (n_products,) each; 0 without a change.
    """
    change = np.diff(history, axis=1)
    count = np.maximum((~np.isnan(change)).sum(axis=1), 1)
    return np.nansum(change**2, axis=1) / count, np.nansum(np.abs(change), axis=1) / count


def pinball(units: np.ndarray, actual: np.ndarray, history: np.ndarray) -> float:
    """Mean quantile loss at .1, .5 and .9, scaled by each product's mean absolute change.

    Args:
        units: Forecast quantiles of units, shape (n_products, n_weeks, 3).
        actual: Actual units, shape (n_products, n_weeks).
        history: Units before, shape (n_products, n_past).

    Source:
        Koenker and Bassett (1978), doi 10.2307/1913643.
    """
    absolute = changes(history)[1]
    moved = absolute > 0
    if not moved.any():
        return float("nan")
    error = (actual[..., None] - units)[moved]
    loss = np.maximum(LEVELS * error, (LEVELS - 1) * error).mean(axis=(1, 2))
    return float(np.mean(loss / absolute[moved]))


def coverage(units: np.ndarray, actual: np.ndarray) -> float:
    """Share of weeks within the band, edges included; the nominal share is .8.

    Args:
        units: Forecast quantiles of units, shape (n_products, n_weeks, 3).
        actual: Actual units, shape (n_products, n_weeks).
    """
    return float(np.mean((actual >= units[..., 0]) & (actual <= units[..., 2])))
