"""The daily chain on sample shops of 1, 10 and 50 million order lines: `make bench-scale`.

`python -m benchmarks.scale [LINES ...]`. Each shop is landed, built, trained and scored for one
date, and then for the next: one more day. Each step runs in a new process, as a task does. Seconds
exclude the start of the process; memory is the process's peak; written is what Postgres wrote:
tables and indexes, its log, and what spilled to disk. A size is written to benchmarks/scale.md as
soon as it is done. An interrupted size continues: its shop stays in the workspace, and the
interrupted step runs again without a figure, because part of its work may be done already.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import psycopg
from rich.console import Console

from benchmarks.code import SCALE, commit
from benchmarks.results import WORKSPACE
from benchmarks.steps import DAILY, Task
from benchmarks.warehouse import home_at, remove
from ingest.sample_shop.files import write_plan
from ingest.sample_shop.plan import START, Plan
from local import postgres
from ml_tasks.models import registry
from perennial import threads
from perennial.settings import REPOSITORY, Settings

LINES = (1_000_000, 10_000_000, 50_000_000)
SHOP_SEED = 21
DAYS = 730
LINES_PER_CUSTOMER = 14.0  # in the sample shop's first 730 days
DATES = tuple(START + timedelta(days=days) for days in (DAYS, DAYS + 1))

console = Console()


def main(sizes: list[int]) -> int:
    """Measure size after size; measurements of the same code stay."""
    folder = WORKSPACE / "scale"
    folder.mkdir(parents=True, exist_ok=True)
    for lines in sizes:
        begun = folder / f"{lines}.begun"
        _shop(lines, folder / str(lines), begun)
        begun.rename(folder / f"{lines}.json")
        _write(folder)
    return 0


def _shop(lines: int, folder: Path, begun: Path) -> None:
    """Measure the steps of both dates that have no row yet; then delete the shop."""
    customers = round(lines / LINES_PER_CUSTOMER)
    files = WORKSPACE / "files" / f"scale_{lines}"
    console.rule(f"{lines:,} order lines, {customers:,} customers")
    rows = json.loads(begun.read_text()) if begun.exists() and folder.exists() else []
    if not rows and folder.exists():
        remove(folder)
    with home_at(folder, "canonical") as settings:
        registry.initialise(settings)
        for day in DATES:
            due = list(DAILY)[sum(row["date"] == str(day) and "seconds" in row for row in rows) :]
            if due:
                _write_files(files, customers, day)
            for step in due:
                row = {"lines": lines, "date": str(day), "step": step, "commit": commit()}
                run = partial(_measured, settings, step, day, str(files))
                figures = _figures(rows, begun, row, run)
                text = ", ".join(f"{name} {value:,.1f}" for name, value in figures.items())
                console.print(f"{day} {step}: {text}")
    remove(folder)
    shutil.rmtree(files)


def _figures(
    rows: list[dict[str, Any]],
    begun: Path,
    row: dict[str, Any],
    run: Callable[[], dict[str, float]],
) -> dict[str, float]:
    """Run a step and add its row; without figures if the step was interrupted before.

    The row is stored before its step begins, so that the next run sees where this one ended.
    """
    was_broken_off = bool(rows) and "seconds" not in rows[-1]
    if not was_broken_off:
        rows.append(row)
        begun.write_text(json.dumps(rows))
    figures = run()
    if was_broken_off:
        figures = dict.fromkeys(figures, math.nan)
    rows[-1] |= figures
    begun.write_text(json.dumps(rows))
    return figures


def _write_files(folder: Path, customers: int, day: date) -> None:
    """Write the shop's files as of a day; of files from an earlier run, rewrite the last month."""
    plan = Plan(SHOP_SEED, customers, (day - START).days)
    if folder.exists():
        write_plan(plan, folder, first_month=plan.months - 1)
        return
    beside = folder.with_name(f"{folder.name}.part")  # an existing folder is complete
    write_plan(plan, beside)
    beside.rename(folder)


