"""The daily chain under Airflow, and its dbt beside `dbt build` on the command line, in one run.

`python -m benchmarks.chain [FILE.csv.gz] [ROUNDS]`; the default file is Online Retail II. A first
date lands the file and trains the models. Then dates alternate: Airflow scores one, and
`dbt build` alone builds the next. Airflow's overhead per step is read from its database and the
step's log. "hop" is the time from the end of the previous task to the step's start; "start" is the
time until its process runs the step (process, DAG file, settings). A step's imports count in its
start and its work, unless the process that forks tasks has imported them (local/preload). One
more day measures imports with Python's import clock, which slows them down.
"""

from __future__ import annotations

import json
import math
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import psycopg
from rich.console import Console
from rich.table import Table

from benchmarks.landing import ONLINE_RETAIL
from benchmarks.results import WORKSPACE, keep_part
from benchmarks.warehouse import remove
from ingest.batches import close_build
from local.home import free_ports
from perennial.dbt import BUILD, dbt
from perennial.settings import REPOSITORY, Settings

ROUNDS = 3
MAX_TIMES_BARE = 2.0  # of dbt through Airflow
FIRST = date(2011, 9, 10)
GROUP, END_OF_GROUP = "dbt.", "close_build"
STARTED = "::endgroup::"  # the first such line in a task's log: from here on the task works
IMPORT_CLOCK = {"PYTHONPROFILEIMPORTTIME": "1"}
IMPORT = re.compile(r"\s*import time:\s*(\d+) \|")  # of a module alone, in microseconds
TASKS = (
    "select dag_id, task_id, run_id, map_index, try_number, start_date, end_date"
    " from task_instance where start_date >= %s and end_date is not null"
)

console = Console()


def main(file: Path = ONLINE_RETAIL, rounds: int = ROUNDS) -> int:
    """Print the tables; return 1 if dbt through Airflow exceeds its limit."""
    folder = WORKSPACE / "chain"
    if folder.exists():  # of a run that was cut short
        remove(folder)
    home = Settings(
        home=folder / "home",
        source="online_retail",
        files=str(file),
        schedule="off",
        **free_ports(),
    )
    folder.mkdir(parents=True)
    with ExitStack() as at_the_end:
        at_the_end.callback(remove, folder)
        at_the_end.callback(_command, home, "down")
        return _compare(home, rounds)


def _compare(home: Settings, rounds: int) -> int:
    _score(home, FIRST)
    through, bare, chains = [], [], []
    for number in range(rounds):
        day = FIRST + timedelta(days=1 + 2 * number)
        began = _score(home, day)
        tasks = _tasks(home, began)
        chains.append(tasks)
        through.append(_group_seconds(tasks))
        started = time.perf_counter()
        dbt(home, day + timedelta(days=1), *BUILD)
        bare.append(time.perf_counter() - started)
        close_build(home)
        console.print(f"{day}: dbt {through[-1]:.1f} s through Airflow, {bare[-1]:.1f} s alone")
    _command(home, "down")  # Airflow's processes keep the environment that they began with
    began = _score(home, FIRST + timedelta(days=1 + 2 * rounds), IMPORT_CLOCK)
    _keep_steps(pd.concat(chains), _tasks(home, began), rounds)
    times = min(through) / min(bare)
    title = "One more day of Online Retail II without news, models and tests"
    table = Table("", "best, s", "median, s", title=title)
    for name, taken in (("`dbt build`", bare), ("through Airflow, all tasks", through)):
        table.add_row(name, f"{min(taken):.1f}", f"{statistics.median(taken):.1f}")
    table.add_row("times", f"{times:.2f}", f"wanted: {MAX_TIMES_BARE:g} at most")
    console.print(table)
    keep_part("chain_dbt", "dbt through Airflow", table)
    return int(times > MAX_TIMES_BARE)


def _score(home: Settings, day: date, environment: Mapping[str, str] | None = None) -> datetime:
    """Score a date as `make run` does; return the start time."""
    console.print(f"{day}: scoring")
    began = datetime.now().astimezone()  # Airflow and its database run on this machine
    _command(home, "run", f"--as-of={day}", environment=environment)
    return began


