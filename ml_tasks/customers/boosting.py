"""Boosted trees with an offset: another model sets level and season, the trees rank customers.

The linear predictor is `slope * offset + strength * trees`. The offset is the other model's
prediction, and the trees predict its error. Slope and strength are fitted on later dates and other
customers than the trees were. If customers follow the offset alone, the strength is 0.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
import xgboost as xgb

from ml_tasks.customers.margins import MIN_HISTORY_DAYS, inverse_link, slopes
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
# A slope from three overlapping quarters is half signal, half chance: half of it is applied.
MIN_SLOPE, SLOPE_SHARE = 0.7, 0.5


@dataclass(frozen=True)
class OffsetTrees:
    """A fitted model.

    Attributes:
        family: `logistic` (outcome 0 or 1), `poisson` (counts) or `gamma` (amounts above 0).
        shift: Constant added to the linear predictor, which corrects the level.
        slope: Factor of the offset, near 1.
        strength: Factor of the trees, in [0, 1].
        trees: The booster in XGBoost's UBJ format.
    """

    family: str
    shift: float
    slope: float
    strength: float
    trees: bytes

    def parameters(self) -> dict[str, Any]:
        """All fields but the trees, as JSON."""
        return {name: value for name, value in asdict(self).items() if name != "trees"}

    def predict(self, snapshot: pd.DataFrame, offset: np.ndarray) -> np.ndarray:
        """Probability, expected count or expected amount of each row, shape (n_rows,).

        Args:
            snapshot: Columns of features.customer_snapshots, one date.
            offset: Linear predictor without the trees, shape (n_rows,).
        """
        return inverse_link(self.margin(snapshot, offset), self.family)

    def margin(self, snapshot: pd.DataFrame, offset: np.ndarray) -> np.ndarray:
        """Linear predictor of each row: log odds, or the log of a mean. Args as of `predict`."""
        trees = tree_margin(self.trees, matrix(snapshot))
        return self.shift + self.slope * offset + self.strength * trees


def fit(
    snapshots: pd.DataFrame, outcome: np.ndarray, offset: np.ndarray, family: str, seed: int
) -> OffsetTrees:
    """Fit trees, slope and strength; the shift is 0.

    Args:
        snapshots: Columns of features.customer_snapshots, whole dates, in `content_order`: XGBoost
            samples rows by position.
        outcome: 0 or 1, counts, or amounts, shape (n_snapshots,); not all equal. Rows with NaN are
            not fitted, but count when the date's history is measured.
        offset: Linear predictor without the trees, shape (n_snapshots,).
        family: `logistic`, `poisson` or `gamma`.
        seed: Random seed of XGBoost's row and column samples.
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
        # A short history describes customers badly: weight by its squared share of the longest.
        weight=(history[kept] / history.max()) ** 2,
    )
    slope, strength = _calibrate(data, snapshots[kept], family, seed)
    trees = bytes(_boost(data, family, seed).save_raw("ubj"))
    return OffsetTrees(family=family, shift=0.0, slope=slope, strength=strength, trees=trees)


def tree_margin(trees: bytes, features: pd.DataFrame) -> np.ndarray:
    """Sum of the trees for each row, before `strength`, shape (n_rows,).

    Args:
        trees: The booster in XGBoost's UBJ format.
        features: From `matrix`.
    """
    if features.empty:
        return np.empty(0)
    return _margin(booster_of(trees), features)


@dataclass(frozen=True)
class _Data:
    features: pd.DataFrame
    outcome: np.ndarray
    offset: np.ndarray
    weight: np.ndarray

    def rows(self, mask: np.ndarray) -> _Data:
        return _Data(self.features[mask], self.outcome[mask], self.offset[mask], self.weight[mask])


def booster_of(trees: bytes) -> xgb.Booster:
    """A booster from XGBoost's UBJ format."""
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
        "base_score": 0.5,  # unused, the offset replaces it; set so that XGBoost estimates none
        "seed": seed,
    }
    return xgb.train(settings, frame, COUNT_ROUNDS)


def _margin(booster: xgb.Booster, features: pd.DataFrame) -> np.ndarray:
    frame = xgb.DMatrix(features)
    frame.set_base_margin(np.zeros(len(features)))
    return booster.predict(frame, output_margin=True).astype(float)


def _calibrate(data: _Data, snapshots: pd.DataFrame, family: str, seed: int) -> tuple[float, float]:
    """Fit slope and strength on later dates, with trees that were fitted on other customers."""
    dates = np.sort(snapshots["as_of_date"].unique())
    late = dates[-min(CALIBRATION_DATES, max(len(dates) // 2, 1)) :]
    is_late = snapshots["as_of_date"].isin(late).to_numpy()
    is_early = ~is_late if len(dates) > 1 else np.ones(len(snapshots), dtype=bool)
    fold = pd.util.hash_array(first_days(snapshots)) % COUNT_FOLDS  # one per customer
    trees = np.full(len(snapshots), np.nan)
    for k in range(COUNT_FOLDS):
        train, test = (fold != k) & is_early, (fold == k) & is_late
        if test.any() and train.any() and np.ptp(data.outcome[train]) > 0:
            booster = _boost(data.rows(train), family, seed)
            trees[test] = _margin(booster, data.features[test])
    tested = ~np.isnan(trees)
    if not tested.any() or np.ptp(data.outcome[tested]) == 0:
        return 1.0, 0.0
    slope, strength = slopes(data.offset[tested], trees[tested], data.outcome[tested], family)
    return (
        round(1 + SLOPE_SHARE * (min(max(slope, MIN_SLOPE), 1 / MIN_SLOPE) - 1), 6),
        round(min(max(strength, 0.0), 1.0), 6),
    )
