"""The daily chain as steps that can be run one by one.

Each step calls what the task of the same name in dags/ calls, and passes nothing to the next.
Airflow passes on the landing's batch, but a task killed after its commit loses that, too.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial
from typing import Any

from perennial import contracts
from perennial.settings import DBT_PROJECT, Settings

QUESTIONS = contracts.questions()


@dataclass(frozen=True)
class Task:
    """The input of a step: a home, a date, the shop's files."""

    settings: Settings
    as_of_date: date
    files: str = ""
    run_id: str = "test"


def _land(task: Task) -> None:
    from ingest.land import land

    land(task.settings, task.as_of_date, task.files, task.run_id)


def _gate_raw(task: Task) -> None:
    from expectations.raw import gate_raw

    gate_raw(task.settings, None, task.as_of_date, task.run_id)


def dbt(task: Task, *more: str) -> None:
    """Run dbt in this process, as Cosmos does, so that a kill hits dbt."""
    from dbt.cli.main import dbtRunner

    from perennial.dbt import BUILD, environment_of

    os.environ |= environment_of(task.settings, task.as_of_date)
    done = dbtRunner().invoke(
        [
            *BUILD,
            *more,
            *("--project-dir", str(DBT_PROJECT), "--profiles-dir", str(DBT_PROJECT)),
        ]
    )
    if not done.success:
        results: Any = done.result or ()  # of a build: one per model and test
        failed = [f"{r.node.name}: {r.message}" for r in results if r.status != "success"]
        raise RuntimeError(f"dbt failed: {done.exception!r} {failed}") from done.exception


def _close_build(task: Task) -> None:
    from ingest.batches import close_build

    close_build(task.settings)


def _gate_rejects(task: Task) -> None:
    from expectations.rejects import gate_rejects

    gate_rejects(task.settings, task.as_of_date, task.run_id)


def _gate_days(task: Task) -> None:
    from expectations.days import gate_days

    gate_days(task.settings, task.as_of_date, task.run_id)


def _gate_features(task: Task) -> None:
    from expectations.features import gate_features

    gate_features(task.settings, task.as_of_date, task.run_id)


def _train(question: str, task: Task) -> None:
    from ml_tasks.models.serving import ensure_model

    ensure_model(task.settings, question, task.as_of_date)


def _score(question: str, task: Task) -> None:
    """Run the tasks of all shards one after the other; none if there is one shard."""
    from ml_tasks.engine.scoring import score_shard

    if task.settings.shards > 1:
        for number in range(task.settings.shards):
            score_shard(task.settings, question, task.as_of_date, task.run_id, number)


def _publish(question: str, task: Task) -> None:
    from ml_tasks.engine.scoring import score_question

    score_question(task.settings, question, task.as_of_date, task.run_id)


def _report(task: Task) -> None:
    from ml_tasks.engine.cleanup import clean_superseded
    from oncall.delivery import check_delivery

    check_delivery(task.settings, task.as_of_date)
    # at once, not after hours: what a killed publish left must be safe to delete
    clean_superseded(task.settings, timedelta(0))


def _lookback(task: Task) -> None:
    from ml_tasks.lookback.run import look_back

    look_back(task.settings, task.as_of_date, task.run_id)


# Steps in the order of the DAGs.
DAILY: dict[str, Callable[[Task], None]] = {
    "land": _land,
    "gate raw": _gate_raw,
    "dbt": dbt,
    "close build": _close_build,
    "gate rejects": _gate_rejects,
    "gate days": _gate_days,
    "gate features": _gate_features,
    # a question after those that it reads, as its DAG waits for their publication
    **{
        f"{verb} {question}": partial(step, question)
        for question in QUESTIONS
        for verb, step in (("train", _train), ("score", _score), ("publish", _publish))
        if verb != "train" or contracts.load(question).is_trained
    },
    "report": _report,
    "lookback": _lookback,
}
