"""The database fails in the middle of each step: the step says so, and a rerun gives equal rows."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import psycopg
import pytest

from benchmarks.steps import DAILY, Task
from local import postgres, programs
from perennial.bootstrap import SUPERUSER
from perennial.settings import Settings
from tests.commands import wait_until
from tests.conftest import StartHome
from tests.faults import chain, ledger, twins
from tests.faults.homes import ProxiedHome, empty_home, start_apart, twin_homes

# A failing step must report the lost database, not an error of the data.
SAYS_WHY = (
    "server closed the connection",
    "terminating connection",
    "connection is closed",
    "connection refused",
    "connection failed",
    "the connection is lost",
    "consuming input failed",
    "ssl syscall error",
    "recovery mode",
    "starting up",
    "shutting down",
    "administrator command",
    "canceling statement",
)


def postmaster(settings: Settings) -> int:
    return int((postgres.data_folder(settings) / "postmaster.pid").read_text().split()[0])


def kill_postmaster(settings: Settings) -> None:
    os.kill(postmaster(settings), signal.SIGKILL)


def restart_at_once(settings: Settings) -> None:
    postgres._pg_ctl(settings, "restart", "-m", "immediate")


def cut_connections(settings: Settings) -> None:
    with psycopg.connect(settings.dsn(SUPERUSER), autocommit=True) as connection:
        connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where backend_type = 'client backend' and pid <> pg_backend_pid()"
            " and usename <> 'bi_reader'"
        )


def let_statements_time_out(settings: Settings) -> None:
    """Cancel the running statements, as statement_timeout does."""
    with psycopg.connect(settings.dsn(SUPERUSER), autocommit=True) as connection:
        deadline = time.monotonic() + 5
        found = None
        while not (found and found[0]) and time.monotonic() < deadline:
            found = connection.execute(
                "select count(pg_cancel_backend(pid)) from pg_stat_activity"
                " where state = 'active' and pid <> pg_backend_pid()"
                " and usename in ('loader', 'transformer', 'scorer', 'mlflow')"
            ).fetchone()


FAULTS: dict[str, Callable[[Settings], None]] = {
    "postmaster killed": kill_postmaster,
    "restarted (-m immediate)": restart_at_once,
    "connections cut": cut_connections,
    "statements cancelled": let_statements_time_out,
}


@pytest.fixture(scope="module")
def homes(start_home: StartHome) -> Iterator[tuple[ProxiedHome, ProxiedHome]]:
    yield from twin_homes(start_home)


def break_it(home: ProxiedHome, step: str, task: Task, fault: str, at: int) -> str | None:
    """Start a step and break the database at its n-th message.

    Returns:
        The step's last output; "" if it succeeded all the same; None if it ended before.
    """
    is_struck = []

    def strike() -> None:
        is_struck.append(fault)

    home.proxy.expect(at, strike, is_sent_first=True)
    home.log.unlink(missing_ok=True)
    work = home.start(step, task)
    while not is_struck and work.wait(0.002) is None:
        pass
    if not is_struck:
        return None
    FAULTS[fault](home.settings)
    code = work.wait(120)
    postgres.start(home.settings)  # as `make run` does
    assert code is not None, f"{step} still hangs two minutes after: {fault}"
    assert code in (0, 1), code
    return home.log.read_text() if code else ""


@pytest.mark.whole
def test_each_step_survives_each_way_in_which_the_database_goes(
    homes: tuple[ProxiedHome, ProxiedHome], tmp_path: Path
) -> None:
    home, twin = homes
    numbers = ledger.draw("database")
    files = chain.write_files(chain.shop(), tmp_path / "files", chain.DAYS[0])
    done: Counter[str] = Counter()
    failed, unclear = 0, []
    for step in DAILY:
        twin.run(step, Task(twin.settings, chain.DAYS[0], files))
        for fault in FAULTS:
            at = numbers.randint(1, twin.messages[step])
            output = break_it(home, step, Task(home.settings, chain.DAYS[0], files), fault, at)
            done[fault] += output is not None
            failed += bool(output)
            if output and not any(why in output.lower() for why in SAYS_WHY):
                unclear.append(f"{step}, {fault}: {output[-1500:]}")
        home.run(step, Task(home.settings, chain.DAYS[0], files))
    assert not unclear, "\n\n".join(unclear)
    found = twins.differences(home.settings, twin.settings)
    assert not found, "\n".join(found)
    pages = sound_pages(home.settings)
    ledger.record(
        "the database goes",
        ", ".join(f"{fault} {count}" for fault, count in done.items())
        + f", each at a random statement of {len(DAILY)} steps",
        f"{failed} steps failed and said why, the others ended well; run again, all "
        f"{twins.row_count(home.settings):,} rows equal those of an undisturbed twin; {pages}",
        injections=sum(done.values()),
        lost=len(found),
    )


def sound_pages(settings: Settings) -> str:
    """Stop the server and compare every page with its checksum (the wheel has no amcheck)."""
    postgres.stop(settings)
    checked = subprocess.run(
        [programs.binary("pg_checksums"), "--check", "-D", postgres.data_folder(settings)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    output = dict(line.split(":", 1) for line in checked.stdout.splitlines() if ":" in line)
    postgres.start(settings)
    count, bad = (output[name].strip() for name in ("Blocks scanned", "Bad checksums"))
    return f"pg_checksums: {count} blocks, {bad} bad"


def test_a_server_killed_under_a_busy_statement_starts_again(start_home: StartHome) -> None:
    """The backend does not notice the kill, and no second server may start beside it."""
    settings = start_home("canonical")
    with psycopg.connect(settings.dsn(SUPERUSER), autocommit=True) as connection:
        busy = threading.Thread(target=count_for_ever, args=(settings,), daemon=True)
        busy.start()
        at_work = (
            "select count(*) from pg_stat_activity where state = 'active'"
            " and query like 'select count%generate%' and pid <> pg_backend_pid()"
        )
        wait_until(lambda: connection.execute(at_work).fetchone() == (1,), 30)
    kill_postmaster(settings)
    postgres.start(settings)
    with psycopg.connect(settings.dsn("bi_reader")) as connection:
        connection.execute("select 1")
    busy.join(10)
    assert not busy.is_alive()
    ledger.record(
        "the database goes",
        "the postmaster killed under a backend that is busy and does not notice",
        "the next start ends that backend and comes up",
        kills=1,
        lost=0,
    )


def test_a_server_that_ends_while_it_is_started_starts_again(start_home: StartHome) -> None:
    """A killed server still runs for a moment after the kill."""
    settings = start_home("canonical")
    os.kill(postmaster(settings), signal.SIGSTOP)  # alive, but without answers
    kill = threading.Timer(1, kill_postmaster, (settings,))
    kill.start()
    postgres.start(settings)
    kill.join()
    with psycopg.connect(settings.dsn("bi_reader")) as connection:
        connection.execute("select 1")
    ledger.record(
        "the database goes",
        "the postmaster killed while a start waits for it to answer",
        "the start that waited starts it again",
        kills=1,
        lost=0,
    )


def count_for_ever(settings: Settings) -> None:
    with suppress(psycopg.OperationalError), psycopg.connect(settings.dsn(SUPERUSER)) as connection:
        # no table, which would be written to disk
        connection.execute("select count(*) from (select generate_series(1, 1000000000000)) as n")


def test_a_first_start_that_is_killed_starts_again() -> None:
    kills = 0
    numbers: random.Random = ledger.draw("first start")
    for _ in range(ledger.size(1, 8)):
        with empty_home() as settings:
            start = start_apart(settings)
            time.sleep(numbers.uniform(0.3, 4))
            is_killed = start.poll() is None
            with suppress(ProcessLookupError):
                os.killpg(start.pid, signal.SIGKILL)
            start.wait()
            kill_initdb(settings)
            kills += is_killed
            postgres.start(settings)
            with psycopg.connect(settings.dsn("bi_reader")) as connection:
                connection.execute("select 1")
    ledger.record(
        "the database goes",
        "the first start of a home killed at random moments, initdb with it",
        "the next start makes the database; every time",
        kills=kills,
        lost=0,
    )


def kill_initdb(settings: Settings) -> None:
    """Kill initdb and its children by their folder; they run in a session of their own."""
    for process in psutil.process_iter(["cmdline"]):
        if str(settings.home) in " ".join(process.info["cmdline"] or []):
            with suppress(psutil.NoSuchProcess):
                process.kill()
