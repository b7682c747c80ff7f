"""How far forecasts were off, and for which products that is asked."""

from __future__ import annotations

import numpy as np

from ml_tasks.demand.panel import Panel

# The products that WRMSSE is about: most takings, among those sold in half of the last weeks.
SCORED_PRODUCTS = 1_000
REVENUE_WEEKS = 13
ACTIVE_WEEKS = 52
LEVELS = np.array([0.1, 0.5, 0.9])


def judged_products(past: Panel) -> tuple[np.ndarray, np.ndarray]:
    """Which products count, shape (n_products,), and the takings that weigh them."""
    recent = past.units[:, -ACTIVE_WEEKS:]
    is_active = (recent > 0).sum(axis=1) >= recent.shape[1] / 2
    is_active &= (~np.isnan(past.units)).sum(axis=1) > 1
    revenue = past.amount[:, -REVENUE_WEEKS:].sum(axis=1) * is_active
    order = np.argsort(-revenue, kind="stable")[:SCORED_PRODUCTS]
    judged = np.zeros(len(revenue), dtype=bool)
    judged[order[revenue[order] > 0]] = True
    return judged, revenue[judged]


def accuracy(
    forecast: np.ndarray, actual: np.ndarray, history: np.ndarray, weight: np.ndarray
) -> dict[str, float]:
    """WRMSSE, MASE and bias of point forecasts.

    Args:
        forecast: Units, shape (n_products, n_weeks).
        actual: Same shape.
        history: Units before, shape (n_products, n_past); NaN before the first sale.
        weight: Shape (n_products,), of WRMSSE.

    Returns:
        wrmsse: root of (mean squared error / mean squared one-step change of the history),
        weighted; mase: the same with absolute values, unweighted; bias_rate: forecast total over
        actual total, less 1. A product that never changed is left out. NaN if none is left.

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
    """Mean squared and mean absolute one-week change of each product; 0 without a change."""
    change = np.diff(history, axis=1)
    count = np.maximum((~np.isnan(change)).sum(axis=1), 1)
    return np.nansum(change**2, axis=1) / count, np.nansum(np.abs(change), axis=1) / count


def pinball(units: np.ndarray, actual: np.ndarray, history: np.ndarray) -> float:
    """Mean quantile loss of .1, .5, .9, by product scaled with its mean absolute change.

    Args:
        units: Shape (n_products, n_weeks, 3).
        actual: Shape (n_products, n_weeks).
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
    """Share of weeks that fell into the band, edges included; .8 is promised."""
    return float(np.mean((actual >= units[..., 0]) & (actual <= units[..., 2])))
