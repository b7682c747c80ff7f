"""The cost of training and scoring, and its growth: sample shops of 5, 50 and 500 thousand.

`python -m benchmarks.cost [CUSTOMERS ...]`. Each shop is landed and built in a home of its own, and
each question is trained and scored in a new process. Sizes run one after the other, and each is
written as soon as it is done, so a size that does not end loses none of the others.
"""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
from psycopg import sql
from rich.console import Console

from benchmarks import warehouse
from benchmarks.data import Data
from benchmarks.results import FIGURES, WORKSPACE
from ingest.sample_shop.files import write_plan
from ingest.sample_shop.plan import START, Plan
from ml_tasks import question as questions
from ml_tasks.features.store import FeatureStore
from ml_tasks.models.serving import SEED
from ml_tasks.trained_model import training_date_of
from perennial import contracts
from perennial.settings import REPOSITORY, Settings
from perennial.warehouse import connect

SIZES = (5_000, 50_000, 500_000)
SHOP_SEED = 21
DAYS = 730
LEAST_SECONDS = 0.1  # of the processor; less is not Python's work
DAY = START + timedelta(days=DAYS)
QUESTIONS = contracts.questions()
# every column is computed
COUNTED = sql.SQL("select count(*), sum(hashtext(q::text)) from ({}) as q")

console = Console()


def main(sizes: list[int]) -> int:
    """Measure size after size and write the table."""
    rows: list[dict[str, Any]] = []
    for customers in sizes:
        rows += _shop(customers)
        _write(pd.DataFrame(rows))
    return 0


def _shop(customers: int) -> list[dict[str, Any]]:
    files = WORKSPACE / "files" / f"cost_{customers}"
    if not files.exists():
        with _Timed(f"{customers:,} customers: files"):
            write_plan(Plan(SHOP_SEED, customers, DAYS), files)
    data = Data(f"cost_{customers}", "cost", "canonical", files)
    for measured_before in WORKSPACE.glob(f"{data.name}-*"):
        warehouse.remove(measured_before)
    rows: list[dict[str, Any]] = []

    def record(
        step: str,
        seconds: float,
        processor_seconds: float = math.nan,
        peak_mb: float = math.nan,
        note: str = "",
    ) -> None:
        figures = {
            "seconds": seconds,
            "processor_seconds": processor_seconds,
            "peak_mb": peak_mb,
        }
        rows.append({"customers": customers, "step": step, **figures})
        console.print(
            f"{customers:,} customers: {step} {seconds:.1f} s, {processor_seconds:.1f} s of"
            f" processor time, {peak_mb:.0f} MB {note}"
        )

    started = time.perf_counter()
    with warehouse.home(data, WORKSPACE) as home:
        landed = time.perf_counter() - started
        started = time.perf_counter()
        home.build(DAY)
        record("land", landed)
        record("marts and features", time.perf_counter() - started)
        for question in QUESTIONS:
            for step, figures in _measured(home, question).items():
                record(f"{question}: {step}", **figures)
    warehouse.remove(home.folder)
    return rows


def _measured(home: warehouse.Home, question: str) -> dict[str, dict[str, Any]]:
    environment = {
        "PERENNIAL_HOME": str(home.settings.home),
        "PERENNIAL_PG_PORT": str(home.settings.pg_port),
        "PERENNIAL_SOURCE": home.settings.source,
        "PYTHONWARNINGS": "ignore",
    }
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.cost", "--measure", question, str(DAY)],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
    )
    if done.returncode:
        console.print(f"{question} failed: {done.stderr[-500:]}")
        return {"train": {"seconds": math.nan, "note": "failed"}}
    return json.loads(done.stdout.splitlines()[-1])