def _command(home: Settings, *arguments: str, environment: Mapping[str, str] | None = None) -> None:
    """Run a command of the home in a new process; a failure ends the benchmark."""
    given = {f"PERENNIAL_{n.upper()}": str(getattr(home, n)) for n in home.model_fields_set}
    done = subprocess.run(
        [sys.executable, "-m", "command", *arguments],
        cwd=REPOSITORY,
        env=os.environ | given | dict(environment or {}),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{arguments} failed:\n{done.stdout[-6000:]}{done.stderr[-3000:]}")


def _tasks(home: Settings, began: datetime) -> pd.DataFrame:
    """Every task of the runs since `began`, in order: seconds of hop, start, imports and work."""
    with psycopg.connect(home.dsn("airflow", "airflow")) as connection:
        cursor = connection.execute(TASKS, [began])
        names = [column.name for column in cursor.description or ()]
        tasks = pd.DataFrame(cursor.fetchall(), columns=names).sort_values("start_date")
    ends = tasks["end_date"].sort_values()
    before = ends.searchsorted(tasks["start_date"]) - 1  # the last task to end before it began
    last = pd.Series([ends.iloc[i] if i >= 0 else pd.NaT for i in before], index=tasks.index)
    tasks["hop"] = (tasks["start_date"] - last).dt.total_seconds()
    figures = [_start_and_imports(home, task) for task in tasks.to_dict("records")]
    works = pd.Series([began for began, _ in figures], tasks.index)
    tasks["start"] = (works - tasks["start_date"]).dt.total_seconds()
    tasks["imports"] = [imports for _, imports in figures]
    tasks["work"] = (tasks["end_date"] - works).dt.total_seconds()
    tasks["step"] = tasks["dag_id"] + "." + tasks["task_id"]
    return tasks


def _start_and_imports(home: Settings, task: dict[str, Any]) -> tuple[datetime | None, float]:
    """Read a task's log: when the step itself began, and its imports in seconds.

    Returns None and 0 for a task without a process.
    """
    log = (
        home.home / "logs" / "tasks" / f"dag_id={task['dag_id']}" / f"run_id={task['run_id']}"
        / f"task_id={task['task_id']}"
    )  # fmt: skip
    if task["map_index"] >= 0:
        log /= f"map_index={task['map_index']}"
    log /= f"attempt={task['try_number']}.log"
    if not log.exists():
        return None, 0.0
    began, imports = None, 0.0
    for line in log.read_text().splitlines():
        entry = json.loads(line)
        if began is None and entry["event"] == STARTED:
            began = datetime.fromisoformat(re.sub("Z$", "+00:00", entry["timestamp"]))
        elif match := IMPORT.match(entry["event"]):
            imports += int(match[1]) / 1e6
    return began, imports


def _group_seconds(tasks: pd.DataFrame) -> float:
    """Seconds from the first start of dbt's tasks to the start of the task after them."""
    first = tasks.loc[tasks["task_id"].str.startswith(GROUP), "start_date"].min()
    after = tasks.loc[tasks["task_id"] == END_OF_GROUP, "start_date"].min()
    return float((after - first).total_seconds())


def _keep_steps(tasks: pd.DataFrame, with_import_clock: pd.DataFrame, rounds: int) -> None:
    title = f"One more day of Online Retail II, medians of {rounds} days, s"
    table = Table("step", "hop", "start", "work", "of start and work, imports", title=title)
    of_processes = tasks[tasks["start"].notna()].groupby("step", sort=False)
    steps = of_processes[["hop", "start", "work"]].median()
    steps["imports"] = with_import_clock.groupby("step")["imports"].sum()
    for step, row in steps.iterrows():
        # the first task has no previous end
        table.add_row(str(step), *("–" if math.isnan(value) else f"{value:.1f}" for value in row))
    table.add_row("all", *(f"{value:.1f}" for value in steps.sum()))
    console.print(table)
    keep_part("chain", "The daily chain", table)


if __name__ == "__main__":
    given = sys.argv[1:]
    raise SystemExit(main(*map(Path, given[:1]), *map(int, given[1:2])))
