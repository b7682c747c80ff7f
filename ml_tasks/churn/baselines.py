"""Baselines of the combination: a recency rule, and each probability model alone.

Every baseline predicts the probability of an order in the next 90 days; churn is 1 minus it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression

from ml_tasks.customers import order_process
from ml_tasks.customers.known import Known, has_ordered
from ml_tasks.customers.order_process import OrderProcess
from ml_tasks.customers.probability.baseline import PROCESSES


@dataclass(frozen=True)
class RecencyLogistic:
    """Logistic regression on log(1 + days since the last order) and log(1 + count of orders)."""

    intercept: float
    per_log_day: float
    per_log_order: float

    def parameters(self) -> dict[str, Any]:
        """The coefficients, as JSON."""
        return asdict(self)

    def predict(self, snapshot: pd.DataFrame) -> np.ndarray:
        """Probability of an order in the next 90 days, shape (n,).

        Args:
            snapshot: Columns days_since_last_order, count_orders.
        """
        # no matrix product: its last digits depend on the number of rows
        day, order = _recency(snapshot).T
        margin = self.intercept + day * self.per_log_day + order * self.per_log_order
        return 1 / (1 + np.exp(-margin))


def fit_recency(known: Known) -> RecencyLogistic:
    """Fit the recency rule, a model that an analyst builds in an hour, to past outcomes."""
    fitted = LogisticRegression(C=1e3, solver="newton-cholesky", tol=1e-8).fit(
        _recency(known.labelled), has_ordered(known.labelled)
    )
    return RecencyLogistic(
        intercept=round(float(fitted.intercept_[0]), 6),
        per_log_day=round(float(fitted.coef_[0, 0]), 6),
        per_log_order=round(float(fitted.coef_[0, 1]), 6),
    )


def fit_process(kind: str, known: Known) -> OrderProcess:
    """Fit the purchase process `kind` to the order histories of the date; no outcome is read."""
    return order_process.fit(kind, known.snapshot)


Baseline = RecencyLogistic | OrderProcess
RECENCY = "recency_logistic"
BASELINES: dict[str, Callable[[Known], Baseline]] = {
    RECENCY: fit_recency,
    **{kind: partial(fit_process, kind) for kind in PROCESSES},
}


def restored(name: str, parameters: dict[str, Any]) -> Baseline:
    """The baseline `name`, rebuilt from its stored parameters."""
    return RecencyLogistic(**parameters) if name == RECENCY else OrderProcess(**parameters)


def _recency(snapshots: pd.DataFrame) -> np.ndarray:
    return np.log1p(snapshots[["days_since_last_order", "count_orders"]].to_numpy(dtype=float))
