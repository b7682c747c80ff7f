"""Probability models of orders in plain days: no season, no trees, no outcomes used."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from ml_tasks.customers import margins
from ml_tasks.customers.known import HORIZON_DAYS
from ml_tasks.customers.probability.baseline import PROCESSES, Process, process_of
from ml_tasks.customers.probability.fitting import rounded
from ml_tasks.customers.probability.rfm import history, rfm


@dataclass(frozen=True)
class OrderProcess:
    """A fitted BG/NBD or Pareto/NBD.

    Attributes:
        kind: Name of the process, a key of PROCESSES.
        process: Parameters of the process.
    """

    kind: str
    process: dict[str, float]

    def parameters(self) -> dict[str, Any]:
        """All fields as JSON."""
        return asdict(self)

    @property
    def fitted(self) -> Process:
        """The process object."""
        return PROCESSES[self.kind](**self.process)

    def predict(self, snapshot: pd.DataFrame) -> np.ndarray:
        """Probability of an order in the next 90 days, shape (n_rows,)."""
        return 1 - self.fitted.no_order_probability(histories(snapshot), float(HORIZON_DAYS))

    def log_odds(self, snapshot: pd.DataFrame) -> np.ndarray:
        """Log odds of an order in the next 90 days, shape (n_rows,)."""
        return margins.log_odds(self.predict(snapshot))


def histories(snapshot: pd.DataFrame) -> pd.DataFrame:
    """Repeats, recency and age in days of each row, columns rfm.HISTORY.

    Args:
        snapshot: Columns count_order_days, days_since_last_order, days_since_first_order.
    """
    repeats = snapshot["count_order_days"].to_numpy(dtype=float) - 1
    since = snapshot["days_since_last_order"].to_numpy(dtype=float)
    age = snapshot["days_since_first_order"].to_numpy(dtype=float)
    return history(repeats, np.maximum(age - since, 0.0), age)


def fit(kind: str, snapshot: pd.DataFrame) -> OrderProcess:
    """Fit a process to the histories known on a date.

    Args:
        kind: Key of PROCESSES.
        snapshot: Columns of features.customer_snapshots, one date, at least one row.
    """
    return OrderProcess(kind=kind, process=rounded(process_of(kind, rfm(snapshot))))
