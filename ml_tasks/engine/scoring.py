"""Score a question for a date: find the model, read features, predict, publish.

By hand: `perennial score churn 2011-09-10`.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from contextlib import contextmanager
from datetime import date
from typing import TYPE_CHECKING, Any

import psycopg

from ml_tasks import question as questions
from ml_tasks.drift import distance, watch
from ml_tasks.drift.comparison import Tally
from ml_tasks.engine import chunks
from ml_tasks.engine.parts import Frames, Scoring, keep
from ml_tasks.engine.publish import OvertakenError, now, publish
from ml_tasks.engine.selecting import Queries
from ml_tasks.evaluation import bias, trust
from ml_tasks.features.shards import Shard
from ml_tasks.features.store import FeatureStore
from ml_tasks.models import serving
from perennial import contracts, offers
from perennial.warehouse import connect

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from perennial.settings import Settings

log = logging.getLogger(__name__)

MAX_OVERTAKEN = 3  # restarts of a scoring because another run published the date meanwhile


def score_question(
    settings: Settings, question: str, as_of_date: date, run_id: str
) -> dict[str, Any]:
    """Score a question for a date and publish the scores.

    The settings give the number of shards; shards that `score_shard` stored for this run are not
    scored again. If another run publishes the date meanwhile, the date is scored again, so that the
    scores of the newest features win.

    Returns:
        The publication's summary, see `publish`, and `seconds` by step. If the question is not
        offered at this shop: question, as_of_date, and `not_offered` with the reason.
    """
    if why_not := _why_not_offered(settings, question):
        return _not_offered(question, as_of_date, why_not)
    is_in_sql = contracts.load(question).is_in_sql
    score = _select_and_publish if is_in_sql else _score_and_publish
    for _ in range(MAX_OVERTAKEN):
        try:
            return score(settings, question, as_of_date, run_id)
        except OvertakenError as error:
            log.warning("%s: scoring it again", error)
    return score(settings, question, as_of_date, run_id)


def _why_not_offered(settings: Settings, question: str) -> str | None:
    with connect(settings, "scorer") as connection:
        return offers.why_not(connection).get(question)


def _not_offered(question: str, as_of_date: date, why_not: str) -> dict[str, Any]:
    """The summary of a question that is not offered at this shop."""
    log.info("%s is not offered: %s", question, why_not)
    summary = {"question": question, "as_of_date": str(as_of_date), "not_offered": why_not}
    return {**summary, "row_counts": {}, "warnings": []}


def _score_and_publish(
    settings: Settings, question: str, as_of_date: date, run_id: str
) -> dict[str, Any]:
    started = time.monotonic()
    model = serving.model_of(settings, question, as_of_date)
    model_ready = time.monotonic()
    scoring = Scoring(questions.load(question), as_of_date, run_id, model)
    counted = watch.tallies(model)
    with _reading(settings) as (connection, reader):
        read_at = now(connection)
        late_file_ids = late_file_ids_of(reader, question, as_of_date)
        store = FeatureStore(reader)
        shards = chunks.count_shards(question, settings.shards)
        given = (connection, scoring, store, shards, late_file_ids, read_at)
        with chunks.collected(*given) as parts:
            for part in parts:
                if part.features:
                    counted[distance.FEATURES].add_json(part.features)
            scored = time.monotonic()
            summary = publish(
                settings,
                _counting(chunks.joined(scoring, parts, store), question, counted),
                contracts.load(question),
                as_of_date,
                model,
                run_id,
                chunks.in_all(parts),
                min(part.read_at for part in parts),
            )
    summary["warnings"] = [*summary["warnings"], *_warnings(settings, scoring, counted)]
    seconds = {
        "model": round(model_ready - started, 1),
        "score": round(scored - model_ready, 1),
        "publish": round(time.monotonic() - scored, 1),
    }
    return {**summary, "seconds": seconds}


def _select_and_publish(
    settings: Settings, question: str, as_of_date: date, run_id: str
) -> dict[str, Any]:
    """Publish a question in SQL: Postgres makes the rows in one pass, for all shards at once."""
    started = time.monotonic()
    hooks, model = questions.load(question), serving.model_of(settings, question, as_of_date)
    contract = contracts.load(question)
    with connect(settings, "scorer", autocommit=True) as connection:
        read_at = now(connection)
        late_file_ids = late_file_ids_of(connection, question, as_of_date)
    tables = [table.name for table in contract.tables]
    queries = Queries({name: hooks.query(name, as_of_date, model) for name in tables})
    given = (contract, as_of_date, model, run_id, late_file_ids, read_at)
    summary = publish(settings, queries, *given)
    return {**summary, "seconds": {"publish": round(time.monotonic() - started, 1)}}


def _warnings(settings: Settings, scoring: Scoring, counted: Mapping[str, Tally]) -> list[str]:
    """Record drift; return the warnings of drift, and of the model's bias on past dates."""
    question, model = scoring.question, scoring.model
    drifted = watch.record(settings, question, scoring.as_of_date, model, counted, scoring.run_id)
    report = serving.report_of(settings, question, model)
    biased = bias.warnings(report, model.name, scoring.hooks.bias)
    words = trust.of_report(report)
    return [*drifted, *(f"{question}: {one}. {words}".rstrip() for one in biased)]


