"""Survival: days until a known customer's next order, and how long customers stay away."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from typing import ClassVar

import pandas as pd

from ml_tasks.customers import chance
from ml_tasks.customers.chance import ChanceModel
from ml_tasks.customers.known import HORIZON_DAYS, Known
from ml_tasks.customers.learnable import is_learnable
from ml_tasks.customers.shop_days import ShopDays, fit_shop_days
from ml_tasks.evaluation.bias import BiasFigures
from ml_tasks.evaluation.comparison import Evaluation
from ml_tasks.evaluation.contest import HIGHER, LOWER
from ml_tasks.evaluation.trust import COMBINED
from ml_tasks.features.store import FeatureStore
from ml_tasks.question import Frames, Parts, Question
from ml_tasks.score_rows import not_scored, scored
from ml_tasks.survival import figures, of_the_shop, pictures
from ml_tasks.survival.anchored import AnchoredModel, Survival, restored
from ml_tasks.survival.curves import curves_by_group
from ml_tasks.survival.effects import fit_effects
from ml_tasks.survival.evaluate import PastChance, evaluate, horizon_of, is_better, is_enough
from ml_tasks.survival.model import CAP_DAYS, HORIZONS_DAYS, fit_cox, predict, to_dict
from ml_tasks.survival.observations import observations_of
from ml_tasks.survival.recency import MIN_EVENTS, MIN_FOLLOW_UP_DAYS, RecencyModel, fit_recency
from ml_tasks.survival.rhythm import fit_rhythm
from ml_tasks.survival.words import decision
from ml_tasks.trained_model import NO_MODEL, TrainedModel, canonical_json
from perennial import contracts

NAME = "survival"
MODEL_FILE = "model.json"
MAX_CUSTOMERS = 30_000  # whole histories of so many fit a small machine; more change no curve
EXTENDED = "_extended"  # suffix of the name of a model with extrapolated curves


class TimeToOrder(Question):
    """Survival: when will a known customer be back?"""

    name = NAME
    contest: ClassVar[dict[str, str]] = {"integrated_brier": LOWER, "concordance": HIGHER}
    baselines = (RecencyModel.name,)
    bias = BiasFigures("mean_order_probability_90d", "ordered_rate_90d", is_rate=True)
    tested_days = max(HORIZONS_DAYS)
    headline = "concordance"

    def train(self, training_date: date, store: FeatureStore, seed: int) -> TrainedModel:
        """Fit to all grid snapshots before `training_date`, as known on that date.

        A hazard observed for less than a year is extrapolated at its mean rate; the name of the
        model then ends in EXTENDED.
        """
        known_date = pd.Timestamp(training_date)
        observations = observations_of(store.next_orders(training_date, MAX_CUSTOMERS))
        if not is_enough(observations, known_date):
            reason = too_little(observations, known_date)
            return TrainedModel(NO_MODEL, training_date, {"reason": reason})
        counts = store.shop_days(training_date)
        shop_days = fit_shop_days(store.snapshot(training_date), counts)
        fitted = _fit_chance(training_date, store, seed)
        past_chance = PastChance.of(fitted.known, fitted.predicted) if fitted else None
        tested = evaluate(observations, known_date, counts, past_chance)
        model = _fit(observations, known_date, shop_days, fitted, tested)
        curves = curves_by_group(observations)
        effects, check = fit_effects(observations, shop_days)
        combination = fitted.combination if fitted else None
        why = decision(model.name, combination, tested, check)
        tested = replace(tested, winner=model.name, decision=why)
        return TrainedModel(
            name=model.name + (EXTENDED if model.observed_days < CAP_DAYS else ""),
            training_date=training_date,
            parameters={"observed_days": model.observed_days, "cap_days": CAP_DAYS},
            artefacts={**_files(model), **of_the_shop.files(curves, effects)},
            metrics={**tested.metrics, "count_observations": float(len(observations))},
            report={
                **tested.as_report(),
                "horizon_days": horizon_of(observations, known_date),
                "proportional_hazards": check,
                **({COMBINED: str(combination)} if combination else {}),
            },
            plots={**tested.plots, "survival_curves.png": pictures.of_curves(curves)},
        )

    def reads(self, model: TrainedModel) -> bool:
        """True if this code can score with the stored model; otherwise it is trained again."""
        stored = json.loads(model.artefacts.get(MODEL_FILE, b"{}"))
        return "levels" not in stored.get("shop_days", {})

    def score_shard(self, as_of_date: date, model: TrainedModel, store: FeatureStore) -> Frames:
        """Rows of scores.survival for the customers in the store."""
        snapshots = store.snapshot(as_of_date)
        if model.name == NO_MODEL:
            table = contracts.load(NAME).table(NAME)
            return {NAME: not_scored(table, snapshots[["customer_id"]], model.parameters["reason"])}
        fitted = restored(json.loads(model.artefacts[MODEL_FILE]), model.artefacts)
        return {NAME: scored(predict(fitted, snapshots, pd.Timestamp(as_of_date)))}

    def joined(
        self, parts: Parts, as_of_date: date, model: TrainedModel, store: FeatureStore
    ) -> Iterator[Frames]:
        """Yield each shard's rows; the first with the shop's curves and effects."""
        del as_of_date, store
        beside = of_the_shop.frames(model)
        for part in parts:
            yield {**part, **beside}
            beside = {}

    def figures(self, rows: pd.DataFrame, horizon_days: int) -> dict[str, float]:
        """See `ml_tasks.survival.figures`."""
        return figures.figures(rows, horizon_days)


QUESTION = TimeToOrder()


def too_little(observations: pd.DataFrame, known_date: pd.Timestamp) -> str:
    """Reason why a shop has too few observations: what there is, and what is needed."""
    first = observations["snapshot_date"].min()
    days = 0 if observations.empty else (known_date - first).days
    return (
        f"customers were watched for {days} days and placed {observations['is_ordered'].sum()} "
        f"further orders; needed are {MIN_FOLLOW_UP_DAYS} days and {MIN_EVENTS} orders"
    )


@dataclass(frozen=True)
class _Chance:
    """The combined chance of an order within 90 days, and its training data.

    Attributes:
        known: Snapshots and outcomes known on the training date.
        predicted: The members' predictions on past dates, as of `chance.predict_past`.
        model: The combination, fitted to all that is known.
        combination: Weights and levels of the members.
    """

    known: Known
    predicted: pd.DataFrame
    model: ChanceModel
    combination: chance.Combination


def _fit_chance(training_date: date, store: FeatureStore, seed: int) -> _Chance | None:
    """The same model as churn's of that date; None where churn has no model."""
    store = store.sample_for(training_date, HORIZON_DAYS)
    labelled = store.labelled_snapshots(training_date, HORIZON_DAYS)
    if not is_learnable(labelled):
        return None
    known = Known.of(labelled, store.snapshot(training_date), store.shop_days(training_date))
    predicted = chance.predict_past(known, seed)
    return _Chance(known, predicted, *chance.fit(known, predicted, seed))


def _fit(
    observations: pd.DataFrame,
    known_date: pd.Timestamp,
    shop_days: ShopDays,
    fitted: _Chance | None,
    tested: Evaluation,
) -> Survival:
    """The combination; without a chance, Cox's model if it beat the baseline, else the baseline."""
    cox, recency = fit_cox(observations, known_date, shop_days), fit_recency(observations)
    if fitted is None:
        return cox if cox and is_better(tested) else recency
    shapes = (cox, recency, fit_rhythm(observations))
    return AnchoredModel(fitted.model, tuple(shape for shape in shapes if shape))


def _files(model: Survival) -> dict[str, bytes]:
    if isinstance(model, AnchoredModel):
        return {MODEL_FILE: canonical_json(model.to_dict()).encode(), **model.chance.artefacts()}
    return {MODEL_FILE: canonical_json(to_dict(model)).encode()}
