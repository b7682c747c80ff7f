"""Survival: when a known customer will be back, and how long customers stay away."""

from __future__ import annotations

import json
from datetime import date

import pandas as pd

from ml_tasks.shared.contest import HIGHER, LOWER
from ml_tasks.shared.features import FeatureStore
from ml_tasks.shared.model import TrainedModel, canonical_json
from ml_tasks.survival.curves import CURVE_COLUMNS, curves_by_group
from ml_tasks.survival.evaluate import evaluate, headlines, is_better, is_enough
from ml_tasks.survival.model import (
    CAP_DAYS,
    HORIZONS_DAYS,
    MIN_EVENTS,
    MIN_FOLLOW_UP_DAYS,
    RecencyModel,
    fit_cox,
    fit_recency,
    from_dict,
    predict,
    to_dict,
)
from ml_tasks.survival.observations import observations_of

QUESTION = "survival"
CONTEST = {"integrated_brier": LOWER, "concordance": HIGHER}
BASELINES = (RecencyModel.name,)
MODEL_FILE, CURVES_FILE = "model.json", "curves.json"
NO_MODEL = "no_model"
TOO_YOUNG = (
    f"customers were watched for less than {MIN_FOLLOW_UP_DAYS} days or placed fewer than "
    f"{MIN_EVENTS} further orders"
)


def train(training_date: date, store: FeatureStore, seed: int) -> TrainedModel:
    """Fit on all grid snapshots before `training_date`, by what was known on it.

    The fit has no random part; `seed` is there because every question has one. A hazard that was
    observed for less than a year goes on at its mean rate, and the model's name says so.
    """
    del seed
    known_date = pd.Timestamp(training_date)
    observations = observations_of(store.next_orders(training_date))
    if not is_enough(observations, known_date):
        return TrainedModel(NO_MODEL, training_date, {"reason": TOO_YOUNG})
    report = evaluate(observations, known_date)
    curves = curves_by_group(observations)
    cox = fit_cox(observations) if is_better(report) else None
    model = cox or fit_recency(observations)
    is_extended = model.observed_days < CAP_DAYS
    return TrainedModel(
        name=model.name + ("_extended" if is_extended else ""),
        training_date=training_date,
        parameters={"observed_days": model.observed_days, "cap_days": CAP_DAYS},
        artefacts={
            MODEL_FILE: canonical_json(to_dict(model)).encode(),
            CURVES_FILE: curves.to_json(orient="columns", double_precision=15).encode(),
        },
        metrics=headlines(report) | {"count_observations": float(len(observations))},
        report={"cuts": report},
    )


def score(as_of_date: date, model: TrainedModel, store: FeatureStore) -> dict[str, pd.DataFrame]:
    """Every known customer's chances of an order, and the curves as of the training date."""
    snapshots = store.snapshot(as_of_date)
    if model.name == NO_MODEL:
        return {
            "survival": _not_scored(snapshots, model.parameters["reason"]),
            "survival_curves": _no_curves(model.parameters["reason"]),
        }
    fitted = from_dict(json.loads(model.artefacts[MODEL_FILE]))
    curves = pd.DataFrame(json.loads(model.artefacts[CURVES_FILE]))
    return {
        "survival": _scored(predict(fitted, snapshots)),
        "survival_curves": _scored(curves.reset_index(drop=True)),
    }


def _scored(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(score_status="scored", score_reason=None)


def _no_curves(reason: str) -> pd.DataFrame:
    """One row that says why there is no curve."""
    row = dict.fromkeys(CURVE_COLUMNS) | {"group_name": "all", "day": 0}
    return pd.DataFrame([row]).assign(score_status="not_scored", score_reason=reason)


def _not_scored(snapshots: pd.DataFrame, reason: str) -> pd.DataFrame:
    columns = ["expected_days_to_next_order", *(f"order_probability_{h}d" for h in HORIZONS_DAYS)]
    empty = pd.DataFrame(float("nan"), index=snapshots.index, columns=columns)
    return empty.assign(
        customer_id=snapshots["customer_id"], score_status="not_scored", score_reason=reason
    )
