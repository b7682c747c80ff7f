"""Under a real scheduler: kills of tasks, of the scheduler, and of everything at once."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from benchmarks.steps import DAILY, Task
from local import airflow, postgres
from ml_tasks.models import registry
from oncall.airflow_api import AirflowError, Api
from perennial.settings import REPOSITORY, Settings
from tests.commands import wait_until
from tests.conftest import StartHome
from tests.faults import chain, ledger, readers, twins, work

pytestmark = pytest.mark.whole  # minutes of Airflow; `make test` kills the same steps without it

DAYS = chain.DAYS[:3]
RUN_SECONDS = 1_800
AT_WORK_SECONDS = 900


class Make:
    """A home's `make run` as a process that the test can watch."""

    def __init__(self, settings: Settings, *arguments: str) -> None:
        names = ("home", "source", "files", "pg_port", "airflow_port", "mlflow_port")
        fields = {f"PERENNIAL_{name.upper()}": str(getattr(settings, name)) for name in names}
        self.log = settings.home / f"make-{time.monotonic_ns()}.log"
        with self.log.open("w") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "command", *arguments],
                cwd=REPOSITORY,
                env=os.environ | fields,
                stdout=file,
                stderr=subprocess.STDOUT,
            )

    def is_done(self) -> bool:
        return self.process.poll() is not None

    def finish(self) -> tuple[int, str]:
        return self.process.wait(RUN_SECONDS), self.log.read_text()


def run(settings: Settings, *arguments: str) -> str:
    code, text = Make(settings, *arguments).finish()
    assert code == 0, text[-6000:]
    return text


@pytest.fixture(scope="module")
def homes(
    start_home: StartHome, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Settings, Settings]]:
    """A home under Airflow, and a twin with directly called steps; same files, same key."""
    files = tmp_path_factory.mktemp("shop") / "files"
    home, twin = (start_home("canonical", files=str(files)) for _ in range(2))
    twins.share_key(home, twin)
    registry.initialise(twin)
    yield home, twin
    airflow.stop(home)


def bring_files(settings: Settings, day: object) -> Task:
    """Write the shop's files as of a day; return that day's task in the twin."""
    chain.write_files(chain.shop(), Path(settings.files), day)
    return Task(settings, day, settings.files)


def undisturbed(twin: Settings, day: object) -> None:
    task = bring_files(twin, day)
    for step in DAILY:
        work.run(step, task, twin.home / "logs" / "steps.log")


def running_tasks(settings: Settings) -> list[dict]:
    """Running task instances: name, try, and process id."""
    try:
        found = Api(settings).get("/dags/~/dagRuns/~/taskInstances", state="running", limit=100)
    except AirflowError:  # it starts, or was killed
        return []
    return found["task_instances"]


def kill_once_each(settings: Settings, make: Make, numbers: random.Random) -> list[str]:
    """Kill the process of each task once, at a random moment of its first try."""
    killed: list[str] = []
    seen: set[str] = set()
    while not make.is_done():
        for found in running_tasks(settings):
            name = f"{found['dag_id']}.{found['task_id']}"
            is_a_mirror = found["task_id"].startswith("dbt.") and "producer" not in name
            if name in seen or found["try_number"] > 1 or is_a_mirror or not found["pid"]:
                continue
            seen.add(name)
            time.sleep(numbers.uniform(0, 1.5))
            with suppress(ProcessLookupError):
                os.kill(found["pid"], signal.SIGKILL)
                killed.append(name)
        time.sleep(0.2)
    return killed


def is_idle(settings: Settings) -> bool:
    """Whether no run is active; a disturbed run may go on beside the next one."""
    runs = Api(settings).get("/dags/~/dagRuns", state=["running", "queued"], limit=1)
    return not runs["total_entries"]


def same_rows(home: Settings, twin: Settings, but: Collection[str] = ()) -> int:
    wait_until(lambda: is_idle(home), AT_WORK_SECONDS)
    found = twins.differences(home, twin, but)
    assert not found, "\n".join(found)
    return twins.row_count(home)


