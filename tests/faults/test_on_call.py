"""Real Airflow, real faults: each gives one alert, and one more when it is over."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import date
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from local import airflow
from perennial.settings import REPOSITORY, Settings
from perennial.warehouse import connect
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
    """A shop that was scored once, whose alerts go to `receiver`."""
    settings = start_home("sample", alert_urls=receiver.url, due_hours=DUE_HOURS, **SMALL_SHOP)
    done = command(settings, "local", "run", "--as-of", str(AS_OF))
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-3000:]
    yield settings
    command(settings, "local", "down")


@pytest.fixture
def posts(home: Settings, receiver: SimpleNamespace) -> list[tuple[str, dict[str, Any]]]:
    """What was posted since the test began."""
    receiver.posts.clear()
    return receiver.posts


def command(settings: Settings, module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`python -m module ...` for this home, as make calls it."""
    names = "home source pg_port airflow_port mlflow_port sample_customers sample_days alert_urls"
    fields = {
        f"PERENNIAL_{name.upper()}": str(getattr(settings, name))
        for name in (*names.split(), "due_hours")
    }
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=REPOSITORY,
        env=os.environ | fields,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )


def wait_until(is_so: Callable[[], object], seconds: float = 300) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.2)


def start_run(settings: Settings, dag_id: str, day: date = AS_OF) -> str:
    body = {"logical_date": None, "partition_key": str(day)}
    return airflow.Api(settings).post(f"/dags/{dag_id}/dagRuns", body)["dag_run_id"]


def run_state(settings: Settings, dag_id: str, run_id: str) -> str:
    return airflow.Api(settings).get(f"/dags/{dag_id}/dagRuns/{run_id}")["state"]


def titles(posts: list[tuple[str, dict[str, Any]]], about: str) -> list[str]:
    return [post["title"] for _, post in posts if about in post["title"]]


def tasks_at_work(settings: Settings) -> list[psutil.Process]:
    """Processes in which a task runs; whoever watches over one is its parent."""
    found = []
    for process in airflow.processes_of(settings):
        with suppress(psutil.NoSuchProcess):
            if TASK_PROCESS.search(" ".join(process.cmdline())):
                found.append(process)
    return found


def test_a_healthy_home_has_nothing_to_say(home: Settings, receiver: SimpleNamespace) -> None:
    assert [post["title"] for _, post in receiver.posts if post["type"] == "failure"] == []
    time.sleep(DUE_HOURS * 3600)  # now it is due
    done = command(home, "perennial.watchdog")
    assert done.returncode == 0, done.stdout
    assert f"of {AS_OF}" in done.stdout


def test_a_task_whose_process_is_killed_for_good_is_told_once(home: Settings, posts: Any) -> None:
    run_id, kills = start_run(home, "score_churn"), 0

    def is_over() -> bool:
        nonlocal kills
        for process in tasks_at_work(home):
            process.kill()
            kills += 1
        return run_state(home, "score_churn", run_id) == "failed"

    wait_until(is_over)
    wait_until(lambda: titles(posts, "failed"), 60)
    time.sleep(10)
    [title] = titles(posts, "failed")
    assert title == f"Perennial critical: score_churn.train failed for {AS_OF} (data-platform)"
    told = next(post["message"] for _, post in posts if post["title"] == title)
    assert told.startswith("the process ended without a word")
    path = f"/dags/score_churn/dagRuns/{run_id}/clear"
    airflow.Api(home).post(path, {"dry_run": False, "only_failed": True})
    wait_until(lambda: run_state(home, "score_churn", run_id) == "success")
    wait_until(lambda: len(titles(posts, "failed")) > 1, 60)
    assert titles(posts, "failed")[1:] == [
        "Perennial recovered: score_churn.train failed (data-platform)"
    ]
    ledger.record(
        "on call",
        "a task's process killed (SIGKILL) at each try",
        "one alert after the last try, one when it had succeeded",
        kills=kills,
        lost=0,
    )


def test_a_run_that_does_not_come_through_misses_its_deadline_once(
    home: Settings, posts: Any
) -> None:
    api = airflow.Api(home)
    api.request("PATCH", "/dags/score_demand", json={"is_paused": True})
    run_id = start_run(home, "score_demand")
    started = time.monotonic()
    wait_until(lambda: titles(posts, "late"))
    seconds = time.monotonic() - started
    time.sleep(10)
    [title] = titles(posts, "late")
    assert title == f"Perennial warning: score_demand is late for {AS_OF} (data-platform)"
    assert seconds >= DUE_HOURS * 3600 - 5
    api.request("PATCH", "/dags/score_demand", json={"is_paused": False})
    wait_until(lambda: run_state(home, "score_demand", run_id) == "success")
    wait_until(lambda: len(titles(posts, "late")) > 1, 60)
    assert titles(posts, "late")[1:] == [
        "Perennial recovered: score_demand is late (data-platform)"
    ]
    ledger.record(
        "on call",
        f"a run that waits longer than its deadline of {DUE_HOURS * 3600:.0f} s",
        f"one alert after {seconds:.0f} s, one when it was through",
        lost=0,
    )


def test_a_paused_dag_is_named_by_the_watchdog_once(home: Settings, posts: Any) -> None:
    airflow.Api(home).request("PATCH", "/dags/score_clv", json={"is_paused": True})
    with connect(home, "perennial") as connection:  # as if the newest date had not been scored
        connection.execute(
            "delete from ops.publications where question = 'clv' and as_of_date = %s", [AS_OF]
        )
    for _ in range(2):
        done = command(home, "perennial.watchdog", "--alert")
        assert done.returncode == 1
    assert "likely: paused in Airflow: score_clv" in done.stdout
    assert len(titles(posts, "A view is stale")) == 1
    [told] = [post["message"] for _, post in posts if "A view is stale" in post["title"]]
    assert "Likely cause: paused in Airflow: score_clv" in told
    airflow.Api(home).request("PATCH", "/dags/score_clv", json={"is_paused": False})
    run_id = start_run(home, "score_clv")
    wait_until(lambda: run_state(home, "score_clv", run_id) == "success")
    assert command(home, "perennial.watchdog", "--alert").returncode == 0
    assert len(titles(posts, "recovered: A view is stale")) == 1
    ledger.record(
        "on call",
        "a DAG paused, the date that is due not published",
        "the watchdog names view, date and DAG; one alert for two looks, one when it was there",
        lost=0,
    )


def test_a_worker_that_is_killed_without_a_word_is_told_by_the_deadline(
    home: Settings, posts: Any
) -> None:
    run_id = start_run(home, "score_survival")
    wait_until(lambda: tasks_at_work(home))
    for process in tasks_at_work(home):
        watched_by = process.parent()
        assert watched_by is not None
        watched_by.kill()
        process.kill()
    wait_until(lambda: titles(posts, "late"))
    time.sleep(10)
    assert titles(posts, "") == [
        f"Perennial warning: score_survival is late for {AS_OF} (data-platform)"
    ]
    assert run_state(home, "score_survival", run_id) == "running"  # Airflow has not noticed
    ledger.record(
        "on call",
        "a worker and its task killed (SIGKILL): Airflow shows the task as running",
        "one alert, by the run's deadline",
        kills=2,
        lost=0,
    )
