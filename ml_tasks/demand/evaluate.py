"""Backtests: forecasts made at past origins, beside what came.

The candidates are fitted once, to the weeks before the first origin, and forecast from each
origin with those parameters, so every one of the weeks they are compared on is new to them. Which
candidate suits a product is learnt from the earlier origins and tested on the last.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ml_tasks.demand import model
from ml_tasks.demand.model import ARIMA, LSTM, SEASONAL_NAIVE, Fitted, Forecasts
from ml_tasks.demand.panel import HORIZON_WEEKS, STEPS, Panel

COUNT_ORIGINS = 3
# Candidates need half a year to learn from; the baseline a few weeks.
MIN_WEEKS_TO_FIT = 26
MIN_WEEKS = 12
# The products that WRMSSE is about: most takings, among those sold in half of the last weeks.
SCORED_PRODUCTS = 1_000
REVENUE_WEEKS = 13
ACTIVE_WEEKS = 52
MEAN = "mean_8_weeks"


@dataclass(frozen=True)
class Backtest:
    """Forecasts from past origins; rows are the products of the whole panel.

    Attributes:
        panel: The whole panel.
        origins: Weeks known at each origin, rising.
        forecasts: For each origin, method -> quantiles of log(1 + units), shape (n_products,
            STEPS, 3); NaN for a product not known then.
    """

    panel: Panel
    origins: list[int]
    forecasts: list[Forecasts]

    def actual(self, origin: int) -> np.ndarray:
        """log(1 + units) after an origin, shape (n_products, STEPS); NaN where not known yet."""
        came = np.full((len(self.panel.product_ids), STEPS), np.nan)
        weeks = self.panel.units[:, origin : origin + STEPS]
        came[:, : weeks.shape[1]] = np.log1p(weeks)
        return came


def backtest(panel: Panel, seed: int) -> Backtest:
    """Forecast from up to COUNT_ORIGINS past origins, HORIZON_WEEKS apart.

    Where the shop is too young to fit the candidates, the baseline alone is tested.
    """
    latest = panel.n_weeks - HORIZON_WEEKS
    origins = [latest - HORIZON_WEEKS * back for back in reversed(range(COUNT_ORIGINS))]
    origins = [origin for origin in origins if origin >= MIN_WEEKS_TO_FIT]
    if not origins:
        return Backtest(panel, [latest], [_aligned(None, panel, latest)])
    fitted = model.fit(panel.until(origins[0]), seed)
    return Backtest(panel, origins, [_aligned(fitted, panel, origin) for origin in origins])


def _aligned(fitted: Fitted | None, panel: Panel, origin: int) -> Forecasts:
    past = panel.until(origin)
    if fitted is None:
        of_past = {SEASONAL_NAIVE: model.seasonal_naive(past.units)}
    else:
        of_past = model.forecast(fitted, past)
    rows = np.searchsorted(panel.product_ids, past.product_ids)
    aligned = {}
    for name, values in of_past.items():
        aligned[name] = np.full((len(panel.product_ids), STEPS, 3), np.nan)
        aligned[name][rows] = values
    return aligned


def choices(tested: Backtest, count_origins: int) -> np.ndarray:
    """The candidate of each product by the first `count_origins` origins, names."""
    shape = len(tested.panel.product_ids)
    total = {name: np.zeros(shape) for name in (ARIMA, LSTM)}
    count_weeks, size = np.zeros(shape), np.zeros(shape, dtype=int)
    pairs = list(zip(tested.origins, tested.forecasts, strict=True))[:count_origins]
    for origin, forecasts in pairs:
        actual = tested.actual(origin)[:, :HORIZON_WEEKS]
        medians = {name: forecasts[name][:, :HORIZON_WEEKS, 1] for name in total}
        known = ~np.isnan(actual) & ~np.isnan(medians[ARIMA])
        count_weeks += known.sum(axis=1)
        size = np.where(known.any(axis=1), model.size_class(medians[ARIMA][:, 0]), size)
        for name, median in medians.items():
            error = np.abs(actual - np.maximum(median, 0.0))
            total[name] += np.where(known, error, 0.0).sum(axis=1)
    loss = {name: value / np.maximum(count_weeks, 1) for name, value in total.items()}
    return model.choose(loss, count_weeks, size)


def pick(forecasts: Forecasts, methods: np.ndarray) -> np.ndarray:
    """The forecasts of each product's own method, shape (n_products, STEPS, 3)."""
    picked = np.full_like(forecasts[SEASONAL_NAIVE], np.nan)
    for name, values in forecasts.items():
        picked[methods == name] = values[methods == name]
    return picked


def bands_of(tested: Backtest, count_origins: int) -> dict[str, np.ndarray]:
    """Band shifts of each method, see `model.bands`, by the first `count_origins` origins."""
    origins, forecasts = tested.origins[:count_origins], tested.forecasts[:count_origins]
    actual = np.concatenate([tested.actual(origin) for origin in origins])
    actual[np.isnan(np.concatenate([f[SEASONAL_NAIVE][..., 1] for f in forecasts]))] = np.nan
    return {
        name: model.bands(np.concatenate([f[name] for f in forecasts]), actual)
        for name in forecasts[0]
    }


def report(tested: Backtest) -> dict[str, Any]:
    """Figures of every method on the last origin; choice and bands are of the earlier ones.

    Empty if there are no two origins, or no product to judge: nothing can be tested then.
    """
    if len(tested.origins) < 2:
        return {}
    before, origin, forecasts = len(tested.origins) - 1, tested.origins[-1], tested.forecasts[-1]
    past = tested.panel.until(origin)
    rows = np.searchsorted(tested.panel.product_ids, past.product_ids)
    judged, revenue = judged_products(past)
    if not judged.any():
        return {}
    judged_rows = rows[judged]
    actual = tested.panel.units[judged_rows, origin : origin + HORIZON_WEEKS]
    history = past.units[judged]
    shifts = bands_of(tested, before)
    units = {
        name: model.units_of(values[judged_rows], shifts[name], history)[:, :HORIZON_WEEKS]
        for name, values in forecasts.items()
    }
    chosen = choices(tested, before)[judged_rows]
    units["chosen"] = pick(units, chosen)
    mean = np.nanmean(history[:, -model.MEAN_WEEKS :], axis=1)
    figures = {
        name: {
            **accuracy(values[..., 1], actual, history, revenue),
            "coverage_p10_p90": coverage(values, actual),
        }
        for name, values in units.items()
    }
    figures[MEAN] = accuracy(np.repeat(mean[:, None], HORIZON_WEEKS, 1), actual, history, revenue)
    return {
        "origin_date": str(tested.panel.week(origin)),
        "count_products": int(judged.sum()),
        "lstm_chosen_rate": float((chosen == LSTM).mean()),
        "methods": figures,
    }


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
    change = np.diff(history, axis=1)
    count = np.maximum((~np.isnan(change)).sum(axis=1), 1)
    square, absolute = np.nansum(change**2, axis=1) / count, np.nansum(abs(change), axis=1) / count
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


def coverage(units: np.ndarray, actual: np.ndarray) -> float:
    """Share of weeks that fell into the band, edges included; .8 is promised at the least."""
    return float(np.mean((actual >= units[..., 0]) & (actual <= units[..., 2])))


def is_better(figures: dict[str, Any]) -> bool:
    """Whether the chosen candidates beat the baseline; never if that could not be tested."""
    if not figures:
        return False
    methods = figures["methods"]
    return bool(methods["chosen"]["wrmsse"] < methods[SEASONAL_NAIVE]["wrmsse"])
