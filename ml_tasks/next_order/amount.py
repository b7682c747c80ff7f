"""Product sales of the next order day: median, mean and interval.

Trees predict by how much the next order day departs from the customer's own usual one. The level of
past dates is taken out first: all values rise before Christmas, and few dates cannot show that
apart from the customers. The level of a coming date is that of past dates in the same season.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from ml_tasks.next_order import trees
from ml_tasks.next_order.inputs import buyers, season_weights

TREES, OWN_MEDIAN, OWN_MEAN, MEDIAN = (
    "amount_trees", "own_median_amount", "own_mean_amount", "training_median_amount",
)  # fmt: skip
BASELINES = (MEDIAN, OWN_MEDIAN, OWN_MEAN)
LEVELS = (0.1, 0.9)
PRIOR_ORDER_DAYS = 1.0  # the shop's mean logarithm counts as so many order days of a customer
LEAST = 0.01  # shop currency; a smaller amount counts as so much in logarithms
# Upper bounds of the groups with an interval each: order days so far.
GROUPS = (1, 3, 7)
SETTINGS: dict[str, Any] = {"max_depth": 3, "min_child_weight": 60, **trees.MEDIAN}
OF_SNAPSHOT = (
    *("count_order_days", "days_since_last_order", "days_since_first_order"),
    *("count_orders_30d", "count_orders_90d", "count_orders_365d"),
    *("avg_days_between_orders", "stddev_days_between_orders"),
)
YEAR_DAYS = 365


@dataclass(frozen=True)
class Amounts:
    """A fitted method with level, mean and interval.

    Attributes:
        method: TREES or one of BASELINES.
        median: Median amount of the training rows, shop currency.
        prior_log: Mean logarithm of the customers' usual amounts.
        level: Logarithm added to the predicted median: the season's.
        mean_ratio: Factor that makes the total of the means that of the past, see `predict`.
        lower: 10 % quantile of the logarithm of actual over median, a value per group.
        upper: 90 % quantile.
        trees: The booster; empty for a baseline.
    """

    method: str
    median: float
    prior_log: float
    level: float
    mean_ratio: float
    lower: list[float]
    upper: list[float]
    trees: bytes = b""

    def parameters(self) -> dict[str, Any]:
        """All fields but the trees, as JSON."""
        return {name: value for name, value in asdict(self).items() if name != "trees"}

    def predict(self, facts: pd.DataFrame) -> pd.DataFrame:
        """Columns `amount`, `amount_p50`, `amount_lower`, `amount_upper`, shop currency, above 0.

        The mean is a factor, the same for all, times the geometric mean of the median and the
        customer's own mean: a median alone is low for customers with some very large orders. It is
        not below the median, since amounts lean to the right.

        Args:
            facts: See `inputs.facts`; one date.
        """
        log = self._log(facts) + self.level
        group = np.searchsorted(GROUPS, facts["count_order_days"].to_numpy())
        return pd.DataFrame(
            {
                "amount": np.maximum(_mean_base(facts, log) * self.mean_ratio, np.exp(log)),
                "amount_p50": np.exp(log),
                "amount_lower": np.exp(log + np.array(self.lower)[group]),
                "amount_upper": np.exp(log + np.array(self.upper)[group]),
            },
            index=facts.index,
        )

    def _log(self, facts: pd.DataFrame) -> np.ndarray:
        """Logarithm of the median without the level, shape (n,)."""
        if self.method == TREES:
            inputs = features(facts, self.prior_log)
            return usual_log(facts, self.prior_log) + trees.predict(self.trees, inputs)
        if self.method == MEDIAN:
            return np.full(len(facts), np.log(max(self.median, LEAST)))
        column = "median" if self.method == OWN_MEDIAN else "avg"
        return _log_of(facts[f"{column}_order_day_amount"])


def usual_log(facts: pd.DataFrame, prior_log: float) -> np.ndarray:
    """Mean logarithm of a customer's order days, shrunk to the shop's, shape (n,)."""
    days = facts["count_order_days"].to_numpy(dtype=float)
    total = facts["mean_log_order_day_amount"].to_numpy(dtype=float) * days
    return (total + PRIOR_ORDER_DAYS * prior_log) / (days + PRIOR_ORDER_DAYS)


def features(facts: pd.DataFrame, prior_log: float) -> pd.DataFrame:
    """Features of the trees; amounts as logarithms beside the customer's usual one."""
    usual = usual_log(facts, prior_log)
    table = facts[list(OF_SNAPSHOT)].astype(float)
    age = table["days_since_first_order"].clip(upper=YEAR_DAYS)
    return table.assign(
        days_since_first_order=age,
        usual=usual,
        stddev=facts["stddev_log_order_day_amount"].astype(float),
        mean_over_usual=_log_of(facts["avg_order_day_amount"]) - usual,
        last_over_usual=_log_of(facts["last_order_amount"]) - usual,
        max_over_usual=_log_of(facts["max_order_amount"]) - usual,
    )


def fit(method: str, past: pd.DataFrame, day: pd.Timestamp, seed: int) -> Amounts:
    """Fit a method to the customers who ordered within 90 days.

    Args:
        method: TREES or one of BASELINES. A baseline has no level: it is what it is named for.
        past: See `inputs.past_facts`.
        day: The training date, whose season counts most.
        seed: Random seed of the trees.
    """
    ordered = buyers(past)
    actual = ordered["order_day_amount"].to_numpy(dtype=float)
    prior_log = round(float(ordered["mean_log_order_day_amount"].mean()), 6)
    plain = Amounts(method, round(float(np.median(actual)), 6), prior_log, 0.0, 1.0, [], [])
    level = pd.Series(0.0, ordered.index)
    weight = season_weights(ordered["as_of_date"], day)
    coming, booster = 0.0, b""
    if method == TREES:
        off = pd.Series(_log_of(ordered["order_day_amount"]), ordered.index)
        off -= usual_log(ordered, prior_log)
        levels = off.groupby(ordered["as_of_date"]).median()
        level = ordered["as_of_date"].map(levels)
        of_dates = season_weights(pd.Series(levels.index), day)
        coming = round(float(np.average(levels, weights=of_dates)), 6)
        inputs = features(ordered, prior_log)
        booster = trees.fit(inputs, (off - level).to_numpy(), seed, **SETTINGS)
    fitted = replace(plain, level=coming, trees=booster)
    log = fitted._log(ordered) + level.to_numpy()
    ratio = (weight * actual).sum() / (weight * _mean_base(ordered, log)).sum()
    lower, upper = _interval(ordered, _log_of(ordered["order_day_amount"]) - log)
    return replace(fitted, mean_ratio=round(float(ratio), 6), lower=lower, upper=upper)


def _mean_base(facts: pd.DataFrame, log: np.ndarray) -> np.ndarray:
    own = np.maximum(_log_of(facts["avg_order_day_amount"]), log)
    return np.exp((log + own) / 2)


def _log_of(amount: pd.Series) -> np.ndarray:
    return np.log(amount.to_numpy(dtype=float).clip(min=LEAST))


def _interval(ordered: pd.DataFrame, missed: np.ndarray) -> tuple[list[float], list[float]]:
    """Quantiles of the logarithm of actual over median, by number of order days so far."""
    group = np.searchsorted(GROUPS, ordered["count_order_days"].to_numpy())
    quantiles = [
        np.quantile(missed[group == k] if (group == k).any() else missed, LEVELS)
        for k in range(len(GROUPS) + 1)
    ]
    lower, upper = np.array(quantiles).T.round(6)
    return np.minimum(lower, 0.0).tolist(), np.maximum(upper, 0.0).tolist()
