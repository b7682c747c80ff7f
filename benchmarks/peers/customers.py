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

from benchmarks.peers.buying import (
    expected_orders,
    fitted,
    fitted_to,
    history_of,
    no_order_chance,
)
from benchmarks.peers.history import band_of_recency, labelled, rfm
from benchmarks.predictions import Predictions, for_each_cut

CHURN_DAYS = 90
HORIZONS_DAYS = (90, 365)
LEVELS = (0.1, 0.5, 0.9)
LEAST_BUYERS = 50  # minimum to fit quantiles of buyers by trees
# docs/decisions/benchmarks.md: the best of five settings on four cuts of Online Retail II.
TREES: dict[str, Any] = {
    "n_estimators": 300,
    "max_depth": 2,
    "learning_rate": 0.03,
    "subsample": 0.8,
    "random_state": 7,
    "n_jobs": 2,
}


def predict(folder: Path, cut: pd.Timestamp) -> Predictions:
    """All peers of both questions at one cut."""
    days = pd.read_parquet(folder / "customer_days.parquet")
    features = rfm(days, cut)
    predictions = Predictions()
    _probability_models(predictions, days, features, cut)
    _rules(predictions, days, features, cut)
    _learnt(predictions, days, features, cut)
    for name in ("bg_nbd", "pareto_nbd"):
        predictions.seconds[f"{name}_x_gamma_gamma"] = (
            predictions.seconds[name] + predictions.seconds["gamma_gamma"]
        )
    return predictions


def _probability_models(
    predictions: Predictions, days: pd.DataFrame, features: pd.DataFrame, cut: pd.Timestamp
) -> None:
    """Add the models of lifetimes: the exact probability of an order, and the mean spend."""
    history = history_of(features)
    with predictions.timed("gamma_gamma"):
        amount = _amount_an_order_day(days, features, cut, history[0])
    for name, kind in (("bg_nbd", BetaGeoFitter), ("pareto_nbd", ParetoNBDFitter)):
        with predictions.timed(name):
            fitter = fitted_to(history, kind)
            for horizon in HORIZONS_DAYS:
                chance = 1 - no_order_chance(fitter, history, horizon)
                if horizon == CHURN_DAYS:
                    _add(predictions, name, features, 0, order_probability=chance)
                spend = expected_orders(fitter, history, horizon) * amount
                _add(predictions, f"{name}_x_gamma_gamma", features, horizon, spend=spend,
                     spend_probability=chance)  # fmt: skip


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
    fitter = fitted(GammaGammaFitter, repeats[known], mean[known])
    predicted = fitter.conditional_expected_average_profit(
        pd.Series(np.where(known, repeats, 0.0)), pd.Series(np.where(known, mean, 0.0))
    )
    return np.asarray(predicted, dtype=float)


def _rules(
    predictions: Predictions, days: pd.DataFrame, features: pd.DataFrame, cut: pd.Timestamp
) -> None:
    _add(predictions, "all_zero", features, 0, order_probability=0.0)
    for horizon in HORIZONS_DAYS:
        nothing = dict.fromkeys(("spend", "spend_p10", "spend_p50", "spend_p90"), 0.0)
        _add(predictions, "all_zero", features, horizon, spend_probability=0.0, **nothing)
        with predictions.timed("repeat_last"):
            spend = features[f"net_amount_{horizon}d"].clip(lower=0).to_numpy()
        _add(predictions, "repeat_last", features, horizon, spend=spend)
    with predictions.timed("same_last_year"):
        start = cut - pd.Timedelta(days=365)
        end = start + pd.Timedelta(days=CHURN_DAYS)
        season = days[(days["day_date"] >= start) & (days["day_date"] < end)]
        sums = season.groupby("customer_id")["net_amount"].sum()
        spend = sums.reindex(features.index, fill_value=0).clip(lower=0).to_numpy()
    _add(predictions, "same_last_year", features, CHURN_DAYS, spend=spend)


