"""Stages 90 days later: transition rates, logistic regression and trees on the same facts."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from xgboost import XGBClassifier

from benchmarks.judge.stages import HORIZON_DAYS, STAGES, stages_at
from benchmarks.predictions import Predictions, for_each_cut

MIN_HISTORY_DAYS = 90
MONTH_DAYS, MAX_MONTHS = 30, 14
MAX_PAST_DATES = 24  # older years teach little, and take as long
PRIOR_MOVES, PRIOR_ROWS = 0.5, 5.0
TREES = {"n_estimators": 300, "max_depth": 3, "learning_rate": 0.05, "subsample": 0.8,
         "random_state": 7, "n_jobs": 2}  # fmt: skip
COUNTS = ("order_days", "order_days_90d", "order_days_365d")
DAYS = ("recency_days", "age_days", "last_gap_days")


def predict(folder: Path, cut: pd.Timestamp) -> Predictions:
    """All peers at one cut."""
    days = pd.read_parquet(folder / "customer_days.parquet")
    predictions = Predictions()
    now = _facts(days, cut)
    stage = now["stage"].to_numpy()
    _add(predictions, "stays", now, np.eye(len(STAGES))[stage])
    past = _past(days, cut)
    if past is None:
        return predictions
    came = past["came"].to_numpy()
    with predictions.timed("markov"):
        counts = np.full((len(STAGES), len(STAGES)), PRIOR_MOVES)
        np.add.at(counts, (past["stage"].to_numpy(), came), 1)
        rates = counts / counts.sum(axis=1, keepdims=True)
        _add(predictions, "markov", now, rates[stage])
    with predictions.timed("semi_markov"):
        by_month = np.zeros((len(STAGES), MAX_MONTHS + 1, len(STAGES)))
        np.add.at(by_month, (past["stage"].to_numpy(), _months(past), came), 1)
        by_month += PRIOR_ROWS * rates[:, None, :]
        shares = by_month / by_month.sum(axis=2, keepdims=True)
        _add(predictions, "semi_markov", now, shares[stage, _months(now)])
    _learnt(predictions, past, came, now)
    return predictions


def _learnt(
    predictions: Predictions, past: pd.DataFrame, came: np.ndarray, now: pd.DataFrame
) -> None:
    seen, label = np.unique(came, return_inverse=True)
    if len(seen) < 2:
        return
    regression = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    for name, model in (("logistic", regression), ("xgboost", XGBClassifier(**TREES))):
        with predictions.timed(name):
            model.fit(_columns(past), label)
            found = np.zeros((len(now), len(STAGES)))
            found[:, seen] = model.predict_proba(_columns(now))
        _add(predictions, name, now, found)


def _facts(days: pd.DataFrame, day: pd.Timestamp) -> pd.DataFrame:
    frame = stages_at(days, day)
    spent = days[days["day_date"] < day].groupby("customer_id")["net_amount"].sum()
    frame["net_amount"] = spent.reindex(frame.index).clip(lower=0)
    return frame


def _past(days: pd.DataFrame, cut: pd.Timestamp) -> pd.DataFrame | None:
    """Facts on earlier dates, a month apart, and the stage 90 days later; None if too young."""
    oldest = days["day_date"].min() + pd.Timedelta(days=MIN_HISTORY_DAYS)
    horizon = pd.Timedelta(days=HORIZON_DAYS)
    frames = []
    day = cut - horizon
    while day >= oldest and len(frames) < MAX_PAST_DATES:
        later = stages_at(days, day + horizon)["stage"]
        facts = _facts(days, day)
        frames.append(facts.assign(came=later.reindex(facts.index).to_numpy()))
        day -= pd.Timedelta(days=MONTH_DAYS)
    return pd.concat(frames, ignore_index=True) if frames else None


def _columns(facts: pd.DataFrame) -> np.ndarray:
    logs = np.log1p(facts[[*DAYS, *COUNTS, "net_amount"]].to_numpy(dtype=float))
    return np.column_stack([logs, np.eye(len(STAGES))[facts["stage"].to_numpy()]])


def _months(facts: pd.DataFrame) -> np.ndarray:
    return np.minimum(facts["recency_days"].to_numpy() // MONTH_DAYS, MAX_MONTHS)


def _add(
    predictions: Predictions, model: str, facts: pd.DataFrame, probability: np.ndarray
) -> None:
    columns = {f"p_{name}": probability[:, place] for place, name in enumerate(STAGES)}
    predictions.add(model, {"customer_id": facts.index}, **columns)


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    for_each_cut(sys.argv[1:], predict)
