"""CLV: what a known customer will spend, net, in the next 90 and 365 days.

Reads   features.customer_snapshots, features.customer_outcomes   a row per as_of_date, customer_id
Writes  scores.clv                                                a row per as_of_date, customer_id
"""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
import pandas as pd

from ml_tasks.clv import model as clv
from ml_tasks.clv.evaluate import BASELINES, MODEL, evaluate
from ml_tasks.shared.boosting import LevelledTrees
from ml_tasks.shared.contest import HIGHER, LOWER
from ml_tasks.shared.evaluation import untested
from ml_tasks.shared.features import FeatureStore
from ml_tasks.shared.model import TrainedModel

QUESTION = "clv"
CONTEST = {"gini": HIGHER, "mean_absolute_error": LOWER}
SPEND_FILE, ORDERS_FILE = "spend.ubj", "orders.ubj"


def train(training_date: date, store: FeatureStore, seed: int) -> TrainedModel:
    """Fit on grid snapshots whose 90 days had passed by `training_date`, tested out of time."""
    labelled = store.labelled_snapshots(training_date, clv.HORIZON_DAYS)
    labelled_year = store.labelled_snapshots(training_date, clv.YEAR_HORIZON_DAYS)
    evaluation = (
        evaluate(labelled, labelled_year, seed)
        if clv.is_learnable(labelled)
        else untested(next(iter(BASELINES)))
    )
    parameters: dict[str, Any] = {
        "horizon_days": clv.HORIZON_DAYS,
        "seed": seed,
        "count_training_rows": len(labelled),
    }
    artefacts: dict[str, bytes] = {}
    if evaluation.winner == MODEL:
        spend, orders = clv.fit_spend(labelled, seed), clv.fit_orders(labelled, seed)
        artefacts = {SPEND_FILE: spend.trees, ORDERS_FILE: orders.trees}
        parameters |= {
            "spend": spend.parameters(),
            "orders": orders.parameters(),
            "year": clv.year_multiple(labelled, labelled_year),
        }
    return TrainedModel(
        name=evaluation.winner,
        training_date=training_date,
        parameters=parameters,
        artefacts=artefacts,
        metrics=evaluation.metrics,
        report=evaluation.report,
        plots=evaluation.plots,
    )


def score(as_of_date: date, model: TrainedModel, store: FeatureStore) -> dict[str, pd.DataFrame]:
    """Score every customer with an order before the date; what can't be told is null."""
    snapshot = store.snapshot(as_of_date)
    scores = pd.DataFrame({"customer_id": snapshot["customer_id"].to_numpy(dtype=object)})
    historic = snapshot["net_spend_amount"].to_numpy(dtype=float).clip(min=0)
    if model.name == MODEL:
        spend, year, orders = _from_trees(snapshot, pd.Timestamp(as_of_date), model)
    elif clv.was_watched_for(snapshot, clv.HORIZON_DAYS):
        spend, year, orders = _from_repeat(snapshot, model)
    else:
        reason = f"the shop has been watched for fewer than {clv.HORIZON_DAYS} days"
        return {QUESTION: _not_scored(scores, historic, reason)}
    return {
        QUESTION: scores.assign(
            predicted_spend_amount_90d=spend,
            predicted_spend_amount_365d=year,
            predicted_orders_90d=orders,
            historic_spend_amount=historic,
            value_tier=clv.value_tier(spend if np.isnan(year).any() else year),
            score_status="scored",
            score_reason=None,
        )
    }


def _from_trees(
    snapshot: pd.DataFrame, as_of_date: pd.Timestamp, model: TrainedModel
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Spend over 90 days, over 365 days, and orders over 90 days, from what was stored alone."""
    by_question = {
        name: LevelledTrees(**model.parameters[name], trees=model.artefacts[file_name])
        for name, file_name in (("spend", SPEND_FILE), ("orders", ORDERS_FILE))
    }
    spend = by_question["spend"].predict(snapshot, as_of_date)
    year = model.parameters["year"]
    multiple = year["multiple"] if year else np.nan
    return spend, spend * multiple, by_question["orders"].predict(snapshot, as_of_date)


def _from_repeat(
    snapshot: pd.DataFrame, model: TrainedModel
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The same three from the past alone; the last 365 days repeat too, once there were so many."""
    year = clv.repeat_of_last_365_days(snapshot)
    if not clv.was_watched_for(snapshot, clv.YEAR_HORIZON_DAYS):
        year = np.full(len(snapshot), np.nan)
    return BASELINES[model.name](snapshot), year, clv.orders_of_repeat(snapshot, model.name)


def _not_scored(scores: pd.DataFrame, historic: np.ndarray, reason: str) -> pd.DataFrame:
    return scores.assign(
        predicted_spend_amount_90d=np.nan,
        predicted_spend_amount_365d=np.nan,
        predicted_orders_90d=np.nan,
        historic_spend_amount=historic,
        value_tier=None,
        score_status="not_scored",
        score_reason=reason,
    )
