"""Trees on top of the buying clock: the clock holds level and season, the trees rank.

What is modelled is `slope * offset + strength * trees`: the offset is what the clock says of a
customer, the trees what it misses. How far each can be trusted is told by later dates and other
customers than the trees were fitted on; on a shop whose customers follow the clock alone the trees
count for nothing.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
import xgboost as xgb

from ml_tasks.customers.margins import MIN_HISTORY_DAYS, inverse_link
from ml_tasks.customers.matrix import (
    first_days,
    history_days,
    matrix,
    monotone_constraints,
)

COUNT_ROUNDS = 150
SETTINGS: dict[str, Any] = {
    "max_depth": 3,
    "max_bin": 64,
    "eta": 0.08,
    "subsample": 0.8,
    "colsample_bytree": 0.6,
    "min_child_weight": 20,
    "reg_lambda": 5,
    "nthread": 1,
}
OBJECTIVES: dict[str, dict[str, Any]] = {
    "logistic": {"objective": "binary:logistic"},
    "poisson": {"objective": "count:poisson"},
    "gamma": {"objective": "reg:gamma"},
}
COUNT_FOLDS = 2
CALIBRATION_DATES = 3
# Slopes of three overlapping quarters are part news and part chance: half of it is believed.
MIN_SLOPE, SLOPE_SHARE = 0.7, 0.5


@dataclass(frozen=True)
class OffsetTrees:
    """A fitted model, all of it data.

    Attributes:
        family: `logistic` (outcome 0 or 1), `poisson` (counts) or `gamma` (amounts above 0).
        shift: Added to every linear predictor; puts the level right.
        slope: What the offset counts for, near 1.
        strength: What the trees count for, in [0, 1].
        trees: The booster in XGBoost's UBJ form.
    """

    family: str
    shift: float
    slope: float
    strength: float
    trees: bytes

    def parameters(self) -> dict[str, Any]:
        """Everything but the trees, as JSON."""
        return {name: value for name, value in asdict(self).items() if name != "trees"}

    def predict(self, snapshot: pd.DataFrame, offset: np.ndarray) -> np.ndarray:
        """Probability, expected count or expected amount per row of one date's snapshot."""
        return inverse_link(self.margin(snapshot, offset), self.family)

    def margin(self, snapshot: pd.DataFrame, offset: np.ndarray) -> np.ndarray:
        """Linear predictor per row: log odds, or the log of a mean."""
        trees = tree_margin(self.trees, matrix(snapshot))
        return self.shift + self.slope * offset + self.strength * trees


def fit(
    snapshots: pd.DataFrame, outcome: np.ndarray, offset: np.ndarray, family: str, seed: int
) -> OffsetTrees:
    """Fit trees and their strength; the shift is left at 0.

    XGBoost samples rows by their place, so they come in `content_order`, as `Known` has them.

    Args:
        snapshots: Columns of features.customer_snapshots, whole dates.
        outcome: Shape (n_snapshots,): 0 or 1, counts, or amounts; not all equal. NaN: not for this
            model, but of a date that is.
        offset: Shape (n_snapshots,), linear predictor without the trees.
        family: `logistic`, `poisson` or `gamma`.
        seed: Of XGBoost's row and column samples.
    """
    outcome, offset = np.asarray(outcome, dtype=float), np.asarray(offset)
    history = history_days(snapshots).to_numpy(dtype=float)
    kept = ~np.isnan(outcome)
    is_whole = kept & (history >= MIN_HISTORY_DAYS)
    if is_whole.any() and np.ptp(outcome[is_whole]) > 0:
        kept = is_whole
    data = _Data(
        features=matrix(snapshots)[kept],
        outcome=outcome[kept],
        offset=offset[kept],
        # Young history describes customers badly; a date weighs by the square of its share.
        weight=(history[kept] / history.max()) ** 2,
    )
    slope, strength = _calibrate(data, snapshots[kept], family, seed)
    trees = bytes(_boost(data, family, seed).save_raw("ubj"))
    return OffsetTrees(family=family, shift=0.0, slope=slope, strength=strength, trees=trees)