def test_airflow_finishes_a_date_with_killed_tasks(
    homes: tuple[Settings, Settings],
) -> None:
    home, twin = homes
    undisturbed(twin, DAYS[0])
    make = Make(home, "run", "--as-of", str(DAYS[0]))
    killed = kill_once_each(home, make, ledger.draw("airflow"))
    code, text = make.finish()
    assert code == 0, text[-6000:]
    count = same_rows(home, twin)
    ledger.record(
        "a task dies",
        f"{len(killed)} task processes killed under a real scheduler: {', '.join(killed)}",
        f"Airflow tried each again by itself and `make run` ended well; all {count:,} rows equal "
        "those of a twin",
        kills=len(killed),
        lost=0,
    )
    assert len(killed) >= 8


def at_work(settings: Settings, name: str) -> Callable[[], bool]:
    return lambda: any(
        f"{found['dag_id']}.{found['task_id']}".startswith(name)
        for found in running_tasks(settings)
    )


def test_a_killed_scheduler_is_reported_and_make_run_goes_on(
    homes: tuple[Settings, Settings],
) -> None:
    home, twin = homes
    undisturbed(twin, DAYS[1])
    make = Make(home, "run", "--as-of", str(DAYS[1]))
    wait_until(at_work(home, "build_warehouse"), AT_WORK_SECONDS)
    scheduler = int((home.home / "run" / "scheduler.pid").read_text())
    os.kill(scheduler, signal.SIGKILL)
    code, text = make.finish()
    assert code == 1
    assert "scheduler ended while the dates were under way" in text
    started = time.monotonic()
    run(home, "run", "--as-of", str(DAYS[1]))
    count = same_rows(home, twin, twins.OF_NEWEST_BUILD)
    ledger.record(
        "the scheduler or a worker goes",
        "the scheduler killed in the middle of a build",
        f"`make run` said so and ended; the next one started it again and was through after "
        f"{time.monotonic() - started:.0f} s; all {count:,} rows equal those of a twin",
        kills=1,
        lost=0,
    )


def kill_everything(settings: Settings, numbers: random.Random) -> int:
    """Kill every process of a home, including Postgres, in any order, as in a power cut."""
    server = psutil.Process(int((postgres.data_folder(settings) / "postmaster.pid").read_text()
                                .split()[0]))  # fmt: skip
    processes = [*airflow.processes_of(settings), server, *server.children(recursive=True)]
    numbers.shuffle(processes)
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(processes, timeout=20)
    return len(processes)


def test_after_a_power_cut_make_run_repairs_what_it_finds(
    homes: tuple[Settings, Settings],
) -> None:
    home, twin = homes
    undisturbed(twin, DAYS[2])
    publications = readers.Publications(home)
    publications.note()
    before = {(q, d) for q, d, _ in publications.rows}
    make = Make(home, "run", "--as-of", str(DAYS[2]))
    wait_until(at_work(home, "score_"), AT_WORK_SECONDS)
    count_killed = kill_everything(home, ledger.draw("power"))
    make.process.kill()
    make.finish()
    started = time.monotonic()
    text = run(home, "run", "--as-of", str(DAYS[2]))
    assert "reporting.churn" in text
    publications.note()
    assert before <= {(q, d) for q, d, _ in publications.rows}
    count = same_rows(home, twin, twins.OF_NEWEST_BUILD)
    ledger.record(
        "the scheduler or a worker goes",
        f"all {count_killed} processes of a home killed in random order while it scored, Postgres "
        "and `make run` among them",
        f"`make run` started all again and was through after {time.monotonic() - started:.0f} s; "
        f"all {count:,} rows equal those of a twin",
        kills=count_killed,
        lost=0,
    )


def test_two_make_runs_at_once_and_a_backfill_beside_them(
    homes: tuple[Settings, Settings],
) -> None:
    home, twin = homes
    day = str(DAYS[2])
    makes = [
        Make(home, "run", "--as-of", day, "--again=yes"),
        Make(home, "run", "--as-of", day),
        Make(home, "backfill", "--from", str(DAYS[1]), "--to", day, "--every", "1"),
    ]
    ended = [make.finish() for make in makes]
    assert [code for code, _ in ended] == [0, 0, 0], [text[-3000:] for _, text in ended]
    assert sum("waiting" in text for _, text in ended) == 2
    count = same_rows(home, twin, twins.OF_NEWEST_BUILD)
    ledger.record(
        "two at once",
        "two `make run` of one date and a backfill over it, at the same moment on one home",
        f"two said whom they wait for, and went on after it; all three ended well; all {count:,} "
        "rows equal those of a twin where each date ran once",
        races=1,
        lost=0,
    )
