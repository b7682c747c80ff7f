"""Demand: units that a product will sell in each of the next eight weeks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd

from ml_tasks.demand import (
    backtest,
    blend,
    closures,
    eligibility,
    evaluate,
    level,
    lookback,
    pictures,
    reconcile,
    stored,
)
from ml_tasks.demand import model as demand
from ml_tasks.demand.backtest import BLEND
from ml_tasks.demand.inputs import recent_sales
from ml_tasks.demand.launches import Launches, launches_of
from ml_tasks.demand.model import CANDIDATES
from ml_tasks.demand.panel import (
    AWAKE_WEEKS,
    HORIZON_WEEKS,
    STEPS,
    WEEK,
    Panel,
    first_forecast_week,
    pack_of,
    panel_of,
    weeks_stepped_over,
)
from ml_tasks.demand.season import season_of
from ml_tasks.evaluation.bias import FIGURE, BiasFigures
from ml_tasks.evaluation.contest import LOWER
from ml_tasks.evaluation.customer_groups import Group
from ml_tasks.evaluation.trust import COMBINED
from ml_tasks.features.store import FeatureStore
from ml_tasks.question import Frames, Parts, Question
from ml_tasks.trained_model import TrainedModel

if TYPE_CHECKING:
    import psycopg

    from ml_tasks.lookback.happened import Due

NAME = "demand"
NO_MODEL = "no_model"
QUANTITIES = ("demand_units_p10", "demand_units_p50", "demand_units_p90")
MEAN = "demand_units_mean"

ASLEEP = f"no sale in the last {AWAKE_WEEKS} weeks"
TOO_YOUNG = f"the shop had sold for fewer than {evaluate.MIN_WEEKS} whole weeks"


class Demand(Question):
    """Demand: how many units will a product sell in each of the next eight weeks?"""

    name = NAME
    contest: ClassVar[dict[str, str]] = {"wrmsse": LOWER, "mase": LOWER}
    baselines = demand.SIMPLE
    bias = BiasFigures(FIGURE, rows=evaluate.TOTALS)
    tested_days = 7 * HORIZON_WEEKS
    headline = "wrmsse"

    def train(self, training_date: date, store: FeatureStore, seed: int) -> TrainedModel:
        """Backtest, weigh the candidates, and fit again to all weeks before `training_date`."""
        panel = panel_of(store.product_weeks(training_date), training_date)
        if panel.n_weeks < evaluate.MIN_WEEKS:
            report = {"decision": f"{TOO_YOUNG}: nothing is forecast"}
            return TrainedModel(NO_MODEL, training_date, {"reason": TOO_YOUNG}, report=report)
        panel = panel.in_packs(pack_of(panel))
        tested = backtest.backtest(panel, seed)
        report = evaluate.report(tested)
        every = range(len(tested.origins))
        weights = backtest.weights(tested, every)
        forecasts = {n: backtest.with_blend(tested, weights.of_product, n) for n in every}
        shifts = backtest.bands_of(tested, forecasts, (BLEND,))[BLEND]
        fitted = demand.fit(panel, seed) if tested.is_fitted else demand.unfitted(panel)
        return TrainedModel(
            BLEND,
            training_date,
            parameters={
                "seed": seed,
                "count_weeks": panel.n_weeks,
                stored.PACK: panel.pack,
                "origin_dates": [str(panel.week(origin)) for origin in tested.origins],
                stored.LEVEL: level.factor(tested, forecasts, shifts),
                **stored.bands(shifts),
            },
            artefacts=stored.files(fitted, weights),
            metrics=evaluate.headlines(report)
            | {
                "arima_own_parameters_rate": float(fitted.arima.is_own.mean()),
                "arima_fits_replaced_count": float(fitted.arima.count_diverged),
            },
            report={
                "decision": "nothing could be tested",
                "warnings": eligibility.warnings(panel, tested, report),
                **report,
                COMBINED: evaluate.combined(weights.of_product, len(tested.origins)),
                evaluate.TOTALS: evaluate.totals(tested),
            },
            plots=pictures.plots(tested, report),
        )

    def reads(self, model: TrainedModel) -> bool:
        """Whether this code can score with a model; one with other candidates is trained anew."""
        return model.name != BLEND or stored.is_known(model.artefacts)

    def score_shard(self, as_of_date: date, model: TrainedModel, store: FeatureStore) -> Frames:
        """The rows of the products of the store's shard, but for what depends on all others.

        All sales are read: what is usual in the shop is the same in every shard.
        """
        panel = _panel(as_of_date, model, store)
        own = store.shard.holds(panel.product_ids.tolist())
        return {NAME: _scores(panel, own, as_of_date, model)}

    def joined(
        self, parts: Parts, as_of_date: date, model: TrainedModel, store: FeatureStore
    ) -> Iterator[Frames]:
        """The rows of all shards as one, with expected units that add up to the totals."""
        panel = _panel(as_of_date, model, store)
        scores = pd.concat([part[NAME] for part in parts])
        yield {NAME: _with_means(scores, panel, as_of_date, model)}

    def inputs(self, as_of_date: date, store: FeatureStore) -> pd.DataFrame:
        """Recent units and prices of the store's products that sold any."""
        sales = recent_sales(store.product_weeks(as_of_date), as_of_date)
        return sales[store.shard.holds(sales.index)]

    def past_inputs(
        self, training_date: date, months: Iterable[date], store: FeatureStore
    ) -> Iterator[pd.DataFrame]:
        """The same on past dates, all from the weeks known on the training date."""
        weeks = store.product_weeks(training_date)
        return (recent_sales(weeks, month) for month in months)

    def horizon_begins(self, scored_date: date) -> date:
        """The first Monday on or after the scored date."""
        return first_forecast_week(scored_date)

    def compared(self, connection: psycopg.Connection[Any], due: Due) -> list[Group]:
        """Figures of past forecasts, of all weeks and by week ahead."""
        store = FeatureStore(connection)
        past = panel_of(store.product_weeks(due.scored_date), due.scored_date)
        return lookback.of_products(lookback.products(connection, due), past)


