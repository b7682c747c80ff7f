"""Boosted trees that rank candidates by the chance that they are ordered."""

from __future__ import annotations

from typing import Any

import numpy as np
import xgboost as xgb

from ml_tasks.recommendations.candidates import COLUMNS
from ml_tasks.recommendations.state import Outcome, State, drawn

FILE = "trees.ubj"
COUNT_ROUNDS = 120
SETTINGS: dict[str, Any] = {
    "objective": "binary:logistic",
    "tree_method": "hist",
    "max_depth": 6,
    "max_bin": 64,
    "eta": 0.1,
    "subsample": 0.8,
    "min_child_weight": 20,
    "nthread": 1,
}
MAX_NOT_ORDERED = 80_000  # candidates of a day that were not ordered; a sample, with more weight


def examples(state: State, after: Outcome, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Candidates of customers who ordered, and whether they ordered them.

    Args:
        state: What was known.
        after: What was ordered.
        seed: Of the draw of candidates that were not ordered.

    Returns:
        Columns, shape (n, len(COLUMNS)); 1 where ordered, shape (n,); weights, shape (n,).
    """
    ordered = after.row.astype(np.int64) * state.pairs.count_products + after.product
    parts = []
    for block in state.candidates(after.rows):
        key = (block.first + block.row).astype(np.int64) * state.pairs.count_products
        parts.append((block.columns, np.isin(key + block.product, ordered)))
    columns = np.concatenate([one for one, _ in parts])
    label = np.concatenate([one for _, one in parts])
    others = np.flatnonzero(~label)
    kept = drawn(others, MAX_NOT_ORDERED, seed)
    rows = np.sort(np.concatenate([np.flatnonzero(label), kept]))
    weight = np.where(label[rows], 1.0, len(others) / max(len(kept), 1))
    return columns[rows], label[rows].astype(np.float32), weight.astype(np.float32)


def fit(parts: list[tuple[np.ndarray, np.ndarray, np.ndarray]], seed: int) -> bytes:
    """Fit to examples of several past days.

    Args:
        parts: From `examples`, one per day.
        seed: Random seed.

    Returns:
        The booster in XGBoost's UBJ format.
    """
    columns, label, weight = (np.concatenate(one) for one in zip(*parts, strict=True))
    data = xgb.QuantileDMatrix(
        columns, label, weight=weight, feature_names=list(COLUMNS), max_bin=SETTINGS["max_bin"]
    )
    booster = xgb.train({**SETTINGS, "seed": seed}, data, COUNT_ROUNDS)
    return bytes(booster.save_raw("ubj"))


def probability(booster: xgb.Booster, columns: np.ndarray) -> np.ndarray:
    """Probability that a candidate is ordered within 90 days, if the customer orders, shape (n,).

    Args:
        booster: From `booster_of`.
        columns: Columns of `Candidates`.
    """
    if not len(columns):
        return np.zeros(0, dtype=np.float32)
    return np.asarray(booster.inplace_predict(columns))
