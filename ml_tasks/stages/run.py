"""Stages: at which stage of life a customer is, and the chance of each stage in 90 days.

Reads   features.customer_snapshots, features.customer_outcomes   a row per as_of_date, customer_id
        features.customer_stages, .customer_stage_outcomes        a row per as_of_date, customer_id
        features.shop_days                                        a row per as_of_date, day_date
        features.stage_durations                         a row per as_of_date, stage, duration_days
        scores.clv                                                a row per as_of_date, customer_id
Writes  scores.stages                                             a row per as_of_date, customer_id
        scores.stage_transitions                         a row per as_of_date, from_stage, to_stage
        scores.stage_stays                                              a row per as_of_date, stage
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from datetime import date
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd

from ml_tasks.customers import chance
from ml_tasks.customers.chance import ChanceModel
from ml_tasks.customers.known import HORIZON_DAYS, Known
from ml_tasks.customers.learnable import MIN_ROWS_OF_A_KIND, is_learnable
from ml_tasks.evaluation import customer_groups
from ml_tasks.evaluation.bias import BiasFigures
from ml_tasks.evaluation.contest import LOWER
from ml_tasks.evaluation.trust import COMBINED
from ml_tasks.features.store import FeatureStore
from ml_tasks.question import Frames, Parts, Question
from ml_tasks.score_rows import not_scored, scored
from ml_tasks.stages import lookback, model, of_the_shop
from ml_tasks.stages import rules as stage_rules
from ml_tasks.stages.baselines import BASELINES, Rates, count_moves, numbers
from ml_tasks.stages.evaluate import MODEL, evaluate
from ml_tasks.stages.model import AfterOrder
from ml_tasks.stages.of_the_shop import STAYS, TRANSITIONS
from ml_tasks.stages.rules import AT_RISK, LOST, STAGES
from ml_tasks.trained_model import NO_MODEL, TrainedModel
from perennial import contracts

if TYPE_CHECKING:
    import psycopg

    from ml_tasks.evaluation.customer_groups import Group
    from ml_tasks.lookback.happened import Due

NAME = "stages"
FACTS, OUTCOMES, DURATIONS = "customer_stages", "customer_stage_outcomes", "stage_durations"
KNOWN = ["customer_id", "stage", "previous_stage", "days_in_stage"]
TOO_FEW = f"fewer than {MIN_ROWS_OF_A_KIND} past customers who ordered again, or who did not"
PROBABILITY_UNITS = 10**12
PROBABILITIES = [f"{stage}_probability_90d" for stage in STAGES]


class Stages(Question):
    """Stages: where in its life is a customer, and where in 90 days?"""

    name = NAME
    contest: ClassVar[dict[str, str]] = {"log_loss": LOWER, "brier": LOWER}
    baselines = tuple(BASELINES)
    bias = BiasFigures("mean_slipping_probability", "slipping_rate", is_rate=True)
    tested_days = HORIZON_DAYS
    headline = "log_loss"

    def train(self, training_date: date, store: FeatureStore, seed: int) -> TrainedModel:
        """Fit to grid dates with 90 days passed by `training_date`; evaluate out of time."""
        rules = stage_rules.load()
        store = store.sample_for(training_date, HORIZON_DAYS)
        labelled = _labelled(training_date, store)
        snapshot = store.snapshot(training_date)
        if not is_learnable(labelled) or snapshot.empty:
            return TrainedModel(
                NO_MODEL, training_date, {"reason": f"{TOO_FEW} known by {training_date}"}
            )
        known = Known.of(labelled, snapshot, store.shop_days(training_date))
        predicted = chance.predict_past(known, seed)
        tested = evaluate(known, predicted, rules)
        chance_model, combination = chance.fit(known, predicted, seed)
        parameters = {
            "rules": asdict(rules),
            "moves": count_moves(known.labelled).tolist(),
            "chance": chance_model.parameters(),
            "after_order": model.fit(known.labelled, rules).parameters(),
        }
        if tested.winner in BASELINES:
            rates = BASELINES[tested.winner](known.labelled, stage_rules.possible(rules))
            parameters |= rates.parameters()
        return TrainedModel(
            name=tested.winner,
            training_date=training_date,
            parameters=parameters,
            artefacts=chance_model.artefacts(),
            metrics=tested.metrics,
            report={**tested.as_report(), COMBINED: str(combination)},
            plots=tested.plots,
        )

    def score_shard(self, as_of_date: date, model: TrainedModel, store: FeatureStore) -> Frames:
        """Rows of the customers in the store."""
        facts = _facts(as_of_date, store)
        known = facts[KNOWN].reset_index(drop=True)
        if model.name == NO_MODEL:
            table = contracts.load(NAME).table(NAME)
            return {NAME: not_scored(table, known, model.parameters["reason"])}
        probability = predict(model, facts)
        spend = store.scores("clv", as_of_date)
        expected = spend.set_index("customer_id")["predicted_spend_amount_365d"].astype(float)
        slipping = probability[:, AT_RISK] + probability[:, LOST]
        names = np.array(STAGES, dtype=object)
        return {
            NAME: scored(known).assign(
                **dict(zip(PROBABILITIES, probability.T, strict=True)),
                likeliest_stage_90d=names[probability.argmax(axis=1)],
                spend_at_stake_amount_365d=expected.reindex(known["customer_id"]).to_numpy()
                * slipping,
            )
        }

    def joined(
        self, parts: Parts, as_of_date: date, model: TrainedModel, store: FeatureStore
    ) -> Iterator[Frames]:
        """Yield each shard's rows; the first with the tables of the shop."""
        beside = {
            TRANSITIONS: _transitions(parts, model),
            STAYS: of_the_shop.stays(store.features(DURATIONS, as_of_date)),
        }
        for part in parts:
            yield {**part, **beside}
            beside = {}

    def compared(self, connection: psycopg.Connection[Any], due: Due) -> list[Group]:
        """Predicted stages against those that came, for all customers and by group."""
        return customer_groups.by_group(lookback.customers(connection, due), lookback.figures)