def _learnt(
    predictions: Predictions, days: pd.DataFrame, features: pd.DataFrame, cut: pd.Timestamp
) -> None:
    """Add the models that are fitted to past cuts; none where no horizon had passed yet."""
    for horizon in HORIZONS_DAYS:
        known = labelled(days, cut, horizon)
        if known is None:
            continue
        past, (orders, spend) = known[0], known[1].T
        with predictions.timed("xgboost_tweedie"):
            trees = XGBRegressor(objective="reg:tweedie", tweedie_variance_power=1.5, **TREES)
            predicted = trees.fit(past, spend).predict(features)
        _add(predictions, "xgboost_tweedie", features, horizon, spend=predicted.clip(min=0))
        with predictions.timed("xgboost_quantile"):
            bands = _quantiles(past, spend, features)
        _add(predictions, "xgboost_quantile", features, horizon, **bands)
        with predictions.timed("recency"):
            bands = _of_like_recency(past, spend, features)
        _add(predictions, "recency", features, horizon, **bands)
        if horizon == CHURN_DAYS:
            _churn(predictions, past, orders > 0, features)


def _quantiles(
    past: pd.DataFrame, spend: np.ndarray, features: pd.DataFrame
) -> dict[str, np.ndarray]:
    """Trees for quantiles of all customers and of buyers, and for the probability of buying."""

    def fit_and_predict(rows: pd.DataFrame, amounts: np.ndarray) -> np.ndarray:
        trees = XGBRegressor(objective="reg:quantileerror", quantile_alpha=LEVELS, **TREES)
        return np.sort(trees.fit(rows, amounts).predict(features), axis=1).clip(min=0)

    is_buying = spend > 0
    of_all = fit_and_predict(past, spend)
    predicted = {f"spend_p{round(100 * level)}": of_all[:, i] for i, level in enumerate(LEVELS)}
    if is_buying.any() and not is_buying.all():
        predicted["spend_probability"] = (
            XGBClassifier(**TREES).fit(past, is_buying).predict_proba(features)[:, 1]
        )
    if is_buying.sum() >= LEAST_BUYERS:
        of_buyers = fit_and_predict(past[is_buying], spend[is_buying])
        predicted |= {"if_buying_p10": of_buyers[:, 0], "if_buying_p90": of_buyers[:, 2]}
    return predicted


def _of_like_recency(
    past: pd.DataFrame, spend: np.ndarray, features: pd.DataFrame
) -> dict[str, np.ndarray]:
    """Mean, quantiles and probability of buying of customers with similar recency."""
    band, own = band_of_recency(past["recency_days"]), band_of_recency(features["recency_days"])
    names = ("spend", "spend_probability", "spend_p10", "spend_p50", "spend_p90")
    predicted = np.empty((len(features), len(names)))
    for number in np.unique(own):
        like = spend[band == number] if (band == number).any() else spend
        predicted[own == number] = [like.mean(), (like > 0).mean(), *np.quantile(like, LEVELS)]
    return dict(zip(names, predicted.T, strict=True))


def _churn(
    predictions: Predictions, past: pd.DataFrame, has_ordered: np.ndarray, features: pd.DataFrame
) -> None:
    if has_ordered.all() or not has_ordered.any():
        return
    regression = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    recency = ["recency_days"]
    for name, model, columns in (
        ("xgboost_rfm", XGBClassifier(**TREES), list(past.columns)),
        ("logistic_rfm", regression, list(past.columns)),
        ("recency", LogisticRegression(max_iter=1000), recency),
    ):
        scaled = (lambda frame: frame) if name == "xgboost_rfm" else _logs
        with predictions.timed(name):
            model.fit(scaled(past[columns]), has_ordered)
            chance = model.predict_proba(scaled(features[columns]))[:, 1]
        _add(predictions, name, features, 0, order_probability=chance)


def _logs(frame: pd.DataFrame) -> pd.DataFrame:
    """Skewed amounts and counts on a log scale, also negative ones."""
    return np.sign(frame) * np.log1p(frame.abs())


def _add(
    predictions: Predictions, model: str, features: pd.DataFrame, horizon: int, **columns: Any
) -> None:
    """Add a model's rows; horizon 0 is churn."""
    predictions.add(model, {"customer_id": features.index, "horizon_days": horizon}, **columns)


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    for_each_cut(sys.argv[1:], predict)
