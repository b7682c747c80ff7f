"""Demand: units that a product will sell in each of the next eight weeks."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
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
from ml_tasks.demand.launches import Launches, launches_of
from ml_tasks.demand.model import CANDIDATES
from ml_tasks.demand.panel import (
    AWAKE_WEEKS,
    HORIZON_WEEKS,
    WEEK,
    Panel,
    first_forecast_week,
    panel_of,
    weeks_stepped_over,
)
from ml_tasks.demand.season import season_of
from ml_tasks.shared.bias import FIGURE, BiasFigures
from ml_tasks.shared.contest import LOWER
from ml_tasks.shared.features import FeatureStore
from ml_tasks.shared.model import TrainedModel

QUESTION = "demand"
BIAS = BiasFigures(FIGURE, rows=evaluate.TOTALS)
CONTEST = {"wrmsse": LOWER, "mase": LOWER}
BASELINES = demand.SIMPLE
TRAINED_EACH = "week"
NO_MODEL = "no_model"
QUANTITIES = ("demand_units_p10", "demand_units_p50", "demand_units_p90")
MEAN = "demand_units_mean"

ASLEEP = f"no sale in the last {AWAKE_WEEKS} weeks"
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
            evaluate.TOTALS: evaluate.totals(tested),
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
    every = np.ones(len(panel.product_ids), dtype=bool)
    return {QUESTION: _with_means(_scores(panel, every, as_of_date, model), panel, as_of_date)}


def score_shard(
    as_of_date: date, model: TrainedModel, store: FeatureStore
) -> dict[str, pd.DataFrame]:
    """The rows of the products of the store's shard, but for what depends on all others.

    All sales are read: what is usual in the shop is the same in every shard.
    """
    panel = panel_of(store.product_weeks(as_of_date), as_of_date)
    own = store.shard.holds(panel.product_ids.tolist())
    return {QUESTION: _scores(panel, own, as_of_date, model)}


def joined(
    parts: Collection[Mapping[str, pd.DataFrame]],
    as_of_date: date,
    model: TrainedModel,
    store: FeatureStore,
) -> Iterator[dict[str, pd.DataFrame]]:
    """The rows of all shards as one, with expected units that add up to the forecasts of totals."""
    del model
    panel = panel_of(store.product_weeks(as_of_date), as_of_date)
    scores = pd.concat([part[QUESTION] for part in parts])
    yield {QUESTION: _with_means(scores, panel, as_of_date)}


def _scores(panel: Panel, own: np.ndarray, as_of_date: date, model: TrainedModel) -> pd.DataFrame:
    """Rows without MEAN of the products that are `own`, shape (n_products,) of booleans."""
    if model.name == NO_MODEL:
        return _not_scored(_rows(panel.only(own), as_of_date), model.parameters["reason"])
    awake = panel.sold_within(AWAKE_WEEKS)
    asleep = _not_scored(_rows(panel.only(own & ~awake), as_of_date), ASLEEP)
    if not (own & awake).any():
        return asleep
    launches = launches_of(closures.without_past(panel).units)
    units, methods = _forecast(panel.only(awake), own[awake], model, launches)
    frame = _rows(panel.only(own & awake), as_of_date)
    frame[list(QUANTITIES)] = units[:, _steps(as_of_date)].reshape(-1, len(QUANTITIES))
    frame["method"] = np.repeat(methods, HORIZON_WEEKS)
    return pd.concat([frame.assign(score_status="scored", score_reason=None), asleep])


def _with_means(scores: pd.DataFrame, panel: Panel, as_of_date: date) -> pd.DataFrame:
    """The rows of all products, in a total order, with MEAN."""
    scores = scores.sort_values(["product_id", "horizon_weeks"], ignore_index=True)
    is_scored = (scores["score_status"] == "scored").to_numpy(dtype=bool)
    scores[MEAN] = np.nan
    if is_scored.any():
        launches = launches_of(panel.units)
        panel = panel.only(panel.sold_within(AWAKE_WEEKS))
        if scores.loc[is_scored, "product_id"].unique().tolist() != panel.product_ids.tolist():
            raise ValueError("the sales changed while they were forecast: score the date again")
        units = scores.loc[is_scored, list(QUANTITIES)].to_numpy(dtype=float)
        by_product = np.ascontiguousarray(units).reshape(-1, HORIZON_WEEKS, len(QUANTITIES))
        usual = season_of(panel)
        season = np.concatenate(
            [usual[: panel.n_weeks], usual[panel.n_weeks :][_steps(as_of_date)]]
        )
        expected = reconcile.means(by_product, panel, season, launches)
        scores.loc[is_scored, MEAN] = expected.ravel()
        units = reconcile.consistent(by_product, expected).reshape(-1, len(QUANTITIES))
        scores.loc[is_scored, list(QUANTITIES)] = units
    return scores


def _steps(as_of_date: date) -> slice:
    """The steps after the panel's last week that are asked for."""
    first = weeks_stepped_over(as_of_date)
    return slice(first, first + HORIZON_WEEKS)


def _forecast(
    panel: Panel, own: np.ndarray, model: TrainedModel, launches: Launches
) -> tuple[np.ndarray, np.ndarray]:
    """Units of every step, (n_own, STEPS, 3), and the method, of the products that are `own`."""
    shifts = np.array(model.parameters[stored.BANDS])
    shop_panel, panel = panel, panel.only(own)
    if model.name != BLEND:
        units = closures.without_past(panel).units
        quantiles = demand.simple(units, launches)[model.name]
        methods = np.full(len(panel.product_ids), model.name, dtype=object)
    else:
        shop = demand.shop_of(shop_panel, launches)
        forecasts = demand.forecast(stored.fitted(model.artefacts), panel, shop)
        weights = stored.weights_of(model.artefacts, panel.product_ids, backtest.sizes(forecasts))
        quantiles = blend.blended(forecasts, weights)
        methods = np.array(CANDIDATES, dtype=object)[weights.argmax(axis=1)]
    return blend.units_of(quantiles, shifts, panel.units), methods


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