def tree_margin(trees: bytes, features: pd.DataFrame) -> np.ndarray:
    """The trees' part of the linear predictor, before its strength."""
    if features.empty:
        return np.empty(0)
    return _margin(_loaded(trees), features)


@dataclass(frozen=True)
class _Data:
    features: pd.DataFrame
    outcome: np.ndarray
    offset: np.ndarray
    weight: np.ndarray

    def rows(self, mask: np.ndarray) -> _Data:
        return _Data(self.features[mask], self.outcome[mask], self.offset[mask], self.weight[mask])


def _loaded(trees: bytes) -> xgb.Booster:
    booster = xgb.Booster({"nthread": 1})
    booster.load_model(bytearray(trees))
    return booster


def _boost(data: _Data, family: str, seed: int) -> xgb.Booster:
    frame = xgb.DMatrix(data.features, data.outcome, weight=data.weight / data.weight.mean())
    frame.set_base_margin(data.offset)
    settings = {
        **SETTINGS,
        **OBJECTIVES[family],
        "monotone_constraints": monotone_constraints(data.features.columns),
        "base_score": 0.5,  # not used: the offset is the start; fixed, so that it is not estimated
        "seed": seed,
    }
    return xgb.train(settings, frame, COUNT_ROUNDS)


def _margin(booster: xgb.Booster, features: pd.DataFrame) -> np.ndarray:
    frame = xgb.DMatrix(features)
    frame.set_base_margin(np.zeros(len(features)))
    return booster.predict(frame, output_margin=True).astype(float)


def _calibrate(data: _Data, snapshots: pd.DataFrame, family: str, seed: int) -> tuple[float, float]:
    """Slope and strength, on later dates, with trees that never saw the customer."""
    dates = np.sort(snapshots["as_of_date"].unique())
    late = dates[-min(CALIBRATION_DATES, max(len(dates) // 2, 1)) :]
    is_late = snapshots["as_of_date"].isin(late).to_numpy()
    is_early = ~is_late if len(dates) > 1 else np.ones(len(snapshots), dtype=bool)
    fold = pd.util.hash_array(first_days(snapshots)) % COUNT_FOLDS  # a customer is in one
    said = np.full(len(snapshots), np.nan)
    for k in range(COUNT_FOLDS):
        seen, judged = (fold != k) & is_early, (fold == k) & is_late
        if judged.any() and seen.any() and np.ptp(data.outcome[seen]) > 0:
            booster = _boost(data.rows(seen), family, seed)
            said[judged] = _margin(booster, data.features[judged])
    told = ~np.isnan(said)
    if not told.any() or np.ptp(data.outcome[told]) == 0:
        return 1.0, 0.0
    slope, strength = _slopes(data.offset[told], said[told], data.outcome[told], family)
    return (
        round(1 + SLOPE_SHARE * (min(max(slope, MIN_SLOPE), 1 / MIN_SLOPE) - 1), 6),
        round(min(max(strength, 0.0), 1.0), 6),
    )


def _slopes(
    offset: np.ndarray, said: np.ndarray, outcome: np.ndarray, family: str
) -> tuple[float, float]:
    """Slopes of a regression of the outcome on offset and trees, with intercept, by Newton.

    Source:
        Platt (1999) for `logistic`, with two scores instead of one.
    """
    design = np.column_stack([np.ones(len(said)), offset - offset.mean(), said - said.mean()])
    found = np.array([offset.mean(), 1.0, 0.0])
    for _ in range(50):
        mean = inverse_link(design @ found, family)
        if family == "logistic":
            score, weight = outcome - mean, mean * (1 - mean)
        elif family == "poisson":
            score, weight = outcome - mean, mean
        else:
            score, weight = outcome / mean - 1, outcome / mean
        hessian = design.T @ (design * weight[:, None]) + 1e-6 * np.eye(3)
        step = np.clip(np.linalg.solve(hessian, design.T @ score), -1.0, 1.0)
        found = found + step
        if np.abs(step).max() < 1e-8:
            break
    return float(found[1]), float(found[2])
