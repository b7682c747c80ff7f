"""Rows of scores.demand: the forecast of each product and week, or why there is none."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd

from ml_tasks.demand import backtest, blend, closures, reconcile, stored
from ml_tasks.demand import model as demand
from ml_tasks.demand.backtest import BLEND
from ml_tasks.demand.launches import Launches, launches_of
from ml_tasks.demand.model import CANDIDATES
from ml_tasks.demand.panel import (
    AWAKE_WEEKS,
    HORIZON_WEEKS,
    STEPS,
    WEEK,
    Panel,
    first_forecast_week,
    panel_of,
    weeks_stepped_over,
)
from ml_tasks.demand.season import season_of
from ml_tasks.features.store import FeatureStore
from ml_tasks.score_rows import not_scored, scored
from ml_tasks.trained_model import NO_MODEL, TrainedModel
from perennial import contracts

NAME = "demand"
QUANTITIES = ("demand_units_p10", "demand_units_p50", "demand_units_p90")
MEAN = "demand_units_mean"

ASLEEP = f"no sale in the last {AWAKE_WEEKS} weeks"


def panel_for(as_of_date: date, model: TrainedModel, store: FeatureStore) -> Panel:
    """The sales before a date, in the model's packs."""
    panel = panel_of(store.product_weeks(as_of_date), as_of_date)
    return panel.in_packs(model.parameters.get(stored.PACK, 1))


def rows_of(panel: Panel, own: np.ndarray, as_of_date: date, model: TrainedModel) -> pd.DataFrame:
    """Rows of some products, without MEAN.

    Args:
        panel: As of `panel_for`, with all products, because forecasts use the shop's usual sales.
        own: The products to return, booleans of shape (n_products,).
        as_of_date: The scored date.
        model: The model that scores.

    Returns:
        A row per product_id and horizon_weeks, with QUANTITIES and method.
    """
    if model.name == NO_MODEL:
        return _not_scored(_rows(panel.only(own), as_of_date), model.parameters["reason"])
    awake = panel.sold_within(AWAKE_WEEKS)
    asleep = _not_scored(_rows(panel.only(own & ~awake), as_of_date), ASLEEP)
    if not (own & awake).any():
        return asleep
    launches = launches_of(closures.without_past(panel).units)
    units, methods = _forecast(panel.only(awake), own[awake], model, launches)
    frame = _rows(panel.only(own & awake), as_of_date)
    frame[list(QUANTITIES)] = panel.pack * units[:, _steps(as_of_date)].reshape(-1, len(QUANTITIES))
    frame["method"] = np.repeat(methods, HORIZON_WEEKS)
    return pd.concat([scored(frame), asleep])


def with_means(
    scores: pd.DataFrame, panel: Panel, as_of_date: date, model: TrainedModel
) -> pd.DataFrame:
    """Add MEAN to the rows of all products, in the order of product_id, horizon_weeks.

    Args:
        scores: As of `rows_of`, of all shards.
        panel: As of `panel_for`.
        as_of_date: The scored date.
        model: The model that scored.

    Raises:
        ValueError: If the sold products changed since `rows_of`.
    """
    scores = scores.sort_values(["product_id", "horizon_weeks"], ignore_index=True)
    is_scored = (scores["score_status"] == "scored").to_numpy(dtype=bool)
    scores[MEAN] = np.nan
    if is_scored.any():
        launches = launches_of(panel.units)
        panel = panel.only(panel.sold_within(AWAKE_WEEKS))
        if scores.loc[is_scored, "product_id"].unique().tolist() != panel.product_ids.tolist():
            raise ValueError("the sales changed while the date was scored: score the date again")
        units = scores.loc[is_scored, list(QUANTITIES)].to_numpy(dtype=float) / panel.pack
        by_product = np.ascontiguousarray(units).reshape(-1, HORIZON_WEEKS, len(QUANTITIES))
        usual = season_of(panel)
        season = np.concatenate(
            [usual[: panel.n_weeks], usual[panel.n_weeks :][_steps(as_of_date)]]
        )
        expected = reconcile.means(by_product, panel, season, launches)
        expected *= model.parameters.get(stored.LEVEL, 1.0)
        scores.loc[is_scored, MEAN] = panel.pack * expected.ravel()
        least = blend.least_sold(panel.units)
        units = reconcile.consistent(by_product, expected, least)
        scores.loc[is_scored, list(QUANTITIES)] = panel.pack * units.reshape(-1, len(QUANTITIES))
    return scores


def _steps(as_of_date: date) -> slice:
    """The steps after the panel's last week that are published."""
    first = weeks_stepped_over(as_of_date)
    return slice(first, first + HORIZON_WEEKS)


def _forecast(
    panel: Panel, own: np.ndarray, model: TrainedModel, launches: Launches
) -> tuple[np.ndarray, np.ndarray]:
    """Units of every step, shape (n_own, STEPS, 3), and method, (n_own,), of the `own` products."""
    shifts = np.array(model.parameters[stored.BANDS])
    shop_panel, panel = panel, panel.only(own)
    if model.name != BLEND:  # stored by a version with simple methods outside of the blend
        units = closures.without_past(panel).units
        quantiles = demand.simple(units, launches)[model.name]
        methods = np.full(len(panel.product_ids), model.name, dtype=object)
    else:
        shop = demand.shop_of(shop_panel, launches)
        forecasts = demand.forecast(stored.fitted(model.artefacts), panel, shop)
        weights = stored.weights_of(model.artefacts, panel.product_ids, backtest.sizes(forecasts))
        fade = blend.fade(shop.season) if stored.has_fade(model.artefacts) else np.ones(STEPS)
        quantiles = blend.blended(forecasts, weights, fade)
        methods = np.array(CANDIDATES, dtype=object)[weights.argmax(axis=1)]
    return blend.units_of(quantiles, shifts, panel.units), methods


def _rows(panel: Panel, as_of_date: date) -> pd.DataFrame:
    """Key columns: every product with each of the next HORIZON_WEEKS weeks."""
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
    """Rows with a reason instead of a forecast; without MEAN, like scored rows."""
    return not_scored(contracts.load(NAME).table(NAME), frame, reason).drop(columns=MEAN)
