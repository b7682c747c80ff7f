"""The daily chain as steps that can be run, killed and run again one by one.

Each step calls what the task of the same name in dags/ calls, and hands nothing to the next: where
Airflow would hand on the landing's batch, a task that was killed after its commit has lost it too.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial
from pathlib import Path

from ingest.sample_shop import Shop, generate, write
from perennial import contracts
from perennial.settings import DBT_PROJECT, Settings

QUESTIONS = contracts.questions()
SEED, CUSTOMERS = 7, 300
# Dates to score, of a shop that is a year old: new models and horizons that have ended, then the
# day after, and so on.
DAYS = (date(2024, 1, 10), date(2024, 2, 12), date(2024, 2, 13), date(2024, 3, 18))


@dataclass(frozen=True)
class Task:
    """What a step works on: a home, a date, the shop's files."""

    settings: Settings
    as_of_date: date
    files: str = ""
    run_id: str = "test"


def land(task: Task) -> None:
    from ingest.land import land

    land(task.settings, task.as_of_date, task.files, task.run_id)


def gate_raw(task: Task) -> None:
    from expectations.raw import gate_raw

    gate_raw(task.settings, None, task.as_of_date, task.run_id)


def dbt(task: Task, *more: str) -> None:
    """dbt in this very process, as Cosmos runs it, so that a kill hits dbt and no bystander."""
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
        failed = [f"{r.node.name}: {r.message}" for r in done.result or () if r.status != "success"]
        raise RuntimeError(f"dbt failed: {done.exception!r} {failed}") from done.exception


def dbt_full_refresh(task: Task) -> None:
    dbt(task, "--full-refresh")


def close_build(task: Task) -> None:
    from ingest.batches import close_build

    close_build(task.settings)


def gate_rejects(task: Task) -> None:
    from expectations.rejects import gate_rejects

    gate_rejects(task.settings, task.as_of_date, task.run_id)


def gate_days(task: Task) -> None:
    from expectations.days import gate_days

    gate_days(task.settings, task.as_of_date, task.run_id)


def gate_features(task: Task) -> None:
    from expectations.features import gate_features

    gate_features(task.settings, task.as_of_date, task.run_id)


def train(question: str, task: Task) -> None:
    from ml_tasks.models.serving import ensure_model

    ensure_model(task.settings, question, task.as_of_date)


def score(question: str, task: Task) -> None:
    """The tasks of all shards, one after the other; none where there is one shard."""
    from ml_tasks.engine.scoring import score_shard

    if task.settings.shards > 1:
        for number in range(task.settings.shards):
            score_shard(task.settings, question, task.as_of_date, task.run_id, number)


def publish(question: str, task: Task) -> None:
    from ml_tasks.engine.scoring import score_question

    score_question(task.settings, question, task.as_of_date, task.run_id)


def report(task: Task) -> None:
    from ml_tasks.engine.publish import clean_superseded
    from oncall.delivery import check_delivery

    check_delivery(task.settings, task.as_of_date)
    # at once, not after hours: whatever a killed publish left behind must be safe to delete
    clean_superseded(task.settings, timedelta(0))


def lookback(task: Task) -> None:
    from ml_tasks.lookback.run import look_back

    look_back(task.settings, task.as_of_date, task.run_id)


# In the order of the DAGs.
DAILY: dict[str, Callable[[Task], None]] = {
    "land": land,
    "gate raw": gate_raw,
    "dbt": dbt,
    "close build": close_build,
    "gate rejects": gate_rejects,
    "gate days": gate_days,
    "gate features": gate_features,
    **{f"train {question}": partial(train, question) for question in QUESTIONS},
    **{f"score {question}": partial(score, question) for question in QUESTIONS},
    **{f"publish {question}": partial(publish, question) for question in QUESTIONS},
    "report": report,
    "lookback": lookback,
}
STEPS = {**DAILY, "dbt full refresh": dbt_full_refresh}


def shop(days: int = 450, customers: int = CUSTOMERS) -> Shop:
    """A sample shop, in memory; the same for the same arguments."""
    return generate(SEED, customers, days)


def write_files(of: Shop, folder: Path, as_of_date: date) -> str:
    """The shop's files as they stood before a date; they only ever grow."""
    write(of, folder, until=as_of_date)
    return str(folder)
