"""CLV: net spend of a known customer in the next 90 and 365 days.

Reads   features.customer_snapshots, features.customer_outcomes   a row per as_of_date, customer_id
        features.shop_days                                        a row per as_of_date, day_date
Writes  scores.clv                                                a row per as_of_date, customer_id
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any, ClassVar

import pandas as pd

from ml_tasks.clv import before, columns, figures, outcomes, past_dates, tiers
from ml_tasks.clv import model as clv
from ml_tasks.clv.baselines import BASELINES, FIRST, REPEATS
from ml_tasks.clv.eligibility import TrainingData
from ml_tasks.clv.evaluate import MODEL, evaluate
from ml_tasks.clv.outcomes import HORIZON_DAYS
from ml_tasks.customers import chance
from ml_tasks.customers.known import Known
from ml_tasks.evaluation.bias import BiasFigures
from ml_tasks.evaluation.comparison import Evaluation, untested
from ml_tasks.evaluation.contest import HIGHER, LOWER
from ml_tasks.evaluation.trust import COMBINED
from ml_tasks.features.store import FeatureStore
from ml_tasks.question import Frames, Question
from ml_tasks.score_rows import not_scored, scored
from ml_tasks.trained_model import TrainedModel
from perennial import contracts

NAME = "clv"


class CustomerValue(Question):
    """CLV: what will a known customer spend, net, in the next 90 and 365 days?"""

    name = NAME
    contest: ClassVar[dict[str, str]] = {"gini": HIGHER, "absolute_error_of_median": LOWER}
    baselines = tuple(BASELINES)
    bias = BiasFigures("predicted_total_amount", "actual_total_amount")
    tested_days = HORIZON_DAYS
    headline = "gini"

    def train(self, training_date: date, store: FeatureStore, seed: int) -> TrainedModel:
        """Fit to grid snapshots with 90 days passed by `training_date`; evaluate out of time."""
        data = TrainingData.read(training_date, store)
        parameters: dict[str, Any] = {
            "horizon_days": HORIZON_DAYS,
            "seed": seed,
            "count_training_rows": len(data.labelled),
            "amounts": data.amounts.parameters(),
        }
        artefacts: dict[str, bytes] = {}
        tested, combined = untested(FIRST), ""
        if data.is_eligible:
            known = Known.of(data.labelled, data.snapshot, data.shop_days)
            past = chance.predict_past(known, seed, past_dates.also(seed))
            tested = evaluate(known, data.labelled_year, past, seed)
            model, combination = clv.fit(known, data.labelled_year, past, seed)
            combined = str(combination)
        is_combined = tested.winner == MODEL
        if is_combined:
            artefacts, parameters["model"] = model.artefacts(), model.parameters()
        elif not data.snapshot.empty:
            parameters["model"] = BASELINES[tested.winner](data.snapshot).parameters()
        trained = TrainedModel(
            name=tested.winner,
            training_date=training_date,
            parameters=parameters,
            artefacts=artefacts,
            metrics=tested.metrics,
            report=_report(data, tested, combined),
            plots=tested.plots,
        )
        return replace(trained, parameters={**parameters, "tiers": _tiers(data, trained)})

    def reads(self, model: TrainedModel) -> bool:
        """True if this code can score with the stored model; otherwise it is trained again."""
        is_whole = model.name in REPEATS or "model" in model.parameters
        return (
            model.name in (MODEL, before.NAME, *BASELINES)
            and is_whole
            and {"tiers", "amounts"} <= model.parameters.keys()
        )

    def score_shard(self, as_of_date: date, model: TrainedModel, store: FeatureStore) -> Frames:
        """Score every customer with an order before the date; unknown columns are null."""
        snapshot = store.snapshot(as_of_date)
        scores = pd.DataFrame(
            {
                "customer_id": snapshot["customer_id"].to_numpy(dtype=object),
                "historic_spend_amount": snapshot["net_spend_amount"]
                .to_numpy(dtype=float)
                .clip(min=0),
            }
        )
        if model.name != MODEL and not outcomes.was_watched_for(snapshot, HORIZON_DAYS):
            reason = f"the shop has been watched for fewer than {HORIZON_DAYS} days"
            return {NAME: not_scored(contracts.load(NAME).table(NAME), scores, reason)}
        predictions = columns.predicted(snapshot, model)
        return {
            NAME: scored(scores).assign(
                **{column: predictions[column] for column in columns.PREDICTED},
                value_tier=columns.tier(snapshot, predictions, model, store),
                predicted_spend_note=columns.notes(predictions),
            )
        }

    def figures(self, rows: pd.DataFrame, horizon_days: int) -> dict[str, float]:
        """See `ml_tasks.clv.figures`."""
        return figures.figures(rows, horizon_days)


QUESTION = CustomerValue()


def _report(data: TrainingData, tested: Evaluation, combined: str) -> dict[str, Any]:
    """Training report: evaluation, combination, warnings and counts of the training data."""
    report, is_combined = tested.as_report(), tested.winner == MODEL
    chance_of_order = f". Chance of an order combined: {combined}" if combined else ""
    return {
        **report,
        "decision": report["decision"] + chance_of_order,
        **({COMBINED: combined} if is_combined else {}),
        "warnings": [*report["warnings"], *data.warnings(is_combined=is_combined)],
        "eligibility": data.as_report(),
    }


def _tiers(data: TrainingData, trained: TrainedModel) -> dict[str, Any]:
    """The predicted column that defines the tiers, and the bounds on the training date."""
    predictions = columns.predicted(data.snapshot, trained)
    has_year = predictions[columns.YEAR_COLUMN].notna().any()
    by = columns.YEAR_COLUMN if has_year else "predicted_spend_amount_90d"
    return {"by": by, "bounds": tiers.bounds(predictions[by].to_numpy(), data.amounts.usual)}