def measure(question: str, day: date) -> dict[str, dict[str, Any]]:
    """Train and score in this process; rules are not trained, and SQL is counted in Postgres.

    A question that reads others' scores finds none here: nothing is published.
    """
    loaded = questions.load(question)
    with connect(Settings(), "scorer") as connection:
        sample, whole = FeatureStore(connection, for_training=True), FeatureStore(connection)
        if loaded.contract.is_in_sql:
            query = COUNTED.format(loaded.query(question, day, loaded.ruled(day)))
            _, score = _with_peak(lambda: connection.execute(query).fetchall())
            return {"score": score | {"note": "in Postgres, not written"}}
        steps = {}
        model = loaded.ruled(day) if not loaded.contract.is_trained else None
        if model is None:
            model, train = _with_peak(lambda: loaded.train(training_date_of(day), sample, SEED))
            steps["train"] = train | {"note": model.name}
        frames, score = _with_peak(lambda: loaded.score(day, model, whole))
    return steps | {"score": score | {"note": f"{len(frames[question]):,} rows"}}


def _with_peak(step: Callable[[], Any]) -> tuple[Any, dict[str, Any]]:
    """The step's result, seconds of clock and processor, and the most memory it held, MB."""
    Path("/proc/self/clear_refs").write_text("5")  # Linux: the peak begins again
    started, used = time.perf_counter(), time.process_time()
    result = step()
    seconds, processor_seconds = time.perf_counter() - started, time.process_time() - used
    peak = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return result, {
        "seconds": seconds,
        "processor_seconds": processor_seconds,
        "peak_mb": int(peak.group(1)) / 1024 if peak else math.nan,
    }


class _Timed:
    def __init__(self, step: str) -> None:
        self.step = step

    def __enter__(self) -> None:
        self.started = time.perf_counter()

    def __exit__(self, *error: object) -> None:
        console.print(f"{self.step} {time.perf_counter() - self.started:.0f} s")


def _write(rows: pd.DataFrame) -> None:
    """Write the part of results.md: one row per step, two columns per size, and the growth."""
    sizes = sorted(rows["customers"].unique())
    cells = (f"{size:,}: s (processor), MB" for size in sizes)
    heads = ["step", *cells, "processor seconds grow with customers to the"]
    lines = [
        "## Cost",
        "",
        f"Sample shop of {DAYS} days, scored for {DAY}; seconds of the clock and, in brackets, of"
        " the processor; peak memory. The clock also counts what else the machine did. Without"
        " processor seconds (Postgres works), the clock's growth is shown.",
        "",
    ]
    lines += ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for step, of_step in rows.groupby("step", sort=False):
        by_size = of_step.set_index("customers")
        cells = [_cell(by_size, size) for size in sizes]
        used = by_size["processor_seconds"].where(by_size["processor_seconds"] >= LEAST_SECONDS)
        grown = growth(used if used.notna().sum() > 1 else by_size["seconds"])
        lines.append("| " + " | ".join([str(step), *cells, grown]) + " |")
    FIGURES.mkdir(parents=True, exist_ok=True)
    (FIGURES / "cost.md").write_text("\n".join(lines) + "\n")


def _cell(by_size: pd.DataFrame, size: int) -> str:
    if size not in by_size.index:
        return "–"
    seconds, processor, peak_mb = by_size.loc[size, ["seconds", "processor_seconds", "peak_mb"]]
    used = "" if math.isnan(processor) else f" ({processor:,.1f})"
    return f"{seconds:,.1f}{used}" + ("" if math.isnan(peak_mb) else f", {peak_mb:,.0f}")


def growth(seconds: pd.Series) -> str:
    """Exponent of the seconds' growth with the number of customers, over the two largest sizes."""
    known = seconds.dropna().sort_index()
    if len(known) < 2:
        return "–"
    (few, short), (many, long) = known.iloc[-2:].items()
    return f"{math.log(long / short) / math.log(many / few):.2f}"


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["--measure", question, day]:
            print(json.dumps(measure(question, date.fromisoformat(day))))
        case sizes:
            raise SystemExit(main([int(size) for size in sizes] or list(SIZES)))
