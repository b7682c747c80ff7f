"""Drift of a question's inputs and scores: kept with the model at training, told at scoring."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, replace
from datetime import date
from typing import TYPE_CHECKING, Any

import pandas as pd

from expectations.drift import gate_drift
from ml_tasks.shared import drift
from ml_tasks.shared.model import TrainedModel, canonical_json
from ml_tasks.shared.shards import WHOLE
from perennial.warehouse import connect

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ml_tasks.shared.features import FeatureStore
    from ml_tasks.shared.run import Question
    from perennial.settings import Settings

RECENT_WEEKS = (4, 13)
WEEK = pd.Timedelta(weeks=1)


def with_reference(
    model: TrainedModel, question: str, module: Question, store: FeatureStore
) -> TrainedModel:
    """The model with the distributions of its training date among its files.

    Args:
        model: As trained.
        question: Whose it is.
        module: Asked what the model answers on its training date.
        store: Read for the training date and the months before it.
    """
    day = model.training_date
    stored = {
        drift.FEATURES: drift.reference(
            inputs(question, day, store), _months(question, day, store)
        ),
        drift.SCORES: drift.reference(scored(module.score(day, model, store)[question])),
    }
    return replace(
        model, artefacts={**model.artefacts, drift.FILE: canonical_json(stored).encode()}
    )


def inputs(question: str, as_of_date: date, store: FeatureStore) -> pd.DataFrame:
    """What a question is fed for a date, of the store's shard.

    Returns:
        One row per customer, or per product that is sold.
    """
    if question == "demand":
        sales = _recent_sales(store.product_weeks(as_of_date), as_of_date)
        return sales if store.shard == WHOLE else sales[store.shard.holds(sales.index)]
    return store.snapshot(as_of_date)


def _months(question: str, training_date: date, store: FeatureStore) -> Iterator[pd.DataFrame]:
    """The inputs of the months before a date, oldest first, read one at a time."""
    months = drift.month_starts(training_date)
    if question == "demand":
        weeks = store.product_weeks(training_date)
        return (_recent_sales(weeks, month) for month in months)
    return (store.snapshot(month) for month in months)


def _recent_sales(weeks: pd.DataFrame, as_of_date: date) -> pd.DataFrame:
    """Units and price of the last weeks before a date, of each product that sold any."""
    ended = weeks["week_start_date"] + WEEK <= pd.Timestamp(as_of_date)
    columns = {}
    for count in RECENT_WEEKS:
        is_recent = weeks["week_start_date"] + (count + 1) * WEEK > pd.Timestamp(as_of_date)
        of_product = weeks[ended & is_recent].groupby("product_id")
        columns[f"sold_units_{count}w"] = of_product["sold_units"].sum()
        columns[f"avg_unit_price_amount_{count}w"] = of_product["avg_unit_price_amount"].mean()
    frame = pd.DataFrame(columns)
    return frame[frame[f"sold_units_{RECENT_WEEKS[-1]}w"] > 0]


def tallies(model: TrainedModel) -> dict[str, drift.Tally]:
    """What is to be counted of features and scores; nothing for a model without a reference."""
    return {kind: drift.Tally(stored) for kind, stored in _stored(model).items()}


def scored(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows of a question's table that have a score."""
    return frame[frame["score_status"] == "scored"]


def watch(
    settings: Settings,
    question: str,
    as_of_date: date,
    model: TrainedModel,
    counted: Mapping[str, drift.Tally],
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
    found = drift.compare(_stored(model), counted, (as_of_date - model.training_date).days)
    rows = [
        asdict(one)
        | {
            "question": question,
            "as_of_date": as_of_date,
            "model_version": model.model_version,
            "statistic": drift.STATISTIC,
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
    return json.loads(model.artefacts.get(drift.FILE, b"{}"))
