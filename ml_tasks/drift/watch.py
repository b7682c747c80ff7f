"""Drift of a question's inputs and scores: kept with the model at training, told at scoring."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, replace
from datetime import date
from typing import TYPE_CHECKING, Any

import pandas as pd

from expectations.drift import gate_drift
from ml_tasks.drift import distance
from ml_tasks.trained_model import TrainedModel, canonical_json
from perennial.warehouse import connect

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ml_tasks.features.store import FeatureStore
    from ml_tasks.question import Question
    from perennial.settings import Settings


def with_reference(model: TrainedModel, question: Question, store: FeatureStore) -> TrainedModel:
    """The model with the distributions of its training date among its files.

    Args:
        model: As trained.
        question: Its inputs are kept, and what the model scores on its training date.
        store: Read for the training date and the months before it.
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


def tallies(model: TrainedModel) -> dict[str, distance.Tally]:
    """What is to be counted of features and scores; nothing for a model without a reference."""
    return {kind: distance.Tally(stored) for kind, stored in _stored(model).items()}


def scored(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows of a question's table that have a score."""
    return frame[frame["score_status"] == "scored"]


def record(
    settings: Settings,
    question: str,
    as_of_date: date,
    model: TrainedModel,
    counted: Mapping[str, distance.Tally],
    run_id: str,
) -> list[str]:
    """Replace the rows of ops.drift of a question and date.

    Args:
        settings: Where the warehouse is.
        question: Whose model it is.
        as_of_date: Date that was scored.
        model: What scored.
        counted: The `tallies`, filled.
        run_id: Run that scored.

    Returns:
        Warnings, in words; none for a model that was stored without a reference.
    """
    if not counted:
        return []
    found = distance.compare(_stored(model), counted, (as_of_date - model.training_date).days)
    rows = [
        asdict(one)
        | {
            "question": question,
            "as_of_date": as_of_date,
            "model_version": model.model_version,
            "statistic": distance.STATISTIC,
            "threshold": None if math.isnan(one.threshold) else one.threshold,
            "run_id": run_id,
        }
        for one in found
    ]
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
    return gate_drift(settings, question, as_of_date, run_id).warnings if rows else []


def _stored(model: TrainedModel) -> dict[str, Any]:
    return json.loads(model.artefacts.get(distance.FILE, b"{}"))
