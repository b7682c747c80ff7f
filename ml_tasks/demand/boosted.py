"""Boosted trees for all products: quantiles of each week ahead from lags, calendar and price.

The target is log(1 + units) minus the shop's season and the product's running level, so that small
and large products, and weeks of every season, are on one scale. The number of weeks ahead is a
feature (direct forecasts), and every past week can be an origin.

Source:
    Januschowski et al. (2022), doi 10.1016/j.ijforecast.2021.10.004 (trees across series in the M5
    competition); Koenker and Bassett (1978), doi 10.2307/1913643 (quantile loss).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import xgboost as xgb

from ml_tasks.demand.panel import SEASON_WEEKS, STEPS, Panel, by_sales, running_level
from ml_tasks.demand.prices import log_price_ratio
from ml_tasks.demand.season import DAYS_PER_YEAR, days_of_year

QUANTILES = (0.1, 0.5, 0.9)
MIN_WEEKS = 8  # weeks of a product before its first origin
LAGS = 8
MEANS_OVER_WEEKS = (4, 13, 26, 52)
NO_SALE_OVER_WEEKS = (13, 52)
AROUND = (-1, 0, 1)  # weeks around the target's week of last year
ORIGIN_WEEKS = 104  # origins are within the newest weeks
# Where there are more rows, each product has an origin every k-th week only, with its own offset.
MAX_ROWS = 60_000
ROUNDS = 150
SETTINGS: dict[str, Any] = {
    "objective": "reg:quantileerror",
    "quantile_alpha": QUANTILES,
    "max_depth": 5,
    "max_bin": 64,
    "eta": 0.06,
    "subsample": 0.7,
    "colsample_bytree": 0.7,
    "min_child_weight": 20,
    "nthread": 1,
}


def fit(panel: Panel, season: np.ndarray, seed: int) -> bytes:
    """Fit to every past week with known weeks after it.

    Args:
        panel: All products.
        season: As of `season_of`, shape (n_weeks + STEPS,).
        seed: Seed of the samples of rows and columns.

    Returns:
        The trees in XGBoost's UBJ form, empty if there is nothing to fit to. The same sales and
        seed give the same bytes, whatever the product ids.
    """
    panel = panel.only(by_sales(panel.units))
    known = _Known(panel, season)
    age = np.cumsum(~np.isnan(panel.units), axis=1)
    oldest = max(panel.n_weeks - STEPS - ORIGIN_WEEKS, MIN_WEEKS)
    weeks = np.arange(oldest, panel.n_weeks - 1)
    is_origin = age[:, weeks] >= MIN_WEEKS
    every = max(-(-int(is_origin.sum()) * STEPS // MAX_ROWS), 1)
    turn = (np.arange(len(age))[:, None] + weeks) % every == 0
    row, place = np.nonzero(is_origin & turn)
    parts = [known.at(row, weeks[place], step) for step in range(STEPS)]
    features, target = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    is_known = ~np.isnan(target)
    if not is_known.any():
        return b""
    data = xgb.DMatrix(features[is_known], target[is_known])
    return bytes(xgb.train({**SETTINGS, "seed": seed}, data, ROUNDS).save_raw("ubj"))


def forecast(panel: Panel, season: np.ndarray, trees: bytes) -> np.ndarray:
    """Quantiles .1, .5, .9 of log(1 + units) in the weeks to come, shape (n_products, STEPS, 3).

    Args:
        panel: Some products of the shop, or all: a product's forecast does not depend on others.
        season: As of `season_of`, shape (n_weeks + STEPS,).
        trees: As of `fit`, not empty.
    """
    known, booster = _Known(panel, season), xgb.Booster({"nthread": 1})
    booster.load_model(bytearray(trees))
    count, newest = len(panel.units), panel.n_weeks - 1
    result = np.empty((count, STEPS, len(QUANTILES)))
    for step in range(STEPS):
        rows = np.arange(count)
        features, _ = known.at(rows, np.full(count, newest), step)
        quantiles = np.sort(booster.predict(xgb.DMatrix(features)).astype(float), axis=1)
        base = known.level[:, newest] + season[newest + 1 + step]
        result[:, step] = quantiles.reshape(count, -1) + base[:, None]
    return result


class _Known:
    """Figures of each product by week, arrays of shape (n_products, n_weeks)."""

    def __init__(self, panel: Panel, season: np.ndarray) -> None:
        self.season = season
        self.n_weeks = panel.n_weeks
        self.logs = np.log1p(panel.units) - season[: panel.n_weeks]
        self.is_live = ~np.isnan(self.logs)
        self.level = running_level(np.nan_to_num(self.logs), self.is_live)
        self.age = np.cumsum(self.is_live, axis=1)
        self.no_sale = np.where(self.is_live, panel.units == 0, np.nan)
        self.price = log_price_ratio(panel)
        angle = 2 * np.pi * days_of_year(panel) / DAYS_PER_YEAR
        self.calendar = np.column_stack([np.sin(angle), np.cos(angle), np.sin(2 * angle)])
        self.sums = {
            name: _sums(values) for name, values in (("logs", self.logs), ("no_sale", self.no_sale))
        }

    def at(self, row: np.ndarray, origin: np.ndarray, step: int) -> tuple[np.ndarray, np.ndarray]:
        """Features for a week after origins, and the target of that week.

        Args:
            row: Rows of the products, shape (n,).
            origin: Last known week of each row, shape (n,).
            step: Weeks between origin and target week; 0 is the week after the origin.

        Returns:
            Features, shape (n, n_features); target, shape (n,), NaN where unknown.
        """
        target = origin + 1 + step
        level = self.level[row, origin]
        year_ago = np.maximum(origin - SEASON_WEEKS, 0)
        level_then = np.where(origin >= SEASON_WEEKS, self.level[row, year_ago], np.nan)
        columns = [
            *(self._week(row, origin - lag) - level for lag in range(LAGS)),
            *(self._mean("logs", row, origin, weeks) - level for weeks in MEANS_OVER_WEEKS),
            *(self._mean("no_sale", row, origin, weeks) for weeks in NO_SALE_OVER_WEEKS),
            *(self._week(row, target - SEASON_WEEKS + about) - level_then for about in AROUND),
            self._week(row, target - 2 * SEASON_WEEKS) - level,
            level_then - level,
            *self.calendar[target].T,
            self.season[target],
            self.season[target] - self.season[origin],
            np.full(len(row), float(step)),
            self.price[row, origin],
            np.log1p(self.age[row, origin]),
            level,
        ]
        actual = self._week(row, target) - level
        return np.column_stack(columns).astype(np.float32), actual

    def _week(self, row: np.ndarray, week: np.ndarray) -> np.ndarray:
        is_there = (week >= 0) & (week < self.n_weeks)
        return np.where(is_there, self.logs[row, np.clip(week, 0, self.n_weeks - 1)], np.nan)

    def _mean(self, name: str, row: np.ndarray, origin: np.ndarray, weeks: int) -> np.ndarray:
        total, count = self.sums[name]
        begin = np.maximum(origin + 1 - weeks, 0)
        count_known = count[row, origin + 1] - count[row, begin]
        added = total[row, origin + 1] - total[row, begin]
        return np.where(count_known > 0, added / np.maximum(count_known, 1), np.nan)


def _sums(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sum and number of the known weeks before each week, shape (n_products, n_weeks + 1) each."""
    known = ~np.isnan(values)
    pad = ((0, 0), (1, 0))
    return (
        np.pad(np.cumsum(np.nan_to_num(values), axis=1), pad),
        np.pad(np.cumsum(known, axis=1), pad),
    )
