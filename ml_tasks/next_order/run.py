"""Next order: when it comes within 90 days, what it comes to, which families are in it.

Reads   features.customer_snapshots, features.customer_outcomes   a row per as_of_date, customer_id
        features.customer_baskets, .customer_next_baskets         a row per as_of_date, customer_id
        features.shop_days                                        a row per as_of_date, day_date
        scores.survival                                           a row per as_of_date, customer_id
Writes  scores.next_order                                         a row per as_of_date, customer_id
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd

from ml_tasks.customers.known import HORIZON_DAYS
from ml_tasks.evaluation import customer_groups
from ml_tasks.evaluation.bias import BiasFigures
from ml_tasks.evaluation.contest import LOWER
from ml_tasks.features.store import FeatureStore
from ml_tasks.next_order import fitted, inputs, lookback, shop_time
from ml_tasks.next_order.evaluate import BASELINES, MIN_BUYERS, MODEL, evaluate, is_learnable
from ml_tasks.next_order.families import likeliest
from ml_tasks.next_order.fitted import NextOrder
from ml_tasks.question import Frames, Question
from ml_tasks.score_rows import not_scored, scored
from ml_tasks.trained_model import NO_MODEL, TrainedModel
from perennial import contracts

if TYPE_CHECKING:
    import psycopg

    from ml_tasks.evaluation.customer_groups import Group
    from ml_tasks.lookback.happened import Due

NAME = "next_order"
NO_FAMILIES = "no product families: the products have neither families nor names with a word"


class NextOrders(Question):
    """Next order: when will it come, how much will it be, what will be in it?"""

    name = NAME
    contest: ClassVar[dict[str, str]] = {"log_days_error": LOWER, "log_amount_error": LOWER}
    baselines = BASELINES
    bias = BiasFigures("predicted_total_amount", "actual_total_amount")
    tested_days = HORIZON_DAYS
    headline = "log_days_error"

    def train(self, training_date: date, store: FeatureStore, seed: int) -> TrainedModel:
        """Fit to grid dates with 90 days passed by `training_date`; evaluate out of time."""
        store = store.sample_for(training_date, HORIZON_DAYS)
        past = inputs.past_facts(training_date, store)
        if not is_learnable(past):
            reason = f"fewer than {MIN_BUYERS} orders that followed a past date within 90 days"
            return TrainedModel(NO_MODEL, training_date, {"reason": reason})
        shop_days = store.shop_days(training_date)
        today = inputs.facts(training_date, store)
        tested, methods = evaluate(past, shop_days, seed)
        time = shop_time.fit(today, shop_days)
        model = fitted.fit(methods, past, today, time, seed)
        return TrainedModel(
            name=MODEL,
            training_date=training_date,
            parameters=model.parameters(),
            artefacts=model.artefacts(),
            metrics=tested.metrics,
            report={**tested.as_report(), "methods": vars(model.methods)},
            plots=tested.plots,
        )

    def score_shard(self, as_of_date: date, model: TrainedModel, store: FeatureStore) -> Frames:
        """Rows of the customers in the store."""
        table = contracts.load(NAME).table(NAME)
        if model.name == NO_MODEL:
            known = store.snapshot(as_of_date)[["customer_id"]].reset_index(drop=True)
            return {NAME: not_scored(table, known, model.parameters["reason"])}
        facts = inputs.facts(as_of_date, store)
        restored = NextOrder.restored(model.parameters, model.artefacts)
        survival = store.scores("survival", as_of_date).set_index("customer_id")
        chance = survival["order_probability_90d"].astype(float).reindex(facts["customer_id"])
        return {NAME: as_rows(restored, facts, as_of_date, chance.to_numpy())}

    def compared(self, connection: psycopg.Connection[Any], due: Due) -> list[Group]:
        """Predicted next orders against those that came, for all customers and by group."""
        return customer_groups.by_group(lookback.customers(connection, due), lookback.figures)


QUESTION = NextOrders()


def as_rows(
    model: NextOrder, facts: pd.DataFrame, as_of_date: date, chance: np.ndarray
) -> pd.DataFrame:
    """Score rows of customers.

    Args:
        model: The fitted parts.
        facts: See `inputs.facts`.
        as_of_date: The scored date.
        chance: Survival's probability of an order within 90 days, NaN where unknown, shape (n,).
    """
    day = pd.Timestamp(as_of_date)
    days = model.wait.predict(facts, day)
    dates = {
        name: day + pd.to_timedelta(days[f"days_{which}"].to_numpy(), unit="D")
        for which, name in lookback.DATES.items()
    }
    amounts = model.amount.predict(facts).round(2).clip(lower=0.01)
    known = facts[["customer_id"]].reset_index(drop=True)
    return scored(known).assign(
        order_probability_90d=chance,
        **dates,
        **{f"next_order_{name}": amounts[name].to_numpy() for name in amounts},
        **_families(model, facts),
    )


def _families(model: NextOrder, facts: pd.DataFrame) -> dict[str, Any]:
    if model.families is None:
        names = ("family", "families", "family_probabilities")
        nothing = {f"next_order_{name}": None for name in names}
        return {**nothing, "next_order_families_note": NO_FAMILIES}
    found = likeliest(model.families.chances(facts), model.families.shop.families)
    return {
        "next_order_family": [names[0] for names in found["families"]],
        "next_order_families": found["families"],
        "next_order_family_probabilities": found["chances"],
        "next_order_families_note": None,
    }
