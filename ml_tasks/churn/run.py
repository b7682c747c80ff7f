"""Churn: the probability that a known customer places no order in the next 90 days.

Reads   features.customer_snapshots, features.customer_outcomes   a row per as_of_date, customer_id
        features.shop_days                                        a row per as_of_date, day_date
Writes  scores.churn                                              a row per as_of_date, customer_id
        scores.churn_reasons                            a row per as_of_date, customer_id and rank
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from ml_tasks.churn import bands, baselines, figures, reasons
from ml_tasks.churn.baselines import BASELINES, Baseline
from ml_tasks.churn.evaluate import MODEL, evaluate
from ml_tasks.customers import chance
from ml_tasks.customers.chance import TREES_FILE, ChanceModel
from ml_tasks.customers.clock_trees import ClockTrees
from ml_tasks.customers.known import HORIZON_DAYS, Known, count_kinds
from ml_tasks.customers.learnable import MIN_ROWS_OF_A_KIND, is_learnable
from ml_tasks.evaluation.bias import BiasFigures
from ml_tasks.evaluation.contest import HIGHER, LOWER
from ml_tasks.evaluation.trust import COMBINED
from ml_tasks.features.store import FeatureStore
from ml_tasks.question import Frames, Parts, Question
from ml_tasks.score_rows import not_scored, scored
from ml_tasks.trained_model import NO_MODEL, TrainedModel
from perennial import contracts

NAME, REASONS = "churn", "churn_reasons"
TOO_FEW = f"fewer than {MIN_ROWS_OF_A_KIND} past outcomes of each kind"
# Models of versions before the combination; they score until the next training date.
TREES_ALONE = ClockTrees.name
Fitted = ChanceModel | ClockTrees | Baseline
# Column of scores.churn -> column and rank in scores.churn_reasons.
REASON_COLUMNS = {
    f"{name}_{rank}": (name, rank)
    for name in ("reason", "reason_code")
    for rank in range(1, reasons.COUNT_REASONS + 1)
}


class Churn(Question):
    """Churn: will a known customer place no order in the next 90 days?"""

    name = NAME
    contest: ClassVar[dict[str, str]] = {"log_loss": LOWER, "auc": HIGHER}
    baselines = tuple(BASELINES)
    bias = BiasFigures("mean_probability", "churn_rate", is_rate=True)
    tested_days = HORIZON_DAYS
    headline = "auc"

    def train(self, training_date: date, store: FeatureStore, seed: int) -> TrainedModel:
        """Fit to grid snapshots with 90 days passed by `training_date`; evaluate out of time."""
        store = store.sample_for(training_date, HORIZON_DAYS)
        labelled = store.labelled_snapshots(training_date, HORIZON_DAYS)
        snapshot, shop_days = store.snapshot(training_date), store.shop_days(training_date)
        parameters: dict[str, Any] = {
            "horizon_days": HORIZON_DAYS,
            "seed": seed,
            "count_training_rows": len(labelled),
        }
        eligibility = {"training_date": str(training_date), "one_customer_in": store.one_in}
        eligibility |= _eligibility(labelled, snapshot, shop_days)
        if not eligibility["is_eligible"]:
            parameters["reason"] = reason = f"{TOO_FEW} known by {training_date}"
            report = {"decision": f"no model: {reason}", "eligibility": eligibility}
            return TrainedModel(NO_MODEL, training_date, parameters, report=report)
        known = Known.of(labelled, snapshot, shop_days)
        predicted = chance.predict_past(known, seed)
        tested = evaluate(known, predicted)
        model, combination = chance.fit(known, predicted, seed)
        is_combined = tested.winner == MODEL
        fitted: Fitted = model if is_combined else BASELINES[tested.winner](known)
        usual = reasons.usual_of(fitted, known.snapshot)
        return TrainedModel(
            name=tested.winner,
            training_date=training_date,
            parameters={**parameters, "model": fitted.parameters(), "usual": usual},
            artefacts=model.artefacts() if is_combined else {},
            metrics=tested.metrics,
            report={
                **tested.as_report(),
                "decision": f"{tested.decision}. Combined: {combination}",
                "eligibility": eligibility,
                **({COMBINED: str(combination)} if is_combined else {}),
            },
            plots=tested.plots,
        )

    def reads(self, model: TrainedModel) -> bool:
        """True if this code can score with the stored model; otherwise it is trained again."""
        if model.name == NO_MODEL:
            return True
        return model.name in (MODEL, TREES_ALONE, *BASELINES) and "usual" in model.parameters

    def joined(
        self, parts: Parts, as_of_date: date, model: TrainedModel, store: FeatureStore
    ) -> Iterator[Frames]:
        """Yield each shard's rows with ranks among all customers; reads the shards twice."""
        del as_of_date, model, store
        everybody = np.sort(np.concatenate([_probability(part[NAME]) for part in parts]))
        for part in parts:
            scores = part[NAME]
            probability = _probability(scores)
            ranked = {
                "churn_percentile_90d": bands.percentile(probability, everybody),
                "churn_relative_band": bands.relative_band(probability, everybody),
            }
            yield {**part, NAME: scores.assign(**ranked)}

    def score_shard(self, as_of_date: date, model: TrainedModel, store: FeatureStore) -> Frames:
        """Rows of the customers in the store, without the columns that need all customers."""
        snapshot = store.snapshot(as_of_date)
        scores = pd.DataFrame({"customer_id": snapshot["customer_id"].to_numpy(dtype=object)})
        if model.name == NO_MODEL:
            return _not_scored(scores, model.parameters["reason"])
        fitted = restored(model)
        probability = 1 - fitted.predict(snapshot)
        band = bands.risk_band(probability)
        why = reasons.reasons(fitted, model.parameters["usual"], snapshot)
        return {
            NAME: scored(scores).assign(
                churn_probability_90d=probability,
                churn_risk_band=band,
                churn_risk_band_rank=bands.risk_band_rank(band),
                **{
                    column: reasons.of_rank(why, of_table, rank, scores["customer_id"])
                    for column, (of_table, rank) in REASON_COLUMNS.items()
                },
            ),
            REASONS: scored(why),
        }

    def figures(self, rows: pd.DataFrame, horizon_days: int) -> dict[str, float]:
        """See `ml_tasks.churn.figures`."""
        del horizon_days
        return figures.figures(rows)


