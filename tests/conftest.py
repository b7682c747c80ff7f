"""Fixtures for more than one folder of tests: homes with a real Postgres.

A test marked `whole` runs in `make test-faults` only, whatever its folder. Its outcome goes to the
ledger; results.md names tests that failed or were skipped.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from local import postgres
from local.home import free_ports
from perennial.bootstrap import SUPERUSER
from perennial.settings import Settings
from tests.faults import ledger
from tests.receivers import mailbox, webhook  # noqa: F401  # fixtures
from tests.seconds import by_folder, table

REAL_DATA = Path(__file__).resolve().parent.parent.parent / "shared" / "data"

StartHome = Callable[..., Settings]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "whole: too long for `make test`; only `make test-faults`")
    config.addinivalue_line("markers", "slow: of the tests without services; not in `make check`")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if ledger.is_whole():
        return
    for item in items:
        if item.get_closest_marker("whole"):
            item.add_marker(pytest.mark.skip(reason="only in `make test-faults`"))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    # called where the test ran and, with xdist, again in the process that collects reports
    if hasattr(report, "node") or (report.when != "call" and report.passed):
        return
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longreprtext
    ledger.write(
        part=ledger.part_of(report.nodeid),
        kind="outcome",
        test=report.nodeid.split("::", 1)[1],
        outcome=report.outcome,
        seconds=round(report.duration, 1),
        why="" if report.passed else reason.strip().splitlines()[-1] if reason.strip() else "",
    )


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = [
        report
        for of_one_outcome in terminalreporter.stats.values()
        for report in of_one_outcome
        if isinstance(report, pytest.TestReport)
    ]
    rows = by_folder(reports)
    if len(rows) > 1:
        terminalreporter.section("seconds by folder, processes added up")
        for line in table(rows):
            terminalreporter.write_line(line)


@pytest.fixture(scope="module")
def start_home() -> Iterator[StartHome]:
    """Start a fresh home of a source with Postgres; its homes are removed after each test file."""
    started: list[Settings] = []

    def start(source: str, **fields: object) -> Settings:
        folder = Path(tempfile.mkdtemp(prefix="perennial-test-"))
        settings = Settings(
            home=folder,
            source=source,
            **free_ports(),
            **fields,
        )
        started.append(settings)
        postgres.start(settings)
        _needs_not_outlive_the_machine(settings)
        return settings

    yield start
    with ThreadPoolExecutor() as pool:  # a server takes a moment to end
        list(pool.map(_end, started))


def _needs_not_outlive_the_machine(settings: Settings) -> None:
    """Turn off fsync: a killed server loses nothing without it."""
    with psycopg.connect(settings.dsn(SUPERUSER), autocommit=True) as connection:
        connection.execute("alter system set fsync = off")
        connection.execute("select pg_reload_conf()")


def _end(settings: Settings) -> None:
    postgres.stop(settings)
    postgres.remove(settings)
    shutil.rmtree(settings.home)


@pytest.fixture(scope="module")
def online_retail_home(start_home: StartHome) -> Settings:
    """A home of the flat invoice lines, shared by the tests of a file."""
    return start_home("online_retail")


@pytest.fixture(scope="module")
def canonical_home(start_home: StartHome) -> Settings:
    """A home of the canonical form, shared by the tests of a file."""
    return start_home("canonical")


@pytest.fixture(scope="session")
def online_retail_file() -> Path:
    """The real shop's file; tests that use it are skipped where it is absent."""
    path = REAL_DATA / "online_retail_ii" / "online_retail_II.csv.gz"
    if not path.exists():
        pytest.skip(f"the real shop's file is not there: {path.name}")
    return path
