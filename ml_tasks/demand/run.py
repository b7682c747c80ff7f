"""Demand: units that a product will sell in each of the next eight weeks."""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
import pandas as pd

from ml_tasks.demand import (
    backtest,
    blend,
    closures,
    eligibility,
    evaluate,
    pictures,
    reconcile,
    stored,
)
from ml_tasks.demand import model as demand
from ml_tasks.demand.backtest import BLEND
from ml_tasks.demand.model import CANDIDATES
from ml_tasks.demand.panel import (
    HORIZON_WEEKS,
    WEEK,
    Panel,
    first_forecast_week,
    panel_of,
    weeks_stepped_over,
)
from ml_tasks.demand.season import season_of
from ml_tasks.shared.contest import LOWER
from ml_tasks.shared.features import FeatureStore
from ml_tasks.shared.model import TrainedModel

QUESTION = "demand"
CONTEST = {"wrmsse": LOWER, "mase": LOWER}
BASELINES = demand.SIMPLE
TRAINED_EACH = "week"
NO_MODEL = "no_model"
QUANTITIES = ("demand_units_p10", "demand_units_p50", "demand_units_p90")
MEAN = "demand_units_mean"

# A product that sold nothing for half a year may be gone for good; nothing here can tell.
ACTIVE_WEEKS = 26
ASLEEP = f"no sale in the last {ACTIVE_WEEKS} weeks"
TOO_YOUNG = f"the shop had sold for fewer than {evaluate.MIN_WEEKS} whole weeks"


def train(training_date: date, store: FeatureStore, seed: int) -> TrainedModel:
    """Backtest, weigh the candidates, and fit again to all weeks before `training_date`."""
    panel = panel_of(store.product_weeks(training_date), training_date)
    if panel.n_weeks < evaluate.MIN_WEEKS:
        report = {"decision": f"{TOO_YOUNG}: nothing is forecast"}
        return TrainedModel(NO_MODEL, training_date, {"reason": TOO_YOUNG}, report=report)
    tested = backtest.backtest(panel, seed)
    report = evaluate.report(tested)
    is_better = evaluate.is_better(report)
    name = BLEND if is_better else evaluate.best_simple(report)
    kept: dict[str, Any] = {
        "metrics": evaluate.headlines(report, name),
        "report": {
            "decision": f"nothing could be tested, so {name}",
            "warnings": eligibility.warnings(panel, tested, report),
            **report,
        },
        "plots": pictures.plots(tested, report),
    }
    count_origins = len(tested.origins)
    parameters: dict[str, Any] = {
        "seed": seed,
        "count_weeks": panel.n_weeks,
        "origin_dates": [str(panel.week(origin)) for origin in tested.origins],
    }
    if not is_better:
        shifts = backtest.bands_of(tested, tested.forecasts, (name,))[name]
        return TrainedModel(name, training_date, parameters | stored.bands(shifts), **kept)
    weights = backtest.weights(tested, count_origins)
    forecasts = backtest.with_blend(tested, weights.of_product, count_origins)
    shifts = backtest.bands_of(tested, forecasts, (BLEND,))[BLEND]
    fitted = demand.fit(panel, seed)
    kept["metrics"] |= {
        "arima_own_parameters_rate": float(fitted.arima.is_own.mean()),
        "arima_fits_replaced_count": float(fitted.arima.count_diverged),
    }
    return TrainedModel(
        name,
        training_date,
        parameters | stored.bands(shifts),
        artefacts=stored.files(fitted, weights),
        **kept,
    )


def score(as_of_date: date, model: TrainedModel, store: FeatureStore) -> dict[str, pd.DataFrame]:
    """Eight rows per product that was ever sold; those without a recent sale say so."""
    panel = panel_of(store.product_weeks(as_of_date), as_of_date)
    if model.name == NO_MODEL:
        return {QUESTION: _not_scored(_rows(panel, as_of_date), model.parameters["reason"])}
    awake = panel.sold_within(ACTIVE_WEEKS)
    asleep = _not_scored(_rows(panel.only(~awake), as_of_date), ASLEEP)
    panel = panel.only(awake)
    if not awake.any():
        return {QUESTION: asleep}
    units, expected, methods = _forecast(panel, model)
    steps = slice(weeks_stepped_over(as_of_date), weeks_stepped_over(as_of_date) + HORIZON_WEEKS)
    frame = _rows(panel, as_of_date)
    frame[list(QUANTITIES)] = units[:, steps].reshape(-1, len(QUANTITIES))
    frame[MEAN] = expected[:, steps].ravel()
    frame["method"] = np.repeat(methods, HORIZON_WEEKS)
    return {QUESTION: pd.concat([frame.assign(score_status="scored", score_reason=None), asleep])}


def _forecast(panel: Panel, model: TrainedModel) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Units of every step, (n_products, STEPS, 3), expected units, and each product's method."""
    shifts = np.array(model.parameters[stored.BANDS])
    season = season_of(panel)
    if model.name != BLEND:
        quantiles = demand.simple(closures.without_past(panel).units)[model.name]
        methods = np.full(len(panel.product_ids), model.name, dtype=object)
    else:
        forecasts = demand.forecast(stored.fitted(model.artefacts), panel)
        weights = stored.weights_of(model.artefacts, panel.product_ids, backtest.sizes(forecasts))
        quantiles = blend.blended(forecasts, weights)
        methods = np.array(CANDIDATES, dtype=object)[weights.argmax(axis=1)]
    units = blend.units_of(quantiles, shifts, panel.units)
    return units, reconcile.means(units, panel, season), methods


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
    nothing = dict.fromkeys((*QUANTITIES, MEAN), float("nan"))
    return frame.assign(**nothing, method=None, score_status="not_scored", score_reason=reason)