def _measured(settings: Settings, step: str, day: date, files: str) -> dict[str, float]:
    """Run a step in a new process; a failure ends the benchmark.

    Returns:
        seconds, peak_mb of the process, written_mb by Postgres.
    """
    environment = {
        "PERENNIAL_HOME": str(settings.home),
        "PERENNIAL_PG_PORT": str(settings.pg_port),
        "PERENNIAL_SOURCE": settings.source,
        **threads.ONE_EACH,
        "GX_ANALYTICS_ENABLED": "false",
        "PYTHONWARNINGS": "ignore",
    }
    with _written(settings) as written:
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.scale", "--measure", step, str(day), files],
            env=os.environ | environment,
            capture_output=True,
            text=True,
            cwd=REPOSITORY,
            check=False,
        )
    if done.returncode:
        raise SystemExit(f"{step} failed:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    return {**json.loads(done.stdout.splitlines()[-1]), **written}


@contextmanager
def _written(settings: Settings) -> Iterator[dict[str, float]]:
    """Yield a dict that gets the MB written by Postgres in the block, its log included."""
    figures: dict[str, float] = {}
    with psycopg.connect(settings.dsn(postgres.SUPERUSER), autocommit=True) as connection:
        query = (
            "select (select sum(write_bytes + coalesce(extend_bytes, 0)) from pg_stat_io)"
            " + (select sum(temp_bytes) from pg_stat_database)"
        )

        def now() -> float:
            connection.execute("checkpoint")
            connection.execute("select pg_stat_force_next_flush()")
            (total,) = connection.execute(query).fetchone() or (math.nan,)
            return float(total)

        before = now()
        yield figures
        figures["written_mb"] = (now() - before) / 1e6


def measure(step: str, day: date, files: str) -> dict[str, float]:
    """Run a step in this process."""
    task = Task(Settings(), day, files, run_id=f"benchmark {day}")
    Path("/proc/self/clear_refs").write_text("5")  # Linux: the peak begins again
    started = time.perf_counter()
    DAILY[step](task)
    seconds = time.perf_counter() - started
    peak = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert peak is not None
    return {"seconds": seconds, "peak_mb": int(peak.group(1)) / 1024}


def _write(folder: Path) -> None:
    """Write benchmarks/scale.md: one row per step, for the first date and for one more day."""
    contents = [json.loads(path.read_text()) for path in folder.glob("*.json")]
    rows = pd.DataFrame([row for rows in contents for row in rows])
    sizes = sorted(rows["lines"].unique())
    first, more = (rows[rows["date"] == str(day)] for day in DATES)
    text = [
        "# Scale",
        "",
        "Made by `make bench-scale`; never edited by hand.",
        "",
        f"Sample shop of {DAYS} days, {LINES_PER_CUSTOMER:g} order lines a customer; "
        f"{psutil.cpu_count()} cores, {psutil.virtual_memory().total / 2**30:.0f} GB, "
        f"{platform.machine()}; Postgres on the same machine. A cell: seconds, peak memory of the "
        "step's process in MB, MB written by Postgres (tables, indexes, log, what spilled).",
        "",
        "Commits: "
        + "; ".join(
            f"{size / 1e6:g} million {', '.join(sorted(set(of_size['commit'])))}"
            for size, of_size in rows.groupby("lines")
        )
        + ".",
        "",
        f"## First build, scored for {DATES[0]}",
        "",
        *_table(first, sizes, "grows with lines to the", _growth),
        "",
        f"## One more day, {DATES[1]}",
        "",
        "The day itself grows with the shop; so the last column has seconds per line of the day, "
        "the larger shop's over the smaller one's.",
        "",
        *_table(more, sizes, "cost of a day's line", _of_a_day),
    ]
    SCALE.write_text("\n".join(text) + "\n")
    console.print(f"{SCALE.relative_to(REPOSITORY)}")


def _table(
    rows: pd.DataFrame, sizes: list[int], last: str, compare: Callable[[pd.Series], float]
) -> list[str]:
    heads = ["step", *(f"{size / 1e6:g} million" for size in sizes), last]
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for step, of_step in rows.groupby("step", sort=False):
        by_size = of_step.set_index("lines")
        cells = [_cell(by_size.loc[size]) if size in by_size.index else "–" for size in sizes]
        compared = compare(by_size["seconds"].sort_index().iloc[-2:])
        text = "–" if math.isnan(compared) else f"{compared:.2f}"
        lines.append("| " + " | ".join([str(step), *cells, text]) + " |")
    return lines


def _cell(row: pd.Series) -> str:
    if row.isna().any():  # interrupted
        return "–"
    return f"{row['seconds']:,.1f}, {row['peak_mb']:,.0f}, {row['written_mb']:,.0f}"


def _growth(seconds: pd.Series) -> float:
    """Exponent of the seconds' growth with the number of lines, over the two largest sizes."""
    if len(seconds) < 2:
        return math.nan
    (few, short), (many, long) = seconds.items()
    return math.log(long / short) / math.log(float(many) / float(few))


def _of_a_day(seconds: pd.Series) -> float:
    """Cost of a day's line in the largest shop, relative to the second largest."""
    if len(seconds) < 2:
        return math.nan
    (few, short), (many, long) = seconds.items()
    return (long / float(many)) / (short / float(few))


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench-scale", description=__doc__)
    parser.add_argument("lines", nargs="*", type=int, default=list(LINES), help="order lines")
    parser.add_argument("--measure", nargs=3, metavar=("STEP", "DAY", "FILES"))
    return parser.parse_args()


if __name__ == "__main__":
    given = _parse()
    if given.measure:
        step, day, files = given.measure
        print(json.dumps(measure(step, date.fromisoformat(day), files)))
    else:
        raise SystemExit(main(given.lines))
