"""Small boosted trees: fitted once on a bounded sample of rows, stored as bytes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import xgboost as xgb

from ml_tasks.customers.boosting import booster_of

MAX_ROWS = 20_000
SETTINGS: dict[str, Any] = {
    "eta": 0.05,
    "max_bin": 64,
    "subsample": 0.8,
    "colsample_bytree": 0.7,
    "nthread": 1,
}
MEDIAN = {"objective": "reg:quantileerror", "quantile_alpha": 0.5}


def fit(
    features: pd.DataFrame, target: np.ndarray, seed: int, *, rounds: int = 120, **more: Any
) -> bytes:
    """A booster in XGBoost's UBJ format.

    Args:
        features: Shape (n_rows, n_features), in an order that ids do not influence. Of more than
            MAX_ROWS rows every k-th is fitted.
        target: Shape (n_rows,).
        seed: Random seed of the row and column samples.
        rounds: Number of trees.
        more: Settings of XGBoost, which replace SETTINGS.
    """
    step = -(-len(features) // MAX_ROWS)
    return fit_rows(features.to_numpy()[::step], target[::step], seed, rounds=rounds, **more)


def fit_rows(
    rows: np.ndarray, target: np.ndarray, seed: int, *, rounds: int = 120, **more: Any
) -> bytes:
    """As `fit`, to all rows of an array."""
    frame = xgb.DMatrix(rows.astype(np.float32), target)
    return bytes(xgb.train({**SETTINGS, **more, "seed": seed}, frame, rounds).save_raw("ubj"))


def predict(trees: bytes, features: pd.DataFrame) -> np.ndarray:
    """Prediction of each row, shape (n_rows,)."""
    if features.empty:
        return np.empty(0)
    return booster_of(trees).predict(xgb.DMatrix(features.to_numpy(dtype=np.float32))).astype(float)
