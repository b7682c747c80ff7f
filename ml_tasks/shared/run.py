"""Score a question for a date: the model of its training date, the features, the publication.

By hand: `python -m ml_tasks churn 2011-09-10`.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING, Any

import psycopg

from ml_tasks import question as questions
from ml_tasks.shared import bias, champions, drift, drift_watch, registry, sharded, trust
from ml_tasks.shared.features import FeatureStore
from ml_tasks.shared.model import TrainedModel, training_date_of
from ml_tasks.shared.publish import OvertakenError, now, publish
from ml_tasks.shared.sharded import Scoring
from ml_tasks.shared.shards import Shard
from perennial import contracts
from perennial.warehouse import connect

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from perennial.settings import Settings

log = logging.getLogger(__name__)

SEED = 7
MAX_OVERTAKEN = 3  # so often a date is read anew because another run published it meanwhile


def score_question(
    settings: Settings, question: str, as_of_date: date, run_id: str
) -> dict[str, Any]:
    """Score a question for a date and publish the scores.

    In as many shards as the settings say; those that `score_shard` kept for this run are done.
    Whoever finds that another run has published the date meanwhile reads it anew: of two at once
    the last word is that of the newest features.

    Returns:
        The publication's summary, see `publish`, and `seconds` by step.
    """
    for _ in range(MAX_OVERTAKEN):
        try:
            return _score_and_publish(settings, question, as_of_date, run_id)
        except OvertakenError as error:
            log.warning("%s: it is scored again", error)
    return _score_and_publish(settings, question, as_of_date, run_id)


def _score_and_publish(
    settings: Settings, question: str, as_of_date: date, run_id: str
) -> dict[str, Any]:
    started = time.monotonic()
    model = _model_of(settings, question, as_of_date)
    model_ready = time.monotonic()
    scoring = Scoring(questions.load(question), as_of_date, run_id, model)
    counted = drift_watch.tallies(model)
    with _reading(settings) as (connection, reader):
        read_at = now(connection)
        late_file_ids = late_file_ids_of(reader, question, as_of_date)
        store = FeatureStore(reader)
        given = (connection, scoring, store, settings.shards, late_file_ids, read_at)
        with sharded.collected(*given) as parts:
            for part in parts:
                if part.features:
                    counted[drift.FEATURES].add_json(part.features)
            scored = time.monotonic()
            summary = publish(
                settings,
                _counting(sharded.joined(scoring, parts, store), question, counted),
                contracts.load(question),
                as_of_date,
                model,
                run_id,
                sharded.in_all(parts),
                min(part.read_at for part in parts),
            )
    drifted = drift_watch.watch(settings, question, as_of_date, model, counted, run_id)
    report = registry.report_of(settings, question, model.training_date, model.model_version)
    biased = bias.warnings(report, model.name, scoring.asked.bias)
    words = trust.of_report(report)
    summary["warnings"] = [
        *summary["warnings"],
        *drifted,
        *(f"{question}: {one}. {words}".rstrip() for one in biased),
    ]
    seconds = {
        "model": round(model_ready - started, 1),
        "score": round(scored - model_ready, 1),
        "publish": round(time.monotonic() - scored, 1),
    }
    return {**summary, "seconds": seconds}


@contextmanager
def _reading(
    settings: Settings,
) -> Iterator[tuple[psycopg.Connection[Any], psycopg.Connection[Any]]]:
    """A connection that commits each statement, and one to which nothing changes any more."""
    with (
        connect(settings, "scorer", autocommit=True) as connection,
        connect(settings, "scorer") as reader,
    ):
        reader.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        yield connection, reader


def _counting(
    parts: Iterable[sharded.Frames], question: str, counted: Mapping[str, drift.Tally]
) -> Iterator[sharded.Frames]:
    """The parts, whose scores are counted as they go by."""
    for frames in parts:
        if counted:
            counted[drift.SCORES].add(drift_watch.scored(frames[question]))
        yield frames


def score_shard(
    settings: Settings, question: str, as_of_date: date, run_id: str, shard_number: int
) -> dict[str, Any]:
    """Score one of the settings' shards and keep its rows for `score_question` of the same run.

    Returns:
        JSON-able: shard, row_counts by table, and `seconds` by step.
    """
    started = time.monotonic()
    model = _model_of(settings, question, as_of_date)
    model_ready = time.monotonic()
    shard = Shard(shard_number, settings.shards)
    scoring = Scoring(questions.load(question), as_of_date, run_id, model)
    row_counts: Counter[str] = Counter()
    with _reading(settings) as (connection, reader):
        read_at = now(connection)
        late_file_ids = late_file_ids_of(reader, question, as_of_date)
        store = FeatureStore(reader)
        for one in shard.slices(sharded.count_slices(scoring, store, shard.count)):
            part = sharded.score_part(scoring, store.of_shard(one), late_file_ids, read_at)
            sharded.keep(connection, scoring, one, part)
            row_counts.update({name: len(frame) for name, frame in part.frames.items()})
    return {
        "shard": str(shard),
        "row_counts": dict(row_counts),
        "seconds": {
            "model": round(model_ready - started, 1),
            "score": round(time.monotonic() - model_ready, 1),
        },
    }


def ensure_model(settings: Settings, question: str, as_of_date: date) -> dict[str, Any]:
    """Train the model that scores a date, unless there is one.

    Returns:
        JSON-able: question, training_date, model_name, model_version, metrics.
    """
    model = _model_of(settings, question, as_of_date)
    name_champion(settings, question)  # a run that was killed may have recorded and not named it
    return {
        "question": question,
        "training_date": str(model.training_date),
        "model_name": model.name,
        "model_version": model.model_version,
        "metrics": model.metrics,
    }


def _model_of(settings: Settings, question: str, as_of_date: date) -> TrainedModel:
    """The model that the date was published with, else the champion in force, else a new one.

    A version that was rolled back since is not used again.
    """
    published = _published(settings, question, as_of_date)
    model = _readable(question, published and registry.find(settings, question, *published))
    model = model or champion_of(settings, question, as_of_date)
    log.info("%s %s is scored by %s %s", question, as_of_date, model.name, model.model_version)
    return model


def champion_of(settings: Settings, question: str, as_of_date: date) -> TrainedModel:
    """The champion for a date, trained if there is none.

    With the schedule off the calendar decides: the date's own training date, and what was decided
    between it and the date. So dates may be scored in any order. With the schedule on days come in
    order, and the newest decision holds until the next one.
    """
    training_date = training_date_of(as_of_date)
    since = training_date if settings.schedule == "off" else None

    def find() -> TrainedModel | None:
        with connect(settings, "scorer") as connection:
            champion = champions.in_force(connection, question, as_of_date, since)
        if champion is None:
            return None
        found = registry.find(
            settings, question, champion.model_training_date, champion.model_version
        )
        return _readable(question, found)

    model = find()
    if model is None:
        with registry.training_lock(settings, question, training_date):
            model = find()  # another run may have trained it meanwhile
            if model is None:
                model = _first_model(settings, question, training_date)
    return model


def _readable(question: str, model: TrainedModel | None) -> TrainedModel | None:
    """The model, unless it was stored in a form that the question's code no longer reads."""
    return model if model is None or questions.load(question).reads(model) else None


