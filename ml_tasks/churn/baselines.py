"""What the trees have to beat: a recency rule, and the probability models as they come.

All estimate the chance of an order in the next 90 days; churn is what is left to 1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression

from ml_tasks.churn.outcomes import HORIZON_DAYS, has_ordered
from ml_tasks.shared.probability.baseline import PROCESSES, process_of
from ml_tasks.shared.probability.fitting import rounded
from ml_tasks.shared.probability.rfm import history, rfm


@dataclass(frozen=True)
class RecencyLogistic:
    """Logistic regression on the logs of days since the last order and of count of orders."""

    intercept: float
    per_log_day: float
    per_log_order: float

    def parameters(self) -> dict[str, Any]:
        """The coefficients, as JSON."""
        return asdict(self)

    def predict(self, snapshot: pd.DataFrame) -> np.ndarray:
        """Chance of an order, per row."""
        # no product of matrices: its last digits depend on how many rows there are
        day, order = _recency(snapshot).T
        margin = self.intercept + day * self.per_log_day + order * self.per_log_order
        return 1 / (1 + np.exp(-margin))


@dataclass(frozen=True)
class OrderProcess:
    """BG/NBD or Pareto/NBD in plain days: no season, no trees.

    Attributes:
        kind: Name of the process.
        process: Its parameters.
    """

    kind: str
    process: dict[str, float]

    def parameters(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)

    def predict(self, snapshot: pd.DataFrame) -> np.ndarray:
        """Chance of an order, per row."""
        repeats = snapshot["count_order_days"].to_numpy(dtype=float) - 1
        since = snapshot["days_since_last_order"].to_numpy(dtype=float)
        age = snapshot["days_since_first_order"].to_numpy(dtype=float)
        past = history(repeats, np.maximum(age - since, 0.0), age)
        process = PROCESSES[self.kind](**self.process)
        return 1 - process.no_order_probability(past, float(HORIZON_DAYS))


def fit_recency(labelled: pd.DataFrame, snapshot: pd.DataFrame) -> RecencyLogistic:
    """Fit what an analyst would draw up in an hour."""
    del snapshot
    recency = _recency(labelled)
    fitted = LogisticRegression(C=1e3, solver="newton-cholesky", tol=1e-8).fit(
        recency, has_ordered(labelled)
    )
    return RecencyLogistic(
        intercept=round(float(fitted.intercept_[0]), 6),
        per_log_day=round(float(fitted.coef_[0, 0]), 6),
        per_log_order=round(float(fitted.coef_[0, 1]), 6),
    )


def fit_process(kind: str, labelled: pd.DataFrame, snapshot: pd.DataFrame) -> OrderProcess:
    """Fit a process to the histories known on the training date; outcomes are not looked at."""
    del labelled
    return OrderProcess(kind=kind, process=rounded(process_of(kind, rfm(snapshot))))


Baseline = RecencyLogistic | OrderProcess
RECENCY = "recency_logistic"
# Name -> fit(labelled, snapshot of the training date); the first is for a shop too young to test.
BASELINES: dict[str, Callable[[pd.DataFrame, pd.DataFrame], Baseline]] = {
    RECENCY: fit_recency,
    **{kind: partial(fit_process, kind) for kind in PROCESSES},
}


def restored(name: str, parameters: dict[str, Any]) -> Baseline:
    """The baseline of that name, from what was stored."""
    return RecencyLogistic(**parameters) if name == RECENCY else OrderProcess(**parameters)


def _recency(snapshots: pd.DataFrame) -> np.ndarray:
    return np.log1p(snapshots[["days_since_last_order", "count_orders"]].to_numpy(dtype=float))
