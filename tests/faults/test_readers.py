"""Readers during writes: no error, no empty or mixed answer, and no wait for an idle reader."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from benchmarks.steps import QUESTIONS, Task
from ml_tasks.engine.cleanup import clean_superseded
from ml_tasks.models import registry
from perennial.bootstrap import SUPERUSER
from perennial.settings import REPOSITORY, Settings
from tests.conftest import StartHome
from tests.faults import chain, ledger, readers, work

pytestmark = pytest.mark.whole  # in `make test`, tests/integration covers the locks and the switch

DAY, NEXT_DAY = chain.DAYS[:2]
LONGEST_BLOCK_SECONDS = 0.3  # longest wait for a lock that a reader holds or waits for


class Blocked:
    """Records, each 20 ms, which sessions wait for a lock because of a reader, or as one."""

    def __init__(self, settings: Settings) -> None:
        self.longest_seconds, self.whom = 0.0, ""
        self.looks = 0
        self._settings, self._ended = settings, threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        query = """
            select extract(epoch from clock_timestamp() - waitstart)::float, waits.query
            from pg_locks
            join pg_stat_activity as waits using (pid)
            cross join unnest(pg_blocking_pids(pid)) as blocker (blocking_pid)
            join pg_stat_activity as blocks on blocks.pid = blocking_pid
            where not granted and 'bi_reader' in (waits.usename, blocks.usename)
            order by waitstart
            limit 1
        """
        with psycopg.connect(self._settings.dsn(SUPERUSER), autocommit=True) as connection:
            while not self._ended.wait(readers.POLL_SECONDS):
                self.looks += 1
                for seconds, waiting in connection.execute(query).fetchall():
                    if seconds is not None and seconds > self.longest_seconds:
                        self.longest_seconds, self.whom = seconds, waiting[:200]


@contextmanager
def idle_reader(settings: Settings) -> Iterator[Callable[[], list[tuple]]]:
    """A repeatable-read transaction that has read every view; reads again on request."""
    with psycopg.connect(settings.dsn("bi_reader")) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ

        def ask() -> list[tuple]:
            return [tuple(connection.execute(query)) for query in readers.queries().values()]

        ask()
        yield ask


def changed_code(folder: Path) -> Path:
    """A copy of the code with one more column in the churn scores and their view."""
    copy = folder / "changed"
    folders = ("perennial", "dbt_project", "ingest", "local", "ml_tasks", "oncall", "expectations")
    for name in folders:
        shutil.copytree(
            REPOSITORY / name, copy / name, ignore=shutil.ignore_patterns("__pycache__", "target")
        )
    contract = copy / "dbt_project" / "models" / "scores" / "churn.yml"
    text = contract.read_text()
    next_table = "      - name: churn_reasons\n"
    assert next_table in text, "the contract's form has changed: mend this test"
    added = (
        "          - name: added_later\n"
        "            data_type: text\n            description: New.\n"
    )
    contract.write_text(text.replace(next_table, added + next_table, 1))
    return copy


def in_other_code(code: Path, settings: Settings, program: str) -> None:
    """Run a Python program with a copy of the repository's code."""
    fields = {"home": settings.home, "source": settings.source, "pg_port": settings.pg_port}
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=code,
        env={
            "PATH": "/usr/bin:/bin",
            "PYTHONPATH": str(code),
            **{f"PERENNIAL_{name.upper()}": str(value) for name, value in fields.items()},
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


BOOTSTRAP = """
from perennial.bootstrap import bootstrap
from perennial.settings import Settings
bootstrap(Settings())
"""
BUILD_VIEWS = f"""
from datetime import date
from perennial.dbt import dbt
from perennial.settings import Settings
dbt(Settings(), date.fromisoformat("{DAY}"), "run", "--select", "reporting")
"""


class Writers:
    """Everything that writes to what readers read."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self.settings, self.folder = settings, folder
        self.shop = chain.shop()
        self.log = settings.home / "logs" / "steps.log"
        self.publications = readers.Publications(settings)
        self.steps = 0

    def step(self, name: str, task: Task) -> None:
        work.run(name, task, self.log)
        self.publications.note()
        self.steps += 1

    def task(self, day: object) -> Task:
        return Task(self.settings, day, chain.write_files(self.shop, self.folder / "files", day))

    def whole_day(self, day: object) -> Task:
        task = self.task(day)
        for name in ("land", "gate raw", "dbt", "close build", "gate features"):
            self.step(name, task)
        for question in QUESTIONS:
            self.step(f"publish {question}", task)
        return task

    def clean(self) -> None:
        clean_superseded(self.settings, timedelta(0))
        self.steps += 1


@pytest.fixture(scope="module")
def writers(start_home: StartHome, tmp_path_factory: pytest.TempPathFactory) -> Writers:
    """A home with its first date published."""
    settings = start_home("canonical")
    registry.initialise(settings)
    writers = Writers(settings, tmp_path_factory.mktemp("shop"))
    writers.whole_day(DAY)
    return writers


def test_readers_see_whole_dates_whatever_is_written(writers: Writers, tmp_path: Path) -> None:
    settings = writers.settings
    blocked = Blocked(settings)
    with (
        idle_reader(settings) as ask_again,
        readers.reading(settings) as stop,
    ):
        before = ask_again()
        task = writers.whole_day(NEXT_DAY)
        for question in QUESTIONS:
            writers.step(f"publish {question}", task)  # the date again
        writers.clean()
        writers.step("dbt full refresh", task)
        in_other_code(REPOSITORY, settings, BOOTSTRAP)  # a start of the same version
        assert ask_again() == before, "a transaction's answers changed under it"
        seen = stop()
    blocked.stop()
    wrong = readers.wrong_answers(seen, writers.publications)
    assert not wrong, wrong[:3]
    assert not seen.errors, seen.errors[:3]
    assert blocked.longest_seconds < LONGEST_BLOCK_SECONDS, blocked.whom
    interval = seen.seconds / seen.rounds
    ledger.record(
        "readers while writing",
        f"every view polled each {interval * 1000:.0f} ms through {writers.steps} steps: landing, "
        "build, publication, the same date again, clean-up, full rebuild, a start; another reader "
        "idle in a repeatable-read transaction that had read every view",
        f"no error, no empty or mixed answer; the slowest took {seen.longest_seconds:.2f} s; "
        f"nobody waited for a reader in {blocked.looks:,} looks at the locks "
        f"(longest {blocked.longest_seconds:.2f} s); the idle one's answers stayed what they were",
        polls=seen.polls,
        lost=len(wrong) + len(seen.errors),
    )


def test_a_schema_change_makes_no_reader_wait(writers: Writers, tmp_path: Path) -> None:
    settings = writers.settings
    code = changed_code(tmp_path)
    blocked = Blocked(settings)
    with readers.reading(settings) as stop:
        with psycopg.connect(settings.dsn("bi_reader")) as idle:
            idle.execute("select count(*) from churn")
            # the change waits for the idle reader, with no reader waiting behind it; then it ends
            threading.Timer(5, idle.rollback).start()
            in_other_code(code, settings, BOOTSTRAP)
        in_other_code(code, settings, BUILD_VIEWS)
        seen = stop()
    blocked.stop()
    wrong = readers.wrong_answers(seen, writers.publications)
    assert not wrong, wrong[:3]
    assert not seen.errors, seen.errors[:3]
    assert blocked.longest_seconds < LONGEST_BLOCK_SECONDS, blocked.whom
    with psycopg.connect(settings.dsn("bi_reader")) as connection:
        columns = connection.execute("select * from churn limit 0").description
    assert "added_later" in [column.name for column in columns or ()]
    ledger.record(
        "readers while writing",
        "a score contract gets a column while every view is polled and a reader sits in a "
        "transaction on the table for 5 s",
        f"the change waits for the one that sits there, a moment at a time; nobody waited for a "
        f"lock for longer than {blocked.longest_seconds:.2f} s; no error; the view has the column",
        polls=seen.polls,
        lost=len(wrong) + len(seen.errors),
    )
