"""Demand: units that a product will sell in each of the next eight weeks."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import numpy as np
import pandas as pd

from ml_tasks.demand import evaluate
from ml_tasks.demand import model as demand
from ml_tasks.demand.arima import ArimaParameters
from ml_tasks.demand.model import SEASONAL_NAIVE, Fitted
from ml_tasks.demand.panel import (
    HORIZON_WEEKS,
    WEEK,
    Panel,
    first_forecast_week,
    panel_of,
    weeks_stepped_over,
)
from ml_tasks.shared.contest import LOWER
from ml_tasks.shared.features import FeatureStore
from ml_tasks.shared.model import TrainedModel, canonical_json

QUESTION = "demand"
CONTEST = {"wrmsse": LOWER, "mase": LOWER}
BASELINES = (SEASONAL_NAIVE,)
TRAINED_EACH = "week"
MODEL, NO_MODEL = "arima_or_lstm", "no_model"
WEIGHTS_FILE, PRODUCTS_FILE = "lstm.safetensors", "products.json"
QUANTITIES = ("demand_units_p10", "demand_units_p50", "demand_units_p90")

# A product that sold nothing for half a year may be gone for good; nothing here can tell.
ACTIVE_WEEKS = 26
ASLEEP = f"no sale in the last {ACTIVE_WEEKS} weeks"
TOO_YOUNG = f"the shop had sold for fewer than {evaluate.MIN_WEEKS} whole weeks"


def train(training_date: date, store: FeatureStore, seed: int) -> TrainedModel:
    """Backtest, choose per product, and fit again to all weeks before `training_date`."""
    panel = panel_of(store.product_weeks(training_date), training_date)
    if panel.n_weeks < evaluate.MIN_WEEKS:
        return TrainedModel(NO_MODEL, training_date, {"reason": TOO_YOUNG})
    tested = evaluate.backtest(panel, seed)
    report = evaluate.report(tested)
    count_origins = len(tested.origins)
    shifts = evaluate.bands_of(tested, count_origins)
    parameters: dict[str, Any] = {
        "seed": seed,
        "count_weeks": panel.n_weeks,
        "origin_dates": [str(panel.week(origin)) for origin in tested.origins],
        "band_shifts": {name: values.tolist() for name, values in shifts.items()},
    }
    kept: dict[str, Any] = {"metrics": _headlines(report), "report": _as_cuts(report)}
    if not evaluate.is_better(report):
        return TrainedModel(SEASONAL_NAIVE, training_date, parameters, **kept)
    kept["report"] |= {"used": "chosen"}
    fitted = demand.fit(panel, seed)
    methods = evaluate.choices(tested, count_origins)
    kept["metrics"] |= {
        "lstm_rate": float((methods == demand.LSTM).mean()),
        "arima_own_parameters_rate": float(fitted.arima.is_own.mean()),
    }
    return TrainedModel(
        MODEL,
        training_date,
        parameters,
        artefacts={
            WEIGHTS_FILE: fitted.lstm_weights,
            PRODUCTS_FILE: canonical_json(_products(fitted, methods)).encode(),
        },
        **kept,
    )


def score(as_of_date: date, model: TrainedModel, store: FeatureStore) -> dict[str, pd.DataFrame]:
    """Eight rows per product that was ever sold; those without a recent sale say so."""
    panel = panel_of(store.product_weeks(as_of_date), as_of_date)
    frame = _rows(panel, as_of_date)
    if model.name == NO_MODEL:
        return {QUESTION: _not_scored(frame, model.parameters["reason"])}
    units, methods = _forecast(panel, model)
    steps = slice(weeks_stepped_over(as_of_date), weeks_stepped_over(as_of_date) + HORIZON_WEEKS)
    frame[list(QUANTITIES)] = units[:, steps].reshape(-1, len(QUANTITIES))
    frame["method"] = np.repeat(methods, HORIZON_WEEKS)
    frame = frame.assign(score_status="scored", score_reason=None)
    asleep = np.repeat(~panel.sold_within(ACTIVE_WEEKS), HORIZON_WEEKS)
    return {QUESTION: pd.concat([frame[~asleep], _not_scored(frame[asleep], ASLEEP)])}


def _forecast(panel: Panel, trained: TrainedModel) -> tuple[np.ndarray, np.ndarray]:
    """Units of every step, shape (n_products, STEPS, 3), and each product's method."""
    shifts = {name: np.array(v) for name, v in trained.parameters["band_shifts"].items()}
    if trained.name == SEASONAL_NAIVE:
        forecasts = {SEASONAL_NAIVE: demand.seasonal_naive(panel.units)}
        methods = np.full(len(panel.product_ids), SEASONAL_NAIVE, dtype=object)
    else:
        products = json.loads(trained.artefacts[PRODUCTS_FILE])
        forecasts = demand.forecast(_fitted(products, trained.artefacts[WEIGHTS_FILE]), panel)
        chosen = dict(zip(products["product_ids"], products["methods"], strict=True))
        methods = np.array(
            [chosen.get(product, products["usual_method"]) for product in panel.product_ids],
            dtype=object,
        )
    units = {
        name: demand.units_of(values, shifts[name], panel.units)
        for name, values in forecasts.items()
    }
    return evaluate.pick(units, methods), methods


def _products(fitted: Fitted, methods: np.ndarray) -> dict[str, Any]:
    names, counts = np.unique(methods, return_counts=True)
    return {
        "product_ids": fitted.product_ids.tolist(),
        "methods": methods.tolist(),
        "usual_method": str(names[np.argmax(counts)]),
        "theta": fitted.arima.theta.tolist(),
        "sigma": fitted.arima.sigma.tolist(),
        "is_own": fitted.arima.is_own.tolist(),
    }


def _fitted(products: dict[str, Any], weights: bytes) -> Fitted:
    parameters = (np.array(products[name]) for name in ("theta", "sigma", "is_own"))
    return Fitted(np.array(products["product_ids"]), ArimaParameters(*parameters), weights)


def _rows(panel: Panel, as_of_date: date) -> pd.DataFrame:
    """The keys: every product with each of the next HORIZON_WEEKS weeks."""
    first = first_forecast_week(as_of_date)
    horizons = np.arange(1, HORIZON_WEEKS + 1)
    weeks = pd.to_datetime([first + WEEK * int(horizon - 1) for horizon in horizons])
    count = len(panel.product_ids)
    return pd.DataFrame(
        {
            "product_id": np.repeat(panel.product_ids.astype(object), HORIZON_WEEKS),
            "week_start_date": np.tile(weeks, count),
            "horizon_weeks": np.tile(horizons, count),
        }
    )


def _not_scored(frame: pd.DataFrame, reason: str) -> pd.DataFrame:
    nothing = dict.fromkeys(QUANTITIES, float("nan"))
    return frame.assign(**nothing, method=None, score_status="not_scored", score_reason=reason)


def _as_cuts(report: dict[str, Any]) -> dict[str, Any]:
    """The report, its origin as a cut: what a contest with another model reads."""
    if not report:
        return report
    return {**report, "cuts": [{"cut_date": report["origin_date"], **report["methods"]}]}


def _headlines(report: dict[str, Any]) -> dict[str, float]:
    """Figures of the products' chosen methods, and of the rest under their names; finite ones."""
    prefixes = {"chosen": "", SEASONAL_NAIVE: "baseline_"}
    return {
        f"{prefixes.get(method, method + '_')}{name}": value
        for method, figures in report.get("methods", {}).items()
        for name, value in figures.items()
        if np.isfinite(value)
    }