@contextmanager
def _reading(
    settings: Settings,
) -> Iterator[tuple[psycopg.Connection[Any], psycopg.Connection[Any]]]:
    """A connection that commits each statement, and a reader with one snapshot of the database."""
    with (
        connect(settings, "scorer", autocommit=True) as connection,
        connect(settings, "scorer") as reader,
    ):
        reader.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        yield connection, reader


def _counting(
    parts: Iterable[Frames], question: str, counted: Mapping[str, Tally]
) -> Iterator[Frames]:
    """The same parts; tallies their scores on the way."""
    for frames in parts:
        if counted:
            counted[distance.SCORES].add(watch.scored(frames[question]))
        yield frames


def score_shard(
    settings: Settings, question: str, as_of_date: date, run_id: str, shard_number: int
) -> dict[str, Any]:
    """Score one of the settings' shards and store its rows for `score_question` of the same run.

    Returns:
        JSON-able: shard, row_counts by table, and `seconds` by step.
    """
    if why_not := _why_not_offered(settings, question):
        return _not_offered(question, as_of_date, why_not)
    if contracts.load(question).is_in_sql:  # Postgres makes all rows when it publishes
        return {"shard": str(Shard(shard_number, settings.shards)), "row_counts": {}, "seconds": {}}
    started = time.monotonic()
    model = serving.model_of(settings, question, as_of_date)
    model_ready = time.monotonic()
    shard = Shard(shard_number, settings.shards)
    scoring = Scoring(questions.load(question), as_of_date, run_id, model)
    row_counts: Counter[str] = Counter()
    with _reading(settings) as (connection, reader):
        read_at = now(connection)
        late_file_ids = late_file_ids_of(reader, question, as_of_date)
        store = FeatureStore(reader)
        for one in shard.split(chunks.count_chunks(scoring, store, shard.count)):
            part = chunks.score_part(scoring, store.of_shard(one), late_file_ids, read_at)
            keep(connection, scoring, one, part)
            row_counts.update({name: len(frame) for name, frame in part.frames.items()})
    return {
        "shard": str(shard),
        "row_counts": dict(row_counts),
        "seconds": {
            "model": round(model_ready - started, 1),
            "score": round(time.monotonic() - model_ready, 1),
        },
    }


def late_file_ids_of(
    connection: psycopg.Connection[Any], question: str, as_of_date: date
) -> list[int]:
    """Ids of the files that arrived after a date was published, as noted so far."""
    rows = connection.execute(
        "select file_id from ops.late_dates where question = %s and as_of_date = %s",
        [question, as_of_date],
    )
    return [row[0] for row in rows]
