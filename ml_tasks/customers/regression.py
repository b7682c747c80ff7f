"""Logistic regression on logs of recency, order counts and order intervals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ml_tasks.customers import logit
from ml_tasks.customers.known import count_kinds, has_ordered
from ml_tasks.customers.matrix import rhythm_days


@dataclass(frozen=True)
class Regression(logit.Logit):
    """A fitted model; list elements match the columns of `covariates`."""

    name = "logistic_regression"

    def log_odds(self, snapshot: pd.DataFrame) -> np.ndarray:
        """Log odds of an order in the next 90 days, shape (n_rows,)."""
        return self.log_odds_of(covariates(snapshot))


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
    if min(count_kinds(labelled)) < logit.MIN_ROWS_OF_A_KIND:
        return None
    return Regression(*logit.fit(covariates(labelled), has_ordered(labelled)))