QUESTION = Stages()


def predict(trained: TrainedModel, facts: pd.DataFrame) -> np.ndarray:
    """Probability of each stage in 90 days, shape (n_customers, n_stages).

    Args:
        trained: A model with figures, not NO_MODEL.
        facts: features.customer_snapshots and features.customer_stages of the customers.
    """
    parameters = trained.parameters
    if trained.name != MODEL:
        return Rates(parameters["rates"]).predict(facts)
    fitted = ChanceModel.restored(parameters["chance"], trained.artefacts)
    after = AfterOrder.restored(parameters["after_order"])
    return after.predict(facts, fitted.predict(facts), stage_rules.Rules(**parameters["rules"]))


def _facts(as_of_date: date, store: FeatureStore) -> pd.DataFrame:
    stages = store.features(FACTS, as_of_date).drop(columns="as_of_date")
    return store.snapshot(as_of_date).merge(stages, on="customer_id")


def _labelled(training_date: date, store: FeatureStore) -> pd.DataFrame:
    """Snapshots of past dates with stages and outcomes, as known on the training date."""
    key = ["as_of_date", "customer_id"]
    outcomes = store.past_features(OUTCOMES, training_date)[[*key, "stage_after"]]
    stages = store.past_features(FACTS, training_date)
    snapshots = store.labelled_snapshots(training_date, HORIZON_DAYS)
    return snapshots.merge(stages, on=key).merge(outcomes, on=key)


def _transitions(parts: Parts, trained: TrainedModel) -> pd.DataFrame:
    if trained.name == NO_MODEL:
        return of_the_shop.no_transitions(trained.parameters["reason"])
    customers = np.zeros(len(STAGES), dtype=int)
    predicted = np.zeros((len(STAGES), len(STAGES)), dtype=np.int64)
    for part in parts:
        rows = part[NAME]
        stage = numbers(rows["stage"])
        customers += np.bincount(stage, minlength=len(STAGES))
        # whole numbers: the sum of floats would depend on the number of shards
        probability = rows[PROBABILITIES].to_numpy(dtype=float) * PROBABILITY_UNITS
        np.add.at(predicted, stage, probability.round().astype(np.int64))
    allowed = stage_rules.possible(stage_rules.Rules(**trained.parameters["rules"]))
    moves = np.array(trained.parameters["moves"])
    return of_the_shop.transitions(moves, allowed, customers, predicted / PROBABILITY_UNITS)
