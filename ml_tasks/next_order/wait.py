"""Days to the next order, given that it comes within 90 days: median and interval."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from ml_tasks.customers.matrix import matrix
from ml_tasks.next_order import trees
from ml_tasks.next_order.inputs import buyers
from ml_tasks.next_order.shop_time import ShopTime

TREES, MEDIAN, OWN_GAP = "wait_trees", "training_median_wait", "own_median_gap"
BASELINES = (MEDIAN, OWN_GAP)
LEVELS = (0.1, 0.9)
MAX_GROUPS, MIN_ROWS_OF_A_GROUP = 10, 50
OFFSET_DAYS = 0.5  # of the logarithm, so that the first day has one
COLUMNS = [
    *("days_since_last_order", "days_since_first_order", "order_days_per_day", "recency_of_age"),
    *("count_orders_30d", "count_orders_90d", "count_orders_180d", "count_orders_365d"),
    *("avg_days_between_orders", "stddev_days_between_orders", "recency_of_gap"),
    *("avg_order_amount", "count_orders_season_last_year"),
]
SETTINGS: dict[str, Any] = {"max_depth": 4, "min_child_weight": 30, **trees.MEDIAN}


@dataclass(frozen=True)
class Waits:
    """A fitted method with its interval.

    Attributes:
        method: TREES or one of BASELINES.
        time: Shop time.
        median: Median shop time of the training rows.
        bounds: Bounds between groups of customers by predicted shop time, ascending.
        lower: 10 % quantile of the shop time in each group.
        upper: 90 % quantile.
        trees: The booster; empty for a baseline.
    """

    method: str
    time: ShopTime
    median: float
    bounds: list[float]
    lower: list[float]
    upper: list[float]
    trees: bytes = b""

    def parameters(self) -> dict[str, Any]:
        """All fields but the trees, as JSON."""
        names = ("method", "median", "bounds", "lower", "upper")
        return {**{name: getattr(self, name) for name in names}, "time": self.time.parameters()}

    @classmethod
    def restored(cls, stored: dict[str, Any], trees: bytes) -> Waits:
        """Rebuild from `parameters` and the booster."""
        return cls(**{**stored, "time": ShopTime.restored(stored["time"])}, trees=trees)

    def predict(self, facts: pd.DataFrame, day: pd.Timestamp) -> pd.DataFrame:
        """Columns `days_p50`, `days_lower`, `days_upper`: days after `day`, 0 to 89.

        Args:
            facts: See `inputs.facts`; all of `day`.
            day: The scored date.
        """
        time = self._time(facts, pd.Series(day, index=facts.index))
        group = np.searchsorted(self.bounds, time, side="right")
        found = {
            "days_p50": time,
            "days_lower": np.minimum(np.array(self.lower)[group], time),
            "days_upper": np.maximum(np.array(self.upper)[group], time),
        }
        days = {name: self.time.to_days(day, value) for name, value in found.items()}
        return pd.DataFrame(days, index=facts.index)

    def _time(self, facts: pd.DataFrame, dates: pd.Series) -> np.ndarray:
        """Predicted median shop time, shape (n,)."""
        if self.method == TREES:
            return np.exp(trees.predict(self.trees, features(facts))) - OFFSET_DAYS
        found = np.full(len(facts), self.median)
        if self.method == OWN_GAP:
            left = days_left(facts)
            is_due = np.nan_to_num(left, nan=-1.0) >= 0
            due = np.clip(np.nan_to_num(left), 0, 89).round()
            found = np.where(is_due, self.time.of_days(dates, due), found)
        return found


def features(facts: pd.DataFrame) -> pd.DataFrame:
    """Features of the trees, shape (n, len(COLUMNS) + 1)."""
    return matrix(facts)[COLUMNS].assign(days_left=days_left(facts))


def days_left(facts: pd.DataFrame) -> np.ndarray:
    """Days until the customer's own median gap is over, negative if overdue; NaN without a gap."""
    gap = facts["median_days_between_orders"].to_numpy(dtype=float)
    return np.asarray(gap - facts["days_since_last_order"].to_numpy(dtype=float))


def fit(method: str, past: pd.DataFrame, time: ShopTime, seed: int) -> Waits:
    """Fit a method to the customers who ordered within 90 days.

    Args:
        method: TREES or one of BASELINES.
        past: See `inputs.past_facts`.
        time: Shop time, as known on the training date.
        seed: Random seed of the trees.
    """
    ordered = buyers(past)
    place = past.index.get_indexer(ordered.index)
    actual = time.of_days(ordered["as_of_date"], ordered["days_to_order"].to_numpy())
    booster = b""
    if method == TREES:
        inputs, target = features(past).iloc[place], np.log(actual + OFFSET_DAYS)
        booster = trees.fit(inputs, target, seed, **SETTINGS)
    plain = Waits(method, time, round(float(np.median(actual)), 6), [], [0.0], [90.0], booster)
    # predicted for whole dates: the features read the oldest customer of a date
    predicted = plain._time(past, past["as_of_date"])[place]
    bounds, lower, upper = _interval(predicted, actual)
    return replace(plain, bounds=bounds, lower=lower, upper=upper)


def _interval(
    predicted: np.ndarray, actual: np.ndarray
) -> tuple[list[float], list[float], list[float]]:
    """Bounds between groups by predicted time, and quantiles of the actual time in each."""
    count = max(1, min(MAX_GROUPS, len(actual) // MIN_ROWS_OF_A_GROUP))
    bounds = np.unique(np.quantile(predicted, np.linspace(0, 1, count + 1)[1:-1]).round(6))
    group = np.searchsorted(bounds, predicted, side="right")
    rows: Callable[[int], np.ndarray] = lambda k: actual[group == k]  # noqa: E731
    quantiles = [
        np.quantile(rows(k) if len(rows(k)) else actual, LEVELS).round(6)
        for k in range(len(bounds) + 1)
    ]
    lower, upper = np.array(quantiles).T.tolist()
    return bounds.tolist(), lower, upper