QUESTION = Demand()


def _panel(as_of_date: date, model: TrainedModel, store: FeatureStore) -> Panel:
    """The sales before a date, counted as the model counts them."""
    panel = panel_of(store.product_weeks(as_of_date), as_of_date)
    return panel.in_packs(model.parameters.get(stored.PACK, 1))


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
    frame[list(QUANTITIES)] = panel.pack * units[:, _steps(as_of_date)].reshape(-1, len(QUANTITIES))
    frame["method"] = np.repeat(methods, HORIZON_WEEKS)
    return pd.concat([frame.assign(score_status="scored", score_reason=None), asleep])


def _with_means(
    scores: pd.DataFrame, panel: Panel, as_of_date: date, model: TrainedModel
) -> pd.DataFrame:
    """The rows of all products, in a total order, with MEAN."""
    scores = scores.sort_values(["product_id", "horizon_weeks"], ignore_index=True)
    is_scored = (scores["score_status"] == "scored").to_numpy(dtype=bool)
    scores[MEAN] = np.nan
    if is_scored.any():
        launches = launches_of(panel.units)
        panel = panel.only(panel.sold_within(AWAKE_WEEKS))
        if scores.loc[is_scored, "product_id"].unique().tolist() != panel.product_ids.tolist():
            raise ValueError("the sales changed while they were forecast: score the date again")
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
    """The steps after the panel's last week that are asked for."""
    first = weeks_stepped_over(as_of_date)
    return slice(first, first + HORIZON_WEEKS)


def _forecast(
    panel: Panel, own: np.ndarray, model: TrainedModel, launches: Launches
) -> tuple[np.ndarray, np.ndarray]:
    """Units of every step, (n_own, STEPS, 3), and the method, of the products that are `own`."""
    shifts = np.array(model.parameters[stored.BANDS])
    shop_panel, panel = panel, panel.only(own)
    if model.name != BLEND:  # as stored before the blend took the simple methods in
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
