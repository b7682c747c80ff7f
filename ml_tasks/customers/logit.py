"""Logistic regression with a penalty, as plain numbers that score any number of rows alike."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression

# Columns are scaled to standard deviation 1 and coefficients shrunk to 0, so few rows suffice.
MIN_ROWS_OF_A_KIND = 5
PENALTY = 1.0


@dataclass(frozen=True)
class Logit:
    """A fitted regression; list elements match the columns of the table.

    Attributes:
        intercept: Log odds at the center.
        center: Mean of each column.
        coefficients: Change of the log odds per unit of each column.
    """

    intercept: float
    center: list[float]
    coefficients: list[float]

    def parameters(self) -> dict[str, Any]:
        """All fields as JSON."""
        return asdict(self)

    def log_odds_of(self, table: pd.DataFrame) -> np.ndarray:
        """Log odds of the event, shape (n_rows,)."""
        centered = table.to_numpy(dtype=float) - np.array(self.center)
        # no matrix product: its last digits depend on the number of rows
        return self.intercept + (centered * np.array(self.coefficients)).sum(axis=1)


def fit(table: pd.DataFrame, is_event: np.ndarray) -> tuple[float, list[float], list[float]]:
    """Intercept, center and coefficients by penalised likelihood.

    Args:
        table: Covariates, shape (n_rows, n_columns), in a total order.
        is_event: 0 or 1, both occur, shape (n_rows,).
    """
    center, scale = table.mean().to_numpy(), table.std(ddof=0).to_numpy()
    scale = np.where(scale > 0, scale, 1.0)
    fitter = LogisticRegression(C=1 / PENALTY, solver="newton-cholesky", tol=1e-8)
    fitter.fit((table.to_numpy(dtype=float) - center) / scale, is_event)
    return (
        round(float(fitter.intercept_[0]), 6),
        center.round(6).tolist(),
        (fitter.coef_[0] / scale).round(6).tolist(),
    )


def fit_or_rate(table: pd.DataFrame, is_event: np.ndarray) -> Logit:
    """The regression; with fewer than MIN_ROWS_OF_A_KIND events or others, their overall rate.

    Args:
        table: See `fit`; may have no rows.
        is_event: 0 or 1, shape (n_rows,).
    """
    count = int(is_event.sum())
    if min(count, len(is_event) - count) >= MIN_ROWS_OF_A_KIND:
        return Logit(*fit(table, is_event))
    zeros = [0.0] * table.shape[1]
    return Logit(
        round(float(np.log((count + 0.5) / (len(is_event) - count + 0.5))), 6), zeros, zeros
    )
