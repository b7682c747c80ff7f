"""Logistic regression on logs of recency, order counts and order intervals."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression

from ml_tasks.customers.known import count_kinds, has_ordered
from ml_tasks.customers.matrix import rhythm_days

# Columns are scaled to standard deviation 1 and coefficients shrunk to 0, so few rows suffice.
MIN_ROWS_OF_A_KIND = 5
PENALTY = 1.0


@dataclass(frozen=True)
class Regression:
    """A fitted model; list elements match the columns of `covariates`.

    Attributes:
        intercept: Log odds at the center.
        center: Mean of each column.
        coefficients: Change of the log odds per unit of each column.
    """

    intercept: float
    center: list[float]
    coefficients: list[float]

    name = "logistic_regression"

    def parameters(self) -> dict[str, Any]:
        """All fields as JSON."""
        return asdict(self)

    def log_odds(self, snapshot: pd.DataFrame) -> np.ndarray:
        """Log odds of an order in the next 90 days, shape (n_rows,)."""
        centered = covariates(snapshot).to_numpy() - np.array(self.center)
        # no matrix product: its last digits depend on the number of rows
        return self.intercept + (centered * np.array(self.coefficients)).sum(axis=1)


def covariates(snapshots: pd.DataFrame) -> pd.DataFrame:
    """Covariates of the regression, shape (n_rows, 12). No amounts, so the currency has no effect.

    Args:
        snapshots: Columns of features.customer_snapshots.
    """
    since_last = snapshots["days_since_last_order"].astype(float)
    age = snapshots["days_since_first_order"].astype(float).clip(lower=1)
    rhythm = rhythm_days(snapshots)
    counts = ["", "_30d", "_90d", "_180d", "_365d", "_season_last_year"]
    columns = {
        "log_days_since_last_order": np.log1p(since_last),
        "log_days_since_first_order": np.log1p(age),
        **{
            f"log_count_orders{suffix}": np.log1p(snapshots[f"count_orders{suffix}"].astype(float))
            for suffix in counts
        },
        "log_days_between_orders": np.log(rhythm),
        "log_overdue": np.log1p(since_last / rhythm),
        "log_order_days_per_day": np.log(snapshots["count_order_days"] / age),
        "has_one_order_day": snapshots["avg_days_between_orders"].isna().astype(float),
    }
    return pd.DataFrame(columns, index=snapshots.index)


def fit(labelled: pd.DataFrame) -> Regression | None:
    """Fit by penalised likelihood; None if too few snapshots had, or had not, a later order.

    Args:
        labelled: Snapshots with known outcomes, see `Known.labelled`, in a total order.
    """
    if min(count_kinds(labelled)) < MIN_ROWS_OF_A_KIND:
        return None
    table = covariates(labelled)
    center, scale = table.mean().to_numpy(), table.std(ddof=0).to_numpy()
    scale = np.where(scale > 0, scale, 1.0)
    fitter = LogisticRegression(C=1 / PENALTY, solver="newton-cholesky", tol=1e-8)
    fitter.fit((table.to_numpy() - center) / scale, has_ordered(labelled))
    return Regression(
        round(float(fitter.intercept_[0]), 6),
        center.round(6).tolist(),
        (fitter.coef_[0] / scale).round(6).tolist(),
    )
