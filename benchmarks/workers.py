"""Scoring by one worker and by two, in one run: `python -m benchmarks.workers [CUSTOMERS]`.

Every question scores a sample shop in four shards. A worker is a process on one core that takes
shards as long as there are any, like a Celery worker of concurrency 1. The start of workers is not
measured, and only the shards' parts are computed. Both sides score the same shards.
"""

from __future__ import annotations

import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from datetime import date, timedelta
from multiprocessing import get_context

import pandas as pd
from rich.console import Console
from rich.table import Table

from benchmarks.results import WORKSPACE, keep_part
from benchmarks.steps import DAILY, QUESTIONS, Task
from benchmarks.warehouse import fresh_home
from ingest.sample_shop.files import write_plan
from ingest.sample_shop.plan import START, Plan
from ml_tasks.engine.scoring import score_shard
from ml_tasks.models import registry
from perennial import threads
from perennial.settings import Settings

CUSTOMERS, SEED, DAYS, SHARDS, ROUNDS = 40_000, 22, 730, 4, 3
LEAST_TIMES = 1.6
DAY: date = START + timedelta(days=DAYS)


def main(customers: int = CUSTOMERS) -> int:
    """Print the table; return 1 if a second worker saves less time than required."""
    os.environ |= threads.ONE_EACH
    folder = WORKSPACE / "workers"
    with fresh_home(folder, "canonical") as home:
        settings = home.model_copy(update={"shards": SHARDS})
        registry.initialise(settings)
        write_plan(Plan(SEED, customers, DAYS), folder / "files")
        task = Task(settings, DAY, str(folder / "files"), "benchmark")
        for step, run in DAILY.items():
            if not step.startswith(("score", "publish", "report", "lookback")):
                print(step, flush=True)
                run(task)
        rows = [_compared(settings, question) for question in QUESTIONS]
    return _keep(pd.DataFrame(rows), customers)


def _compared(settings: Settings, question: str) -> dict[str, object]:
    """Best seconds of several rounds, for one and for two workers."""
    seconds: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(ROUNDS):
        for workers, taken in seconds.items():
            with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
                list(pool.map(_score, [settings] * workers, [question] * workers, range(workers)))
                started = time.perf_counter()
                shards = range(SHARDS)
                list(pool.map(_score, [settings] * SHARDS, [question] * SHARDS, shards))
                taken.append(time.perf_counter() - started)
    return {"question": question, **{name: min(taken) for name, taken in seconds.items()}}


def _score(settings: Settings, question: str, shard_number: int) -> None:
    score_shard(settings, question, DAY, "benchmark", shard_number)


def _keep(rows: pd.DataFrame, customers: int) -> int:
    title = f"Scoring {customers:,} customers in {SHARDS} shards, best of {ROUNDS} rounds"
    table = Table("question", "one worker, s", "two workers, s", "times as fast", title=title)
    rows.loc[len(rows)] = ["all", rows[1].sum(), rows[2].sum()]
    for question, one, two in rows.itertuples(index=False):
        table.add_row(question, f"{one:.1f}", f"{two:.1f}", f"{one / two:.2f}")
    Console().print(table)
    keep_part("workers", "Two workers", table)
    return int(one / two < LEAST_TIMES)


if __name__ == "__main__":
    raise SystemExit(main(*map(int, sys.argv[1:])))
