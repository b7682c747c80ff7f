"""Demand: units that a product will sell in each of the next eight weeks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date
from typing import TYPE_CHECKING, Any, ClassVar

import pandas as pd

from ml_tasks.demand import (
    backtest,
    eligibility,
    evaluate,
    level,
    lookback,
    pictures,
    score,
    stored,
)
from ml_tasks.demand import model as demand
from ml_tasks.demand.backtest import BLEND
from ml_tasks.demand.inputs import recent_sales
from ml_tasks.demand.panel import HORIZON_WEEKS, first_forecast_week, pack_of, panel_of
from ml_tasks.demand.score import NAME
from ml_tasks.evaluation.bias import BiasFigures
from ml_tasks.evaluation.contest import LOWER
from ml_tasks.evaluation.customer_groups import Group
from ml_tasks.evaluation.trust import COMBINED
from ml_tasks.features.store import FeatureStore
from ml_tasks.question import Frames, Parts, Question
from ml_tasks.trained_model import NO_MODEL, TrainedModel

if TYPE_CHECKING:
    import psycopg

    from ml_tasks.lookback.happened import Due

TOO_YOUNG = f"the shop had sold for fewer than {evaluate.MIN_WEEKS} whole weeks"


class Demand(Question):
    """Demand: how many units will a product sell in each of the next eight weeks?"""

    name = NAME
    contest: ClassVar[dict[str, str]] = {"wrmsse": LOWER, "mase": LOWER}
    baselines = demand.SIMPLE
    bias = BiasFigures(evaluate.TOTAL_BIAS)
    tested_days = 7 * HORIZON_WEEKS
    headline = "wrmsse"

    def train(self, training_date: date, store: FeatureStore, seed: int) -> TrainedModel:
        """Backtest, weight the candidates, and fit again to all weeks before `training_date`."""
        panel = panel_of(store.product_weeks(training_date), training_date)
        if panel.n_weeks < evaluate.MIN_WEEKS:
            report = {"decision": f"{TOO_YOUNG}: nothing is forecast"}
            return TrainedModel(NO_MODEL, training_date, {"reason": TOO_YOUNG}, report=report)
        panel = panel.in_packs(pack_of(panel))
        tested = backtest.backtest(panel, seed)
        evaluation = evaluate.evaluate(tested)
        every = range(len(tested.origins))
        weights = backtest.weights(tested, every)
        forecasts = {n: backtest.with_blend(tested, weights.of_product, n) for n in every}
        shifts = backtest.bands_of(tested, forecasts, (BLEND,))[BLEND]
        fitted = demand.fit(panel, seed) if tested.is_fitted else demand.unfitted(panel)
        return TrainedModel(
            evaluation.winner,
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
            metrics={
                **evaluation.metrics,
                "arima_own_parameters_rate": float(fitted.arima.is_own.mean()),
                "arima_fits_replaced_count": float(fitted.arima.count_diverged),
            },
            report={
                **evaluation.as_report(),
                "warnings": eligibility.warnings(panel, tested, evaluation),
                COMBINED: evaluate.combined(weights.of_product, len(tested.origins)),
            },
            plots=pictures.plots(tested),
        )

    def reads(self, model: TrainedModel) -> bool:
        """True if this code has all candidates of the model; otherwise it is trained again."""
        return model.name != BLEND or stored.is_known(model.artefacts)

    def score_shard(self, as_of_date: date, model: TrainedModel, store: FeatureStore) -> Frames:
        """Rows of the products of the store's shard, without the expected units.

        All sales are read, so that the shop's season and usual levels are equal in every shard.
        """
        panel = score.panel_for(as_of_date, model, store)
        own = store.shard.holds(panel.product_ids.tolist())
        return {NAME: score.rows_of(panel, own, as_of_date, model)}

    def joined(
        self, parts: Parts, as_of_date: date, model: TrainedModel, store: FeatureStore
    ) -> Iterator[Frames]:
        """Yield the rows of all shards at once, with expected units that add up to the totals."""
        panel = score.panel_for(as_of_date, model, store)
        scores = pd.concat([part[NAME] for part in parts])
        yield {NAME: score.with_means(scores, panel, as_of_date, model)}

    def inputs(self, as_of_date: date, store: FeatureStore) -> pd.DataFrame:
        """Recent units and prices of the store's products with recent sales."""
        sales = recent_sales(store.product_weeks(as_of_date), as_of_date)
        return sales[store.shard.holds(sales.index)]

    def past_inputs(
        self, training_date: date, months: Iterable[date], store: FeatureStore
    ) -> Iterator[pd.DataFrame]:
        """The inputs on past dates, all from the weeks known on the training date."""
        weeks = store.product_weeks(training_date)
        return (recent_sales(weeks, month) for month in months)

    def horizon_begins(self, scored_date: date) -> date:
        """The first Monday on or after the scored date."""
        return first_forecast_week(scored_date)

    def compared(self, connection: psycopg.Connection[Any], due: Due) -> list[Group]:
        """Figures of past forecasts, for all weeks and by week ahead."""
        store = FeatureStore(connection)
        past = panel_of(store.product_weeks(due.scored_date), due.scored_date)
        return lookback.of_products(lookback.products(connection, due), past)


QUESTION = Demand()
