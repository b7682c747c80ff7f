"""The container set with two workers: one is killed, the set is stopped and started again.

Run by `make test-containers`, which builds the image first. The tests run in order.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd
import psycopg
import pytest

from ingest.sample_shop import make_files
from local.home import free_ports
from local.run import score
from oncall.airflow_api import Api
from perennial.bootstrap import SUPERUSER
from perennial.settings import REPOSITORY, Settings
from perennial.warehouse import connect
from tests.commands import wait_until
from tests.conftest import StartHome
from tests.containers.the_set import WORKERS, Container, TheSet
from tests.steps import build, land_files, rows, score_relations
from tests.steps import score as score_all

pytestmark = pytest.mark.skipif("COMPOSE" not in os.environ, reason="run by make test-containers")

AS_OF = date(2024, 2, 10)
SHOP = {"sample_customers": 600, "sample_days": 404}  # the day before is its last
LAST_TABLES = ("reporting.customer_360", "reporting.churn_history", "reporting.demand_history")
OLDER_AIRFLOW = "3.2.0"
STARTED_SECONDS = 420


@pytest.fixture(scope="module")
def expected(start_home: StartHome) -> dict[str, pd.DataFrame]:
    """The rows that the same code computes on one machine, without containers and Airflow."""
    home = start_home("sample", **SHOP)
    files = home.home / "sample_shop"
    make_files(home, files)
    land_files(home, AS_OF, files)
    build(home, AS_OF)
    score_all(home, AS_OF)
    return {
        relation: rows(home, relation, AS_OF) for relation in (*score_relations(), *LAST_TABLES)
    }


@pytest.fixture(scope="module")
def the_set(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TheSet]:
    home = tmp_path_factory.mktemp("set")
    ports = free_ports()
    settings = Settings(
        home=home, secrets=home / "secrets", files="/srv/files/sample_shop", **ports
    )
    given = {**ports, **SHOP, "workers": WORKERS, "secrets": settings.secrets_dir}
    variables = {f"PERENNIAL_{name.upper()}": str(value) for name, value in given.items()}
    one = TheSet(f"perennial-test-{os.getpid()}", settings, variables)
    one.engine("image", "inspect", os.environ.get("PERENNIAL_IMAGE", "localhost/perennial:latest"))
    assert not one.left()
    subprocess.run([REPOSITORY / "docker" / "secrets.sh", settings.secrets_dir], check=True)
    if kernels := os.environ.get("OPENBLAS_CORETYPE"):  # both sides compute to the same last digit
        (settings.secrets_dir / "settings.env").write_text(f"OPENBLAS_CORETYPE={kernels}\n")
    began = time.monotonic()
    try:
        one.up()
        _wait_until_well(one)
        print(f"\nthe set is up after {time.monotonic() - began:.0f} s")
        yield one
    finally:
        one.down(with_volumes=True)
        assert not one.left()
        shutil.rmtree(home)


def test_every_role_is_there_and_well(the_set: TheSet) -> None:
    services = [container.service for container in the_set.containers()]
    assert sorted(services) == sorted(
        [
            *("postgres", "redis", "reader-limit", "mlflow", *["worker"] * WORKERS),
            *("api-server", "scheduler", "dag-processor", "triggerer"),
        ]
    )


def test_a_container_is_no_root_and_writes_nowhere_but_to_its_own(the_set: TheSet) -> None:
    for container in the_set.containers():
        assert the_set.engine("exec", container.id, "id", "-u").strip() == "10001"
        for folder in ("/", "/app", "/opt/venv", "/usr"):
            tried = the_set.engine("exec", container.id, "touch", f"{folder}/x", check=False)
            assert "Read-only file system" in tried, container.service


def test_no_password_can_be_read_from_outside_a_container(the_set: TheSet) -> None:
    passwords = [path.read_text().strip() for path in _passwords(the_set.settings)]
    assert len(passwords) > 15
    seen = {one.service: str(one.inspected) for one in the_set.containers()}
    seen["processes"] = "".join(
        the_set.engine("exec", one.id, "sh", "-c", "cat /proc/[0-9]*/cmdline", check=False)
        for one in the_set.containers()
    )
    image = os.environ.get("PERENNIAL_IMAGE", "localhost/perennial:latest")
    assert "docker/start.py" in seen["processes"]
    seen["image"] = the_set.engine("history", "--no-trunc", image)
    found = {name for name, text in seen.items() for one in passwords if one in text}
    assert not found


def test_ports_are_open_to_this_machine_only(the_set: TheSet) -> None:
    bound = [
        binding
        for one in the_set.containers()
        for bindings in (one.inspected["NetworkSettings"]["Ports"] or {}).values()
        for binding in bindings or []
    ]
    own = the_set.settings
    assert {binding["HostIp"] for binding in bound} == {"127.0.0.1"}
    assert {int(binding["HostPort"]) for binding in bound} == {
        *(own.pg_port, own.airflow_port, own.mlflow_port)
    }


@pytest.fixture(scope="module")
def killed(the_set: TheSet) -> dict[str, Any]:
    """The task that ran on the killed worker; the date is published all the same."""
    with ThreadPoolExecutor() as pool:
        run = pool.submit(score, the_set.settings, [AS_OF], dict, is_forced=True)
        task, worker = _training_at_work(the_set, run)
        the_set.engine("kill", "--signal", "KILL", worker.id)
        print(f"killed {worker.id[:12]} in {task['dag_id']}.{task['task_id']}")
        assert run.result(timeout=900) == 0
    assert len(the_set.containers("worker")) == WORKERS - 1
    return task


def test_a_killed_worker_s_task_is_done_by_another(the_set: TheSet, killed: dict[str, Any]) -> None:
    path = (
        f"/dags/{killed['dag_id']}/dagRuns/{killed['dag_run_id']}/taskInstances/{killed['task_id']}"
    )
    now = Api(the_set.settings).get(path)
    (left,) = the_set.containers("worker")
    assert now["state"] == "success"
    assert now["try_number"] == 2
    assert left.is_at(now["hostname"])
    assert not left.is_at(killed["hostname"])


def test_a_worker_s_log_is_read_where_all_logs_are(the_set: TheSet, killed: dict[str, Any]) -> None:
    path = f"/dags/{killed['dag_id']}/dagRuns/{killed['dag_run_id']}/taskInstances"
    output = str(Api(the_set.settings).get(f"{path}/{killed['task_id']}/logs/2", full_content=True))
    assert "Task finished" in output or "Done. Returned value" in output, output[:2000]


def test_rows_are_those_of_one_machine(
    the_set: TheSet, killed: dict[str, Any], expected: dict[str, pd.DataFrame]
) -> None:
    _require_equal(the_set, expected)


def test_the_next_start_migrates_what_is_older_and_keeps_the_rows(
    the_set: TheSet, killed: dict[str, Any], expected: dict[str, pd.DataFrame]
) -> None:
    head = _airflow_revision(the_set)
    the_set.down()
    assert not the_set.containers()
    the_set.compose("up", "-d", "--no-deps", "postgres")
    wait_until(lambda: _answers(the_set.settings), 120)
    the_set.tool("python", "-m", "airflow", "db", "downgrade", "-n", OLDER_AIRFLOW, "--yes")
    with connect(the_set.settings, "perennial") as connection:
        connection.execute("alter table ops.landed_files drop column column_names")
    with psycopg.connect(the_set.settings.dsn(SUPERUSER, "postgres")) as connection:
        connection.execute("comment on database airflow is 'made by older code'")
    assert _airflow_revision(the_set) != head
    the_set.up()
    _wait_until_well(the_set)
    assert _airflow_revision(the_set) == head
    with connect(the_set.settings, "perennial") as connection:
        connection.execute("select column_names from ops.landed_files limit 0")
    _require_equal(the_set, expected)
    output = the_set.tool("run", str(AS_OF))
    assert "the work is done already" in output


def _require_equal(the_set: TheSet, expected: dict[str, pd.DataFrame]) -> None:
    for relation, known in expected.items():
        found = rows(the_set.settings, relation, AS_OF)
        assert len(known), relation
        pd.testing.assert_frame_equal(found, known, obj=relation)


def _training_at_work(the_set: TheSet, run: Future[int]) -> tuple[dict[str, Any], Container]:
    """A training that has run for some seconds, and its worker."""
    api = Api(the_set.settings)
    seen: dict[str, float] = {}
    while not run.done():
        found = api.get("/dags/~/dagRuns/~/taskInstances", state="running", limit=100)
        for task in found["task_instances"]:
            since = seen.setdefault(task["id"], time.monotonic())
            if task["task_id"] == "train" and task["hostname"] and time.monotonic() - since > 3:
                workers = the_set.containers("worker")
                (worker,) = (one for one in workers if one.is_at(task["hostname"]))
                return task, worker
        time.sleep(0.5)
    raise AssertionError(f"no training was seen at work; the run ended with {run.result()}")


def _wait_until_well(the_set: TheSet) -> None:
    """Wait until every container's health check passes."""
    unwell = {container.id: container for container in the_set.containers()}
    deadline = time.monotonic() + STARTED_SECONDS
    while unwell:
        unwell = {one.id: one for one in unwell.values() if not the_set.is_well(one)}
        if time.monotonic() > deadline:
            logs = [the_set.engine("logs", "--tail", "30", one) for one in unwell]
            pytest.fail("\n".join([str([one.service for one in unwell.values()]), *logs]))
        time.sleep(2)


def _answers(settings: Settings) -> bool:
    try:
        psycopg.connect(settings.dsn("airflow", "airflow"), connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True


def _airflow_revision(the_set: TheSet) -> str:
    with psycopg.connect(the_set.settings.dsn(SUPERUSER, "airflow")) as connection:
        (revision,) = connection.execute("select version_num from alembic_version").fetchone() or ()
    return revision


def _passwords(settings: Settings) -> list[Path]:
    return [path for path in settings.secrets_dir.iterdir() if path.name != "settings.env"]