QUESTION = Churn()


def _eligibility(
    labelled: pd.DataFrame, snapshot: pd.DataFrame, shop_days: pd.DataFrame
) -> dict[str, Any]:
    """The training rows there are, and how many are needed."""
    count_ordered, count_not = count_kinds(labelled)
    return {
        "count_customers": len(snapshot),
        "count_days_with_orders": len(shop_days),
        "count_snapshots_with_known_outcome": len(labelled),
        "count_followed_by_an_order": count_ordered,
        "count_followed_by_none": count_not,
        "count_needed_of_each_kind": MIN_ROWS_OF_A_KIND,
        "is_eligible": is_learnable(labelled) and not snapshot.empty,
    }


def _probability(scores: pd.DataFrame) -> np.ndarray:
    return scores["churn_probability_90d"].to_numpy(dtype=float)


def restored(model: TrainedModel) -> Fitted:
    """The fitted model, rebuilt from its parameters and artefacts."""
    stored = model.parameters["model"]
    if model.name == MODEL:
        return ChanceModel.restored(stored, model.artefacts)
    if model.name == TREES_ALONE:
        return ClockTrees.restored(stored, model.artefacts[TREES_FILE])
    return baselines.restored(model.name, stored)


def _not_scored(customers: pd.DataFrame, reason: str) -> Frames:
    contract = contracts.load(NAME)
    return {
        NAME: not_scored(contract.table(NAME), customers, reason),
        REASONS: not_scored(contract.table(REASONS), customers.assign(reason_rank=1), reason),
    }
