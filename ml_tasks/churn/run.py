"""Churn: the chance that a known customer places no order in the next 90 days.

Reads   features.customer_snapshots, features.customer_outcomes   a row per as_of_date, customer_id
Writes  scores.churn                                              a row per as_of_date, customer_id
"""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
import pandas as pd

from ml_tasks.churn import model as churn
from ml_tasks.churn.evaluate import BASELINE, MODEL, evaluate
from ml_tasks.shared.boosting import LevelledTrees
from ml_tasks.shared.contest import HIGHER, LOWER
from ml_tasks.shared.features import FeatureStore
from ml_tasks.shared.model import TrainedModel

QUESTION = "churn"
CONTEST = {"log_loss": LOWER, "auc": HIGHER}
BASELINES = (BASELINE,)
NO_MODEL = "no_model"
TREES_FILE = "trees.ubj"


def train(training_date: date, store: FeatureStore, seed: int) -> TrainedModel:
    """Fit on grid snapshots whose 90 days had passed by `training_date`, tested out of time."""
    labelled = store.labelled_snapshots(training_date, churn.HORIZON_DAYS)
    settings: dict[str, Any] = {
        "horizon_days": churn.HORIZON_DAYS,
        "seed": seed,
        "count_training_rows": len(labelled),
    }
    if not churn.is_learnable(labelled):
        reason = (
            f"fewer than {churn.MIN_ROWS_OF_A_KIND} past outcomes of each kind "
            f"known by {training_date}"
        )
        return TrainedModel(NO_MODEL, training_date, {**settings, "reason": reason})
    evaluation = evaluate(labelled, seed)
    kept: dict[str, Any] = {
        "training_date": training_date,
        "metrics": evaluation.metrics,
        "report": evaluation.report,
        "plots": evaluation.plots,
    }
    if evaluation.winner == BASELINE:
        fitted = churn.fit_baseline(labelled).parameters()
        return TrainedModel(name=BASELINE, parameters={**settings, "model": fitted}, **kept)
    trees = churn.fit_trees(labelled, seed)
    return TrainedModel(
        name=MODEL,
        parameters={**settings, "model": trees.parameters()},
        artefacts={TREES_FILE: trees.trees},
        **kept,
    )


def score(as_of_date: date, model: TrainedModel, store: FeatureStore) -> dict[str, pd.DataFrame]:
    """Score every customer with an order before the date; without a model, say why not."""
    snapshot = store.snapshot(as_of_date)
    scores = pd.DataFrame({"customer_id": snapshot["customer_id"].to_numpy(dtype=object)})
    if model.name == NO_MODEL:
        return {
            QUESTION: scores.assign(
                churn_probability_90d=np.nan,
                churn_percentile_90d=np.nan,
                churn_risk_band=None,
                score_status="not_scored",
                score_reason=model.parameters["reason"],
            )
        }
    probability = 1 - restored(model).predict(snapshot, pd.Timestamp(as_of_date))
    return {
        QUESTION: scores.assign(
            churn_probability_90d=probability,
            churn_percentile_90d=churn.percentile(probability),
            churn_risk_band=churn.risk_band(probability),
            score_status="scored",
            score_reason=None,
        )
    }


def restored(model: TrainedModel) -> LevelledTrees | churn.RecencyLogistic:
    """The fitted model, from parameters and artefacts alone."""
    if model.name == MODEL:
        return LevelledTrees(**model.parameters["model"], trees=model.artefacts[TREES_FILE])
    return churn.RecencyLogistic(**model.parameters["model"])