def train_model(
    settings: Settings, question: str, training_date: date, **tags: str
) -> TrainedModel:
    """Train, store, and read back: the first run and every later one then do the same."""
    log.info("training %s for %s", question, training_date)
    with connect(settings, "scorer") as connection:
        store, asked = FeatureStore(connection, for_training=True), questions.load(question)
        trained = asked.train(training_date, store, SEED)
        trained = replace(trained, data=list(store.reads))
        trained = drift_watch.with_reference(trained, asked, store)
    report = bias.with_warnings(trained.report, trained.name, asked.bias)
    words = trust.in_words(report, trained.name, asked.contest, asked.baselines, asked.bias)
    trained = replace(trained, report={**report, trust.TRUST: words})
    tags[registry.RECIPE] = registry.recipe(question)
    return registry.add(settings, question, trained, tags)


def _first_model(settings: Settings, question: str, training_date: date) -> TrainedModel:
    """The model of a training date at which nobody has to be beaten; recorded as champion."""
    # one stored before champions were recorded, or whose record was cut short
    model = _readable(question, registry.find(settings, question, training_date))
    model = model or train_model(settings, question, training_date)
    with connect(settings, "scorer") as connection:
        champions.record(
            connection,
            champions.Champion(
                question=question,
                training_date=training_date,
                model_version=model.model_version,
                model_training_date=model.training_date,
                decision=champions.TRAINED,
                reason=f"no champion for dates from {training_date} on",
            ),
        )
    name_champion(settings, question)
    return model


def roll_back(settings: Settings, question: str, why: str) -> champions.Champion:
    """Take the newest champion out of use, see `champions.roll_back`, and move the alias."""
    decision = champions.roll_back(settings, question, why)
    name_champion(settings, question)
    return decision


def name_champion(settings: Settings, question: str) -> None:
    """Point the registry's alias at the champion of the newest training date."""
    with connect(settings, "scorer") as connection:
        newest = champions.in_force(connection, question, date.max)
    if newest:
        registry.name(settings, question, registry.CHAMPION, newest.model_version)


def _published(settings: Settings, question: str, as_of_date: date) -> tuple[date, str] | None:
    """Training date and version that the date was published with, unless it was rolled back."""
    with connect(settings, "scorer") as connection:
        row = connection.execute(
            "select training_date, model_version from ops.publications"
            " where question = %s and as_of_date = %s",
            [question, as_of_date],
        ).fetchone()
        if row and champions.is_rolled_back(connection, question, row[1]):
            return None
    return row


def late_file_ids_of(
    connection: psycopg.Connection[Any], question: str, as_of_date: date
) -> list[int]:
    """Files that came late for a published date, as noted by now."""
    rows = connection.execute(
        "select file_id from ops.late_dates where question = %s and as_of_date = %s",
        [question, as_of_date],
    )
    return [row[0] for row in rows]
