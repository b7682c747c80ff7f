"""Drift of a question's inputs and scores against a reference that is stored with the model."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, replace
from datetime import date
from typing import TYPE_CHECKING, Any

import pandas as pd

from expectations.drift import gate_drift
from ml_tasks.drift import distance
from ml_tasks.drift.comparison import Drift, Tally, compare
from ml_tasks.trained_model import TrainedModel, canonical_json
from perennial.warehouse import connect

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ml_tasks.features.store import FeatureStore
    from ml_tasks.question import Question
    from perennial.settings import Settings


def with_reference(model: TrainedModel, question: Question, store: FeatureStore) -> TrainedModel:
    """The model with the distributions of its training date added to its files.

    Args:
        model: The trained model.
        question: Provides the inputs, and the scores on the training date.
        store: Reads features of the training date and of the months before it.
    """
    day = model.training_date
    before = question.past_inputs(day, distance.month_starts(day), store)
    scores = question.score(day, model, store)[question.name]
    stored = {
        distance.FEATURES: distance.reference(question.inputs(day, store), before),
        distance.SCORES: distance.reference(scored(scores)),
    }
    return replace(
        model, artefacts={**model.artefacts, distance.FILE: canonical_json(stored).encode()}
    )


def tallies(model: TrainedModel) -> dict[str, Tally]:
    """Empty tallies of features and scores; none for a model without a reference."""
    return {kind: Tally(stored) for kind, stored in _stored(model).items()}


def scored(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows of a score table with the status `scored`."""
    return frame[frame["score_status"] == "scored"]


def record(
    settings: Settings,
    question: str,
    as_of_date: date,
    model: TrainedModel,
    counted: Mapping[str, Tally],
    run_id: str,
) -> list[str]:
    """Replace the rows of ops.drift of a question and date.

    Args:
        settings: Settings of the home.
        question: Name of the question.
        as_of_date: The scored date.
        model: The model that scored.
        counted: The `tallies`, filled.
        run_id: The run that scored.

    Returns:
        Warnings as sentences; none for a model that was stored without a reference.
    """
    if not counted:
        return []
    drifts = compare(_stored(model), counted, (as_of_date - model.training_date).days)
    own = {
        "question": question,
        "as_of_date": as_of_date,
        "model_version": model.model_version,
        "statistic": distance.STATISTIC,
        "run_id": run_id,
    }
    _replace(settings, question, as_of_date, [_row(one) | own for one in drifts])
    return gate_drift(settings, question, as_of_date, run_id).warnings if drifts else []


def _row(drift: Drift) -> dict[str, Any]:
    threshold = None if math.isnan(drift.threshold) else drift.threshold
    return asdict(drift) | {"threshold": threshold}


def _replace(
    settings: Settings, question: str, as_of_date: date, rows: list[dict[str, Any]]
) -> None:
    with connect(settings, "scorer") as connection, connection.cursor() as cursor:
        cursor.execute(
            "delete from ops.drift where question = %s and as_of_date = %s",
            [question, as_of_date],
        )
        cursor.executemany(
            "insert into ops.drift (question, as_of_date, model_version, kind, column_name,"
            " statistic, value, threshold, n_reference, n_current, run_id)"
            " values (%(question)s, %(as_of_date)s, %(model_version)s, %(kind)s, %(column_name)s,"
            " %(statistic)s, %(value)s, %(threshold)s, %(n_reference)s, %(n_current)s, %(run_id)s)",
            rows,
        )


def _stored(model: TrainedModel) -> dict[str, Any]:
    return json.loads(model.artefacts.get(distance.FILE, b"{}"))
