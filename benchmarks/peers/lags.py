"""One model of boosted trees over lags for all series, as in a forecasting competition."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from xgboost import XGBRegressor

LEAST_WEEKS_BEFORE = 13  # weeks before an origin to learn from
MOST_ORIGINS = 52
LAGS = 8
MEANS_OVER_WEEKS = (4, 8, 13, 26, 52)
LEVELS = (0.1, 0.5, 0.9)
TREES: dict[str, Any] = {
    "n_estimators": 200,
    "max_depth": 5,
    "learning_rate": 0.05,
    "subsample": 0.8,
    "colsample_bytree": 0.8,
    "min_child_weight": 10,
    "random_state": 7,
    "n_jobs": 2,
}


def forecast_by_trees(series: pd.DataFrame, horizon: int, season: int) -> pd.DataFrame:
    """Forecast mean and quantiles of the next weeks directly: the step ahead is a feature.

    Args:
        series: Columns unique_id, ds, y; y is NaN for an unknown week. All end with the same week.
        horizon: Weeks ahead.
        season: Weeks of a year.

    Returns:
        Columns product_id, week_start_date, mean, p10, p50, p90; ascending.
    """
    wide = series.pivot(index="unique_id", columns="ds", values="y").sort_index()
    units, first = wide.to_numpy(), wide.columns[0]
    count_weeks = units.shape[1]
    newest = count_weeks - horizon
    oldest = max(LEAST_WEEKS_BEFORE, newest - MOST_ORIGINS + 1)
    parts = [
        _rows(units, origin, step, season, first)
        for origin in range(oldest, newest + 1)
        for step in range(horizon)
    ]
    rows, scales, actual = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    target = actual / scales
    is_known = np.isfinite(target)
    rows, target = rows[is_known], target[is_known]
    mean = XGBRegressor(objective="reg:squarederror", **TREES).fit(rows, target)
    bands = XGBRegressor(objective="reg:quantileerror", quantile_alpha=LEVELS, **TREES)
    bands = bands.fit(rows, target)
    frames = []
    for step in range(horizon):
        rows, scales, _ = _rows(units, count_weeks, step, season, first)
        quantiles = np.sort(bands.predict(rows), axis=1) * scales[:, None]
        frames.append(
            pd.DataFrame(
                {
                    "product_id": wide.index,
                    "week_start_date": wide.columns[-1] + pd.Timedelta(weeks=step + 1),
                    "mean": mean.predict(rows) * scales,
                    **{f"p{round(100 * q)}": quantiles[:, i] for i, q in enumerate(LEVELS)},
                }
            )
        )
    forecasts = pd.concat(frames)
    return forecasts.sort_values(["product_id", "week_start_date"], ignore_index=True)


def _rows(
    units: np.ndarray, origin: int, step: int, season: int, first: pd.Timestamp
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features of a step from an origin, each series' scale, its actual units (NaN: unknown)."""
    n, count_weeks = units.shape
    past = units[:, max(0, origin - season) : origin]
    with np.errstate(invalid="ignore"):
        scale = np.nan_to_num(_mean(past))
        scale = np.where(scale > 0, scale, 1.0)
        recent = [_week(units, origin - lag) for lag in range(1, LAGS + 1)]
        means = [_mean(units[:, max(0, origin - size) : origin]) for size in MEANS_OVER_WEEKS]
        target = origin + step
        around = [_week(units, target - season + shift) for shift in (-1, 0, 1)]
        year_ago = _mean(units[:, max(0, origin - season - 4) : max(0, origin - season)])
    year = 2 * np.pi * (first + pd.Timedelta(weeks=target)).dayofyear / 365.25
    known = np.isfinite(units[:, :origin]).sum(axis=1)
    calendar = [np.full(n, value) for value in (step, np.sin(year), np.cos(year))]
    scaled = [column / scale for column in (*recent, *means, *around, year_ago)]
    rows = np.column_stack([*scaled, *calendar, known, np.log(scale)])
    actual = units[:, target] if target < count_weeks else np.full(n, np.nan)
    # nothing to learn from a series that had not begun
    return rows, scale, np.where(np.isfinite(past).any(axis=1), actual, np.nan)


def _week(units: np.ndarray, number: int) -> np.ndarray:
    known = 0 <= number < units.shape[1]
    return units[:, number] if known else np.full(len(units), np.nan)


def _mean(units: np.ndarray) -> np.ndarray:
    """Mean over the known weeks; NaN without any."""
    count = np.isfinite(units).sum(axis=1)
    return np.divide(np.nansum(units, axis=1), count, out=np.full(len(units), np.nan),
                     where=count > 0)  # fmt: skip
