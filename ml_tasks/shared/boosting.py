"""Trees on top of date levels, and a calibration on customers they have not seen.

XGBoost explains customers, `seasons` explains dates, and what is left on the newest known dates is
corrected by half: they overlap, so a drift seen there is part news and part chance.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any
from zlib import crc32

import numpy as np
import pandas as pd
import xgboost as xgb
from sklearn.linear_model import LogisticRegression

from ml_tasks.shared import seasons
from ml_tasks.shared.customer_matrix import history_days, matrix, monotone_constraints

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
    "tweedie": {"objective": "reg:tweedie", "tweedie_variance_power": 1.3},
}
COUNT_FOLDS = 2
CALIBRATION_DATES = 3
CALIBRATION_SHARE = 0.5
# Bounds on the linear predictor: e^15 times the mean is no forecast of anything.
MAX_MARGIN = 15.0


@dataclass(frozen=True)
class LevelledTrees:
    """A fitted model, all of it data.

    Attributes:
        family: `logistic` (outcome 0 or 1), `poisson` (counts) or `tweedie` (amounts).
        unit: Mean outcome in training; amounts and counts are predicted in this unit.
        start: Linear predictor of an average customer on an average date.
        levels: ISO date -> level, see `seasons`.
        drift, slope: Calibration of the linear predictor.
        trees: The booster in XGBoost's UBJ form.
    """

    family: str
    unit: float
    start: float
    levels: dict[str, float]
    drift: float
    slope: float
    trees: bytes

    def parameters(self) -> dict[str, Any]:
        """Everything but the trees, as JSON."""
        return {name: value for name, value in asdict(self).items() if name != "trees"}

    def level_of(self, as_of_date: pd.Timestamp) -> float:
        """Level to expect of a date after the known ones."""
        return seasons.project(_as_series(self.levels), as_of_date)

    def predict(self, snapshot: pd.DataFrame, as_of_date: pd.Timestamp) -> np.ndarray:
        """Probability, expected count or expected amount per row of one date's snapshot."""
        if snapshot.empty:
            return np.empty(0)
        booster = xgb.Booster({"nthread": 1})
        booster.load_model(bytearray(self.trees))
        level = np.full(len(snapshot), self.level_of(as_of_date))
        margin = _margin(booster, matrix(snapshot), self.start + level)
        return _inverse_link(self.drift + self.slope * margin, self.family) * self.unit


def fit(snapshots: pd.DataFrame, outcome: np.ndarray, family: str, seed: int) -> LevelledTrees:
    """Fit levels, trees and calibration. The order of the rows does not matter.

    Args:
        snapshots: Columns of features.customer_snapshots, whole dates.
        outcome: Shape (n_snapshots,): 0 or 1, counts or amounts, by family; not all equal.
        family: `logistic`, `poisson` or `tweedie`.
        seed: Of XGBoost's row and column samples.
    """
    order = np.lexsort((snapshots["customer_id"].astype(str), snapshots["as_of_date"]))
    snapshots, y = snapshots.iloc[order], np.asarray(outcome, dtype=float)[order]
    # The first weeks of a shop show its customers in a window cut short.
    is_whole = (history_days(snapshots) >= seasons.WINDOW_DAYS).to_numpy()
    if is_whole.any() and np.ptp(y[is_whole]) > 0:
        snapshots, y = snapshots[is_whole], y[is_whole]
    mean = float(y.mean())
    unit, start = (1.0, float(np.log(mean / (1 - mean)))) if family == "logistic" else (mean, 0.0)
    known = seasons.levels(snapshots, y, "logistic" if family == "logistic" else "log")
    data = _Data(
        features=matrix(snapshots),
        outcome=y / unit,
        offset=start + snapshots["as_of_date"].map(known).fillna(0.0).to_numpy(),
        # Young history describes customers badly; a date weighs by the square of its share.
        weight=(history_days(snapshots) / history_days(snapshots).max()).to_numpy() ** 2,
    )
    drift, slope = _calibrate(data, snapshots, family, seed)
    return LevelledTrees(
        family=family,
        unit=unit,
        start=start,
        levels={f"{day:%Y-%m-%d}": float(value) for day, value in known.items()},
        drift=drift,
        slope=slope,
        trees=bytes(_boost(data, family, seed).save_raw("ubj")),
    )


@dataclass(frozen=True)
class _Data:
    features: pd.DataFrame
    outcome: np.ndarray
    offset: np.ndarray
    weight: np.ndarray

    def rows(self, mask: np.ndarray) -> _Data:
        return _Data(self.features[mask], self.outcome[mask], self.offset[mask], self.weight[mask])


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


def _margin(booster: xgb.Booster, features: pd.DataFrame, offset: np.ndarray) -> np.ndarray:
    frame = xgb.DMatrix(features)
    frame.set_base_margin(offset)
    return booster.predict(frame, output_margin=True).astype(float)


def _calibrate(data: _Data, snapshots: pd.DataFrame, family: str, seed: int) -> tuple[float, float]:
    """Drift and slope on the newest dates, each customer predicted by trees fitted without them."""
    newest = np.sort(snapshots["as_of_date"].unique())[-CALIBRATION_DATES:]
    is_newest = snapshots["as_of_date"].isin(newest).to_numpy()
    fold = snapshots["customer_id"].map(lambda key: crc32(str(key).encode()) % COUNT_FOLDS)
    margin = np.full(len(snapshots), np.nan)
    for k in range(COUNT_FOLDS):
        held_out = (fold == k).to_numpy()
        if not (held_out & is_newest).any() or np.ptp(data.outcome[~held_out]) == 0:
            continue
        part = data.rows(held_out & is_newest)
        booster = _boost(data.rows(~held_out), family, seed)
        margin[held_out & is_newest] = _margin(booster, part.features, part.offset)
    judged = ~np.isnan(margin)
    return _correction(margin[judged], data.outcome[judged], family)


def _correction(margin: np.ndarray, outcome: np.ndarray, family: str) -> tuple[float, float]:
    """Share of the correction that would make held-out predictions right on the whole.

    Source:
        Platt (1999) for `logistic`; for the others the total only.
    """
    if len(margin) == 0 or outcome.min() == outcome.max():
        return 0.0, 1.0
    if family == "logistic":
        fitted = LogisticRegression(C=1e6, tol=1e-8).fit(margin[:, None], outcome)
        drift, slope = float(fitted.intercept_[0]), float(fitted.coef_[0, 0])
    else:
        drift = float(np.log(outcome.sum() / _inverse_link(margin, family).sum()))
        slope = 1.0
    return round(CALIBRATION_SHARE * drift, 6), round(1 + CALIBRATION_SHARE * (slope - 1), 6)


def _inverse_link(margin: np.ndarray, family: str) -> np.ndarray:
    bounded = np.clip(margin, -MAX_MARGIN, MAX_MARGIN)
    return 1 / (1 + np.exp(-bounded)) if family == "logistic" else np.exp(bounded)


def _as_series(levels: dict[str, float]) -> pd.Series:
    return pd.Series(
        list(levels.values()),
        index=pd.DatetimeIndex(list(levels), dtype="datetime64[ns]"),
        dtype=float,
    )
