"""Real Airflow, real faults: each causes one alert, and one more when it is over."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import date
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from local import airflow
from oncall.airflow_api import Api
from perennial.settings import Settings
from tests.commands import command, wait_until
from tests.conftest import StartHome
from tests.faults import ledger
from tests.receivers import listening

pytestmark = pytest.mark.whole

AS_OF = date(2024, 2, 10)
SMALL_SHOP = {"sample_customers": 300, "sample_days": 404}
DUE_HOURS = 0.025
TASK_PROCESS = re.compile(r"airflow worker -- [0-9a-f-]{36}")  # its title ends with the task's id


@pytest.fixture(scope="module")
def receiver() -> Iterator[SimpleNamespace]:
    with listening() as received:
        yield received


@pytest.fixture(scope="module")
def home(start_home: StartHome, receiver: SimpleNamespace) -> Iterator[Settings]:
    """Airflow on a shop without scores, with its builds paused; alerts go to `receiver`."""
    settings = start_home("sample", alert_urls=receiver.url, due_hours=DUE_HOURS, **SMALL_SHOP)
    done = command(settings, "start")
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-3000:]
    wait_until(lambda: knows(settings, "build_warehouse") and knows(settings, "land"))
    pause(settings, "build_warehouse")
    yield settings
    command(settings, "down")


@pytest.fixture
def posts(home: Settings, receiver: SimpleNamespace) -> list[tuple[str, dict[str, Any]]]:
    """Posts since the test began."""
    receiver.posts.clear()
    return receiver.posts


def knows(settings: Settings, dag_id: str) -> bool:
    return dag_id in {dag["dag_id"] for dag in Api(settings).get("/dags")["dags"]}


def pause(settings: Settings, dag_id: str, is_paused: bool = True) -> None:
    Api(settings).request("PATCH", f"/dags/{dag_id}", json={"is_paused": is_paused})


def start_landing(settings: Settings) -> str:
    body = {
        "logical_date": None,
        "partition_key": str(AS_OF),
        "conf": {"files": str(settings.home / "sample_shop")},
    }
    return Api(settings).post("/dags/land/dagRuns", body)["dag_run_id"]


def state(settings: Settings, run_id: str) -> str:
    return Api(settings).get(f"/dags/land/dagRuns/{run_id}")["state"]


def titles(posts: list[tuple[str, dict[str, Any]]], about: str) -> list[str]:
    return [post["title"] for _, post in posts if about in post["title"]]


def tasks_at_work(settings: Settings) -> list[psutil.Process]:
    """Processes in which a task runs; each one's parent supervises it."""
    processes = []
    for process in airflow.processes_of(settings):
        with suppress(psutil.NoSuchProcess):
            if TASK_PROCESS.search(" ".join(process.cmdline())):
                processes.append(process)
    return processes


def test_a_task_that_is_killed_for_good_is_reported_once(home: Settings, posts: Any) -> None:
    run_id, kills = start_landing(home), 0

    def is_over() -> bool:
        nonlocal kills
        for process in tasks_at_work(home):
            with suppress(psutil.NoSuchProcess):
                process.kill()
                kills += 1
        return state(home, run_id) == "failed"

    wait_until(is_over, 900)  # three more tries, minutes apart
    wait_until(lambda: titles(posts, "failed"), 60)
    time.sleep(10)
    [title] = titles(posts, "failed")
    assert title == f"Perennial critical: land.land_files failed for {AS_OF} (data-platform)"
    message = next(post["message"] for _, post in posts if post["title"] == title)
    assert message.startswith("the process ended without a word")
    path = f"/dags/land/dagRuns/{run_id}/clear"
    Api(home).post(path, {"dry_run": False, "only_failed": True})
    wait_until(lambda: state(home, run_id) == "success")
    wait_until(lambda: len(titles(posts, "failed")) > 1, 60)
    assert titles(posts, "failed")[1:] == [
        "Perennial recovered: land.land_files failed (data-platform)"
    ]
    ledger.record(
        "on call",
        "a task's process killed (SIGKILL) at each try",
        "one alert after the last try, one when it had succeeded",
        kills=kills,
        lost=0,
    )


def test_a_paused_dag_is_named_by_the_watchdog_once(home: Settings, posts: Any) -> None:
    time.sleep(DUE_HOURS * 3600)  # the landed date is due now, and its build is paused
    for _ in range(2):
        done = command(home, "watch", "--alert")
        assert done.returncode == 1, done.stdout + done.stderr
    assert "critical: reporting.churn: UndefinedTable" in done.stdout
    assert "likely: paused in Airflow: build_warehouse" in done.stdout
    messages = [post["message"] for _, post in posts if "A view can't be read" in post["title"]]
    assert len(messages) == 1
    assert "Likely cause: paused in Airflow: build_warehouse" in messages[0]
    ledger.record(
        "on call",
        "a DAG paused, so that the date that is due was never made",
        "the watchdog names views, date and DAG; one alert for two looks",
        lost=0,
    )


def test_a_run_that_does_not_come_through_misses_its_deadline_once(
    home: Settings, posts: Any
) -> None:
    pause(home, "land")
    started = time.monotonic()
    run_id = start_landing(home)
    wait_until(lambda: titles(posts, "late"))
    seconds = time.monotonic() - started
    time.sleep(10)
    [title] = titles(posts, "late")
    assert title == f"Perennial warning: land is late for {AS_OF} (data-platform)"
    assert seconds >= DUE_HOURS * 3600 - 5
    pause(home, "land", False)
    wait_until(lambda: state(home, run_id) == "success")
    wait_until(lambda: len(titles(posts, "late")) > 1, 60)
    assert titles(posts, "late")[1:] == ["Perennial recovered: land is late (data-platform)"]
    ledger.record(
        "on call",
        f"a run that waits longer than its deadline of {DUE_HOURS * 3600:.0f} s",
        f"one alert after {seconds:.0f} s, one when it was through",
        lost=0,
    )


def test_a_killed_worker_is_reported_by_the_deadline(home: Settings, posts: Any) -> None:
    run_id = start_landing(home)
    wait_until(lambda: tasks_at_work(home))
    for process in tasks_at_work(home):
        watched_by = process.parent()
        assert watched_by is not None
        watched_by.kill()
        process.kill()
    wait_until(lambda: titles(posts, "late"))
    time.sleep(10)
    assert titles(posts, "") == [f"Perennial warning: land is late for {AS_OF} (data-platform)"]
    assert state(home, run_id) == "running"  # Airflow has not noticed
    ledger.record(
        "on call",
        "a worker and its task killed (SIGKILL): Airflow shows the task as running",
        "one alert, by the run's deadline",
        kills=2,
        lost=0,
    )
