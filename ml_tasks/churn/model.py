"""Two models of churn: calibrated trees, and the recency rule that they have to beat.

Both estimate the chance of an order in the next 90 days; churn is what is left to 1.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression

from ml_tasks.shared import boosting
from ml_tasks.shared.boosting import LevelledTrees

HORIZON_DAYS = 90
# So many snapshots must have ordered, and so many not, before anything can be learnt.
MIN_ROWS_OF_A_KIND = 30
HIGH_RISK_FROM = 0.8
MEDIUM_RISK_FROM = 0.5


@dataclass(frozen=True)
class RecencyLogistic:
    """Logistic regression on the logs of days since the last order and of count of orders."""

    intercept: float
    per_log_day: float
    per_log_order: float

    def parameters(self) -> dict[str, Any]:
        """The coefficients, as JSON."""
        return asdict(self)

    def predict(self, snapshot: pd.DataFrame, as_of_date: pd.Timestamp) -> np.ndarray:
        """Chance of an order, per row. The date makes no difference."""
        margin = self.intercept + _recency(snapshot) @ [self.per_log_day, self.per_log_order]
        return 1 / (1 + np.exp(-margin))


def is_learnable(labelled: pd.DataFrame) -> bool:
    """Whether enough snapshots were followed by an order, and enough by none."""
    count_ordered = int((labelled["outcome_count_orders"] > 0).sum())
    return min(count_ordered, len(labelled) - count_ordered) >= MIN_ROWS_OF_A_KIND


def fit_trees(labelled: pd.DataFrame, seed: int) -> LevelledTrees:
    """Fit and calibrate trees on labelled snapshots of whole dates."""
    return boosting.fit(labelled, has_ordered(labelled), "logistic", seed)


def fit_baseline(labelled: pd.DataFrame) -> RecencyLogistic:
    """Fit what an analyst would draw up in an hour."""
    fitted = LogisticRegression(C=1e3, solver="newton-cholesky", tol=1e-8).fit(
        _recency(labelled), has_ordered(labelled)
    )
    return RecencyLogistic(
        intercept=round(float(fitted.intercept_[0]), 6),
        per_log_day=round(float(fitted.coef_[0, 0]), 6),
        per_log_order=round(float(fitted.coef_[0, 1]), 6),
    )


def has_ordered(labelled: pd.DataFrame) -> np.ndarray:
    """1.0 where the snapshot was followed by an order within the horizon, else 0.0."""
    return (labelled["outcome_count_orders"] > 0).to_numpy(dtype=float)


def risk_band(probability: np.ndarray) -> np.ndarray:
    """`high` from 0.8, `medium` from 0.5, else `low`."""
    return np.select(
        [probability >= HIGH_RISK_FROM, probability >= MEDIUM_RISK_FROM], ["high", "medium"], "low"
    ).astype(object)


def percentile(probability: np.ndarray) -> np.ndarray:
    """Percent of the customers whose probability is equal or lower, in (0, 100]."""
    return pd.Series(probability).rank(method="max", pct=True).to_numpy() * 100


def _recency(snapshots: pd.DataFrame) -> np.ndarray:
    return np.log1p(snapshots[["days_since_last_order", "count_orders"]].to_numpy(dtype=float))
