"""Score a question for a date: the model of its training date, the features, the publication.

By hand: `python -m ml_tasks churn 2011-09-10`.
"""

from __future__ import annotations

import logging
import time
from datetime import date
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol, cast

from ml_tasks.shared import registry
from ml_tasks.shared.features import FeatureStore
from ml_tasks.shared.model import TrainedModel, training_date_of
from ml_tasks.shared.publish import publish
from perennial import contracts
from perennial.warehouse import connect

if TYPE_CHECKING:
    import pandas as pd
    import psycopg

    from perennial.settings import Settings

log = logging.getLogger(__name__)

SEED = 7


class Question(Protocol):
    """What `ml_tasks/<question>/run.py` offers."""

    QUESTION: str

    def train(self, training_date: date, store: FeatureStore, seed: int) -> TrainedModel:
        """Fit on what was known by a date, and evaluate out of time."""

    def score(
        self, as_of_date: date, model: TrainedModel, store: FeatureStore
    ) -> dict[str, pd.DataFrame]:
        """Rows of each score table for a date."""


def score_question(
    settings: Settings, question: str, as_of_date: date, run_id: str
) -> dict[str, Any]:
    """Score a question for a date and publish the scores.

    Returns:
        The publication's summary, see `publish`, and `seconds` by step.
    """
    started = time.monotonic()
    model = _model_of(settings, question, as_of_date)
    model_ready = time.monotonic()
    with connect(settings, "scorer") as connection:
        late_file_ids = _late_file_ids(connection, question, as_of_date)
        frames = _question(question).score(as_of_date, model, FeatureStore(connection))
    scored = time.monotonic()
    contract = contracts.load(question)
    summary = publish(settings, frames, contract, as_of_date, model, run_id, late_file_ids)
    seconds = {
        "model": round(model_ready - started, 1),
        "score": round(scored - model_ready, 1),
        "publish": round(time.monotonic() - scored, 1),
    }
    return {**summary, "seconds": seconds}


def ensure_model(settings: Settings, question: str, as_of_date: date) -> dict[str, Any]:
    """Train the model that scores a date, unless there is one.

    Returns:
        JSON-able: question, training_date, model_name, model_version, metrics.
    """
    model = _model_of(settings, question, as_of_date)
    return {
        "question": question,
        "training_date": str(model.training_date),
        "model_name": model.name,
        "model_version": model.model_version,
        "metrics": model.metrics,
    }


def _model_of(settings: Settings, question: str, as_of_date: date) -> TrainedModel:
    """The model that the date was published with, else that of its training date, else a new one.

    It depends on the date alone, never on which dates were scored before.
    """
    training_date = training_date_of(as_of_date)
    published = _published_version(settings, question, as_of_date)
    with registry.training_lock(settings, question, training_date):
        model = registry.find(settings, question, training_date, published) or registry.find(
            settings, question, training_date
        )
        if model is None:
            log.info("training %s for %s", question, training_date)
            with connect(settings, "scorer") as connection:
                trained = _question(question).train(training_date, FeatureStore(connection), SEED)
            # scored as read back, so that the first run and every later one do the same
            model = registry.add(settings, question, trained)
    log.info("%s %s is scored by %s %s", question, as_of_date, model.name, model.model_version)
    return model


def _published_version(settings: Settings, question: str, as_of_date: date) -> str | None:
    with connect(settings, "scorer") as connection:
        row = connection.execute(
            "select model_version from ops.publications where question = %s and as_of_date = %s",
            [question, as_of_date],
        ).fetchone()
    return row[0] if row else None


def _late_file_ids(
    connection: psycopg.Connection[Any], question: str, as_of_date: date
) -> list[int]:
    rows = connection.execute(
        "select file_id from ops.late_dates where question = %s and as_of_date = %s",
        [question, as_of_date],
    )
    return [row[0] for row in rows]


def _question(question: str) -> Question:
    return cast(Question, import_module(f"ml_tasks.{question}.run"))
