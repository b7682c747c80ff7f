"""Time to the next order: Cox, Weibull AFT, forest, Pareto/NBD, BG/NBD, recency, no order."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from lifelines import CoxPHFitter, KaplanMeierFitter, WeibullAFTFitter
from lifetimes import BetaGeoFitter, ParetoNBDFitter
from sksurv.ensemble import RandomSurvivalForest
from sksurv.util import Surv

from benchmarks.peers.buying import PENALTIES, fitted_to, history_of, no_order_chance
from benchmarks.peers.history import RECENCY_EDGES_DAYS, band_of_recency, rfm
from benchmarks.predictions import Predictions, for_each_cut

DAYS = (30, 60, 90, 180)
# Customers enter on these days before the cut and are watched until the cut.
LOOKED_AT_DAYS_BEFORE = (180, 270, 360)
MIN_HISTORY_DAYS = 90
FOREST_ROWS = 5_000
FOREST = {
    "n_estimators": 100,
    "min_samples_leaf": 15,
    "max_features": "sqrt",
    "random_state": 7,
    "n_jobs": 2,
}
FOREVER_DAYS = 10_000.0


def predict(folder: Path, cut: pd.Timestamp) -> Predictions:
    """All peers at one cut."""
    days = pd.read_parquet(folder / "customer_days.parquet")
    predictions = Predictions()
    features = rfm(days, cut)
    watched = _watched(days, cut)
    past, now = _covariates(watched), _covariates(features)
    spell = pd.DataFrame({"wait": watched["wait"], "is_ordered": watched["is_ordered"]})
    _regressions(predictions, past, spell, now, features.index)
    _forest(predictions, past, spell, now, features.index)
    _recency(predictions, watched, features)
    _probability_models(predictions, features)
    nobody = np.ones((len(features), len(DAYS)))
    _add(predictions, "all_zero", features.index, np.full(len(features), FOREVER_DAYS), nobody)
    return predictions


def _watched(days: pd.DataFrame, cut: pd.Timestamp) -> pd.DataFrame:
    """Features on past days, the wait from then to the next order, and whether it has come."""
    orders = days[days["count_orders"] > 0]
    oldest = orders["day_date"].min() + pd.Timedelta(days=MIN_HISTORY_DAYS)
    dates = [cut - pd.Timedelta(days=before) for before in LOOKED_AT_DAYS_BEFORE]
    frames = []
    for date in [date for date in dates if date >= oldest] or [cut - (cut - oldest) / 2]:
        frame = rfm(days, date)
        later = orders[orders["day_date"] >= date].groupby("customer_id")["day_date"].min()
        first = later.reindex(frame.index)
        frame["is_ordered"] = first.notna()
        frame["wait"] = ((first - date).dt.days + 1).fillna((cut - date).days).to_numpy()
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def _covariates(frame: pd.DataFrame) -> pd.DataFrame:
    columns = ["recency_days", "age_days", "count_order_days", "avg_gap_days", "count_orders_90d",
               "count_orders_365d"]  # fmt: skip
    logs = np.log1p(frame[columns])
    logs["net_amount_365d"] = np.log1p(frame["net_amount_365d"].clip(lower=0))
    logs["is_new"] = (frame["count_order_days"] == 1).astype(float)
    return logs


def _regressions(
    predictions: Predictions,
    past: pd.DataFrame,
    spell: pd.DataFrame,
    now: pd.DataFrame,
    customers: pd.Index,
) -> None:
    frame = pd.concat([past, spell], axis=1)
    for name, kind in (("cox", CoxPHFitter), ("weibull_aft", WeibullAFTFitter)):
        with predictions.timed(name):
            for penalty in PENALTIES:
                try:
                    fitter = kind(penalizer=penalty).fit(frame, "wait", "is_ordered")
                    break
                except Exception as error:  # a singular matrix, or no convergence
                    print(name, "penalty", penalty, type(error).__name__, end=" ")
            else:
                continue
            curves = fitter.predict_survival_function(now, times=DAYS)
            if name == "cox":
                wait = -fitter.predict_log_partial_hazard(now).to_numpy()
            else:
                wait = fitter.predict_median(now).to_numpy()
        _add(predictions, name, customers, wait, curves.to_numpy().T)


def _forest(
    predictions: Predictions,
    past: pd.DataFrame,
    spell: pd.DataFrame,
    now: pd.DataFrame,
    customers: pd.Index,
) -> None:
    """Add a forest on a sample of rows: it stores a curve per leaf, over each day that it saw."""
    with predictions.timed("random_survival_forest"):
        chosen = past.sample(min(FOREST_ROWS, len(past)), random_state=7).sort_index().index
        target = Surv.from_arrays(spell.loc[chosen, "is_ordered"], spell.loc[chosen, "wait"])
        forest = RandomSurvivalForest(**FOREST).fit(past.loc[chosen], target)
        curves, risks = [], []
        for start in range(0, len(now), 2_000):
            part = now.iloc[start : start + 2_000]
            grid = np.clip(np.searchsorted(forest.unique_times_, DAYS, side="right") - 1, 0, None)
            curves.append(forest.predict_survival_function(part, return_array=True)[:, grid])
            risks.append(forest.predict(part))
    _add(
        predictions,
        "random_survival_forest",
        customers,
        -np.concatenate(risks),
        np.concatenate(curves),
    )


def _recency(predictions: Predictions, watched: pd.DataFrame, features: pd.DataFrame) -> None:
    """Add the Kaplan-Meier curve of customers with similar recency."""
    with predictions.timed("recency"):
        band = band_of_recency(watched["recency_days"])
        of_all = KaplanMeierFitter().fit(watched["wait"], watched["is_ordered"])
        curves = np.tile(of_all.predict(list(DAYS)).to_numpy(), (len(RECENCY_EDGES_DAYS) + 1, 1))
        for number in np.unique(band):
            members = watched[band == number]
            fitter = KaplanMeierFitter().fit(members["wait"], members["is_ordered"])
            curves[number] = fitter.predict(list(DAYS)).to_numpy()
        own = curves[band_of_recency(features["recency_days"])]
    _add(
        predictions, "recency", features.index, features["recency_days"].to_numpy(dtype=float), own
    )


def _probability_models(predictions: Predictions, features: pd.DataFrame) -> None:
    """Add the exact probability of no order by each day; a higher one ranks as a longer wait."""
    history = history_of(features)
    for name, kind in (("pareto_nbd", ParetoNBDFitter), ("bg_nbd", BetaGeoFitter)):
        with predictions.timed(name):
            fitter = fitted_to(history, kind)
            curves = np.column_stack([no_order_chance(fitter, history, day) for day in DAYS])
        _add(predictions, name, features.index, curves[:, DAYS.index(90)], curves)


def _add(
    predictions: Predictions, model: str, customers: pd.Index, wait: np.ndarray, curves: np.ndarray
) -> None:
    wait = np.where(np.isfinite(wait), wait, np.nanmax(wait[np.isfinite(wait)]) + 1)
    columns = {f"s{day}": curves[:, number] for number, day in enumerate(DAYS)}
    predictions.add(model, {"customer_id": customers}, wait=wait, **columns)


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    for_each_cut(sys.argv[1:], predict)
