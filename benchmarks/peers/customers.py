"""Churn and value: lifetimes' BG/NBD, Pareto/NBD and Gamma-Gamma, trees, regression, rules."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from lifetimes import BetaGeoFitter, GammaGammaFitter, ParetoNBDFitter
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from xgboost import XGBClassifier, XGBRegressor

from benchmarks.peers.history import labelled, rfm
from benchmarks.predictions import Predictions, for_each_cut

CHURN_DAYS = 90
HORIZONS_DAYS = (90, 365)
WEEK = 7.0  # the fits converge better in weeks than in days
PENALTIES = (0.0, 0.001, 0.01, 0.1)
TREES: dict[str, Any] = {
    "n_estimators": 150,
    "max_depth": 3,
    "learning_rate": 0.05,
    "subsample": 0.8,
    "random_state": 7,
    "n_jobs": 2,
}


def predict(folder: Path, cut: pd.Timestamp) -> Predictions:
    """All peers of both questions at one cut."""
    days = pd.read_parquet(folder / "customer_days.parquet")
    features = rfm(days, cut)
    said = Predictions()
    _probability_models(said, days, features, cut)
    _repeats(said, days, features, cut)
    _learnt(said, days, features, cut)
    for name in ("bg_nbd", "pareto_nbd"):
        said.seconds[f"{name}_expected_orders"] = said.seconds[name]
        said.seconds[f"{name}_x_gamma_gamma"] = said.seconds[name] + said.seconds["gamma_gamma"]
    return said


def _probability_models(
    said: Predictions, days: pd.DataFrame, features: pd.DataFrame, cut: pd.Timestamp
) -> None:
    """Buy till you die, on order days; the chance of an order is 1 - exp(-expected orders).

    lifetimes can tell the chance itself for Pareto/NBD only, and then that is used.
    """
    repeats = (features["count_order_days"] - 1).to_numpy(dtype=float)
    last_weeks = ((features["age_days"] - features["recency_days"]) / WEEK).to_numpy()
    age_weeks = (features["age_days"] / WEEK).to_numpy()
    with said.timed("gamma_gamma"):
        amount = _amount_an_order_day(days, features, cut, repeats)
    for name, kind in (("bg_nbd", BetaGeoFitter), ("pareto_nbd", ParetoNBDFitter)):
        with said.timed(name):
            fitter = _fitted(kind, repeats, last_weeks, age_weeks)
            for horizon in HORIZONS_DAYS:
                weeks = horizon / WEEK
                orders = np.asarray(
                    fitter.conditional_expected_number_of_purchases_up_to_time(
                        weeks, repeats, last_weeks, age_weeks
                    )
                )
                orders = np.where(np.isfinite(orders), orders, np.nanmedian(orders)).clip(min=0)
                if horizon == CHURN_DAYS:
                    chance = 1 - np.exp(-orders)
                    if name == "pareto_nbd":
                        chance = _pareto_chance(
                            fitter, weeks, repeats, last_weeks, age_weeks, chance
                        )
                    _say(said, f"{name}_expected_orders", features, 0, order_probability=chance,
                         rank=orders)  # fmt: skip
                spend = orders * amount
                _say(said, f"{name}_x_gamma_gamma", features, horizon, spend=spend)


def _fitted(kind: Any, *arrays: np.ndarray) -> Any:
    """The fit with the least penalty that converges."""
    for penalty in PENALTIES:
        try:
            return kind(penalizer_coef=penalty).fit(*arrays)
        except Exception as error:  # lifetimes raises ConvergenceError, numpy LinAlgError and more
            failure = error
    raise failure


def _pareto_chance(
    fitter: Any, weeks: float, repeats: Any, last: Any, age: Any, otherwise: np.ndarray
) -> np.ndarray:
    with np.errstate(all="ignore"):
        none = fitter.conditional_probability_of_n_purchases_up_to_time(
            0, weeks, repeats, last, age
        )
    none = np.asarray(none, dtype=float)
    return np.where(np.isfinite(none), 1 - none.clip(0, 1), otherwise)


def _amount_an_order_day(
    days: pd.DataFrame, features: pd.DataFrame, cut: pd.Timestamp, repeats: np.ndarray
) -> np.ndarray:
    """Gamma-Gamma's expected net amount of an order day, from the repeat days' mean."""
    past = days[(days["day_date"] < cut)].sort_values(["customer_id", "day_date"])
    is_order = (past["count_orders"] > 0).to_numpy()
    is_later = past["customer_id"].duplicated().to_numpy()
    amounts = past[is_order & is_later].groupby("customer_id")["net_amount"].mean()
    mean = amounts.reindex(features.index).fillna(0).to_numpy(dtype=float)
    known = (repeats > 0) & (mean > 0)
    fitter = _fitted(GammaGammaFitter, repeats[known], mean[known])
    told = fitter.conditional_expected_average_profit(
        pd.Series(np.where(known, repeats, 0.0)), pd.Series(np.where(known, mean, 0.0))
    )
    return np.asarray(told, dtype=float)


def _repeats(
    said: Predictions, days: pd.DataFrame, features: pd.DataFrame, cut: pd.Timestamp
) -> None:
    for horizon in HORIZONS_DAYS:
        with said.timed("repeat_last"):
            spend = features[f"net_amount_{horizon}d"].clip(lower=0).to_numpy()
        _say(said, "repeat_last", features, horizon, spend=spend)
    with said.timed("same_last_year"):
        start = cut - pd.Timedelta(days=365)
        end = start + pd.Timedelta(days=CHURN_DAYS)
        season = days[(days["day_date"] >= start) & (days["day_date"] < end)]
        sums = season.groupby("customer_id")["net_amount"].sum()
        spend = sums.reindex(features.index, fill_value=0).clip(lower=0).to_numpy()
    _say(said, "same_last_year", features, CHURN_DAYS, spend=spend)


def _learnt(
    said: Predictions, days: pd.DataFrame, features: pd.DataFrame, cut: pd.Timestamp
) -> None:
    """What is fitted to past cuts; nothing is said where no horizon had passed yet."""
    for horizon in HORIZONS_DAYS:
        known = labelled(days, cut, horizon)
        if known is None:
            continue
        past, (orders, spend) = known[0], known[1].T
        with said.timed("xgboost_tweedie"):
            trees = XGBRegressor(objective="reg:tweedie", tweedie_variance_power=1.5, **TREES)
            told = trees.fit(past, spend).predict(features)
        _say(said, "xgboost_tweedie", features, horizon, spend=told.clip(min=0))
        if horizon == CHURN_DAYS:
            _churn(said, past, orders > 0, features)


def _churn(
    said: Predictions, past: pd.DataFrame, has_ordered: np.ndarray, features: pd.DataFrame
) -> None:
    regression = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    recency = ["recency_days"]
    for name, model, columns in (
        ("xgboost_rfm", XGBClassifier(**TREES), list(past.columns)),
        ("logistic_regression", regression, list(past.columns)),
        ("recency", LogisticRegression(max_iter=1000), recency),
    ):
        scaled = (lambda frame: frame) if name == "xgboost_rfm" else _logs
        with said.timed(name):
            model.fit(scaled(past[columns]), has_ordered)
            chance = model.predict_proba(scaled(features[columns]))[:, 1]
        _say(said, name, features, 0, order_probability=chance)


def _logs(frame: pd.DataFrame) -> pd.DataFrame:
    """Skewed amounts and counts on a log scale, negative ones too, as an analyst would."""
    return np.sign(frame) * np.log1p(frame.abs())


def _say(
    said: Predictions, model: str, features: pd.DataFrame, horizon: int, **columns: Any
) -> None:
    """Horizon 0 is churn."""
    said.add(model, {"customer_id": features.index, "horizon_days": horizon}, **columns)


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    for_each_cut(sys.argv[1:], predict)
