"""Two equal steps at once: one wins, the other waits, and the rows are those of a single one."""

from __future__ import annotations

import pytest

from benchmarks.steps import DAILY, Task
from ml_tasks.models import registry
from perennial.bootstrap import ROLES
from perennial.settings import Settings
from perennial.warehouse import connect
from tests.conftest import StartHome
from tests.faults import chain, ledger, twins, work
from tests.faults.homes import empty_home, start_apart
from tests.faults.work import Work

DAY, NEXT_DAY = chain.DAYS[1:3]
ROUNDS = 5


def test_three_first_starts_of_one_home_at_once_make_one_database() -> None:
    with empty_home() as settings:
        starts = [start_apart(settings) for _ in range(3)]
        outputs = [start.communicate(timeout=180)[0] for start in starts]
        assert [start.returncode for start in starts] == [0, 0, 0], outputs
        for role in ROLES:  # the server accepts the passwords in the home
            if role not in ("airflow", "mlflow"):
                connect(settings, role).close()
    ledger.record(
        "two at once",
        "three first starts of one empty home at the same moment",
        "one made the database, the others waited for it; every role can log in",
        starts=3,
        lost=0,
    )


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> str:
    return chain.write_files(chain.shop(), tmp_path_factory.mktemp("shop") / "files", DAY)


def built(settings: Settings, files: str) -> Task:
    """The home with features of DAY and no trained model."""
    registry.initialise(settings)
    task = Task(settings, DAY, files)
    for step in ("land", "gate raw", "dbt", "close build", "gate features"):
        work.run(step, task, settings.home / "logs" / "steps.log")
    return task


def at_once(step: str, *tasks: Task) -> None:
    """Run the step for each task at the same time; all must succeed."""
    logs = [task.settings.home / "logs" / f"{number}.log" for number, task in enumerate(tasks)]
    works = [Work(step, task, log) for task, log in zip(tasks, logs, strict=True)]
    for one in works:
        one.finish()


@pytest.mark.whole
def test_the_same_date_twice_at_once_is_the_date_once(start_home: StartHome, files: str) -> None:
    homes = start_home("canonical"), start_home("canonical")
    twins.share_key(*homes)
    alone, both = (built(home, files) for home in homes)
    at_once("land", both, both)  # known files: neither lands anything
    steps = [step for step in DAILY if step.startswith(("train ", "publish "))]
    for step in steps:
        work.run(step, alone, alone.settings.home / "logs" / "steps.log")
        for _ in range(ROUNDS):
            at_once(step, both, both)
    differences = twins.differences(both.settings, alone.settings)
    assert not differences, "\n".join(differences)
    races = len(steps) * ROUNDS + 1
    ledger.record(
        "two at once",
        f"each question trained and scored twice at the same time, {ROUNDS} rounds",
        "the second waits for the first: one model, one publication in force, all rows those of "
        "a home where each ran once",
        races=races,
        lost=len(differences),
    )


@pytest.mark.whole
def test_files_landed_twice_at_once_land_once(start_home: StartHome, files: str) -> None:
    settings = start_home("canonical")
    tasks = [Task(settings, DAY, files)] * 4
    at_once("land", *tasks)
    at_once("gate raw", *tasks)
    with connect(settings, "transformer") as connection:
        doubled = connection.execute(
            "select count(*) from (select from ops.landed_files"
            " group by file_name, content_sha256 having count(*) > 1) as doubled"
        ).fetchone()
        statuses = connection.execute("select distinct status from ops.landed_files").fetchall()
    assert doubled == (0,)
    assert statuses == [("accepted",)]
    ledger.record(
        "two at once",
        "the same files landed, and checked, by four tasks at the same time",
        "each file landed once and was accepted",
        races=2,
        lost=doubled[0],
    )
