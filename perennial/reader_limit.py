"""The warden enforces the limits of `bi_reader`: `python -m perennial.reader_limit`.

A role's statement_timeout or work_mem is only a default: each session may set another value, and a
role may change its own default. So a separate process checks the sessions each second. Its role has
the rights of bi_reader, and may end bi_reader's sessions and reset roles to their state at start,
nothing else. The warden starts and ends with the server. It consists of two processes, each of
which restarts the other.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from typing import Any, NoReturn

import psutil
import psycopg

from perennial.settings import Settings
from perennial.warehouse import connect

log = logging.getLogger(__name__)

READER, WARDEN = "bi_reader", "reader_limit"
STATEMENT_LIMIT = timedelta(seconds=60)
TRANSACTION_LIMIT = timedelta(hours=1)
IDLE_LIMIT = timedelta(hours=1)
GRACE = timedelta(seconds=5)  # the role's own timeout comes first: its error names the reason
# While the reader has more than this share of its connections in use, the sessions idle for longest
# are ended, if they have been idle for at least CROWDED_IDLE_LIMIT.
CROWDED_RATE = 0.75
CROWDED_IDLE_LIMIT = timedelta(minutes=1)
LOOK_SECONDS = 1.0
RECONNECT_SECONDS = 60.0


def end_overdue(
    connection: psycopg.Connection[Any],
    statement_limit: timedelta = STATEMENT_LIMIT + GRACE,
    transaction_limit: timedelta = TRANSACTION_LIMIT + GRACE,
    idle_limit: timedelta = IDLE_LIMIT + GRACE,
) -> int:
    """End the reader's sessions with a statement, transaction or idle time over its limit.

    Sessions are ended, not cancelled: a statement can catch its cancellation and go on.

    Returns:
        Number of ended sessions.
    """
    (ended,) = connection.execute(
        "select count(pg_terminate_backend(pid)) from pg_stat_activity"
        " where usename = %(reader)s and ("
        " (state not like 'idle%%' and clock_timestamp() - query_start > %(statement)s)"
        " or clock_timestamp() - xact_start > %(transaction)s"
        " or (state = 'idle' and clock_timestamp() - state_change > %(idle)s))",
        {
            "reader": READER,
            "statement": statement_limit,
            "transaction": transaction_limit,
            "idle": idle_limit,
        },
    ).fetchone() or (0,)
    return ended


def make_room(
    connection: psycopg.Connection[Any], idle_limit: timedelta = CROWDED_IDLE_LIMIT
) -> int:
    """End idle sessions of the reader, longest idle first, while few connections are left to it.

    Returns:
        Number of ended sessions.
    """
    (ended,) = connection.execute(
        "with sessions as ("
        "  select pid, state, state_change, count(*) over () as taken from pg_stat_activity"
        "  where usename = %(reader)s and backend_type = 'client backend'"
        "), idle as ("
        "  select pid, row_number() over (order by state_change, pid)"
        "   <= taken - rolconnlimit * %(rate)s as is_one_too_many"
        "  from sessions, pg_roles where rolname = %(reader)s and state like 'idle%%'"
        "  and clock_timestamp() - state_change > %(idle)s"
        ") select count(pg_terminate_backend(pid)) from idle where is_one_too_many",
        {"reader": READER, "rate": CROWDED_RATE, "idle": idle_limit},
    ).fetchone() or (0,)
    return ended


def end_largest(
    connection: psycopg.Connection[Any],
    budget_bytes: int,
    memory_of: Callable[[int], int],
) -> int:
    """End the reader's largest sessions until the rest are within the memory budget.

    Args:
        connection: Connection as the warden.
        budget_bytes: Maximum memory of all readers together.
        memory_of: Returns the memory of a process, in bytes, for its process id.

    Returns:
        Number of ended sessions.
    """
    rows = connection.execute(
        "select coalesce(leader_pid, pid), array_agg(pid) from pg_stat_activity"
        " where usename = %s group by 1",
        [READER],
    ).fetchall()
    used = {leader: sum(memory_of(pid) for pid in pids) for leader, pids in rows}
    ended = 0
    for leader in sorted(used, key=lambda pid: -used[pid]):
        if sum(used.values()) <= budget_bytes:
            break
        log.warning("%s had %d MB", READER, used.pop(leader) // 2**20)
        connection.execute("select pg_terminate_backend(%s)", [leader])
        ended += 1
    return ended


def mend_roles(connection: psycopg.Connection[Any]) -> list[str]:
    """Reset what roles have changed about themselves; return the changes in words."""
    return [words for (words,) in connection.execute("select warden.mend()").fetchall()]


def own_memory(shared_bytes: int) -> Callable[[int], int]:
    """Return a function that measures a process, by its id, without shared memory, in bytes.

    The function returns 0 for a process that has ended.

    Args:
        shared_bytes: Size of the memory that all processes of the server share.
    """

    def measure(pid: int) -> int:
        try:
            memory = psutil.Process(pid).memory_info()
        except psutil.NoSuchProcess:
            return 0
        return memory.rss - min(memory.shared, shared_bytes)

    return measure


def look(
    connection: psycopg.Connection[Any], budget_bytes: int, memory_of: Callable[[int], int]
) -> None:
    """Enforce the limits once, and log what was done."""
    for words in mend_roles(connection):
        log.warning("%s: set back", words)
    for ended, why in (
        (end_overdue(connection), "outlasted their limit"),
        (make_room(connection), "were idle while nearly all connections were taken"),
        (end_largest(connection, budget_bytes, memory_of), "had more memory than readers may")
        if budget_bytes
        else (0, ""),
    ):
        if ended:
            log.warning("%d sessions of %s %s and were ended", ended, READER, why)


def watch(settings: Settings, budget_bytes: int, each_time: Callable[[], None]) -> None:
    """Poll until Postgres has been unreachable for longer than a restart takes.

    Args:
        settings: Settings with the server's address.
        budget_bytes: Maximum memory of all readers together; 0: not checked, because the server's
            processes are on another machine or in another container.
        each_time: Called before each check.
    """
    lost_at: float | None = None
    while lost_at is None or time.monotonic() - lost_at < RECONNECT_SECONDS:
        try:
            with connect(settings, WARDEN, autocommit=True) as connection:
                (shared,) = connection.execute(
                    "select pg_size_bytes(current_setting('shared_buffers'))"
                ).fetchone() or (0,)
                memory_of = own_memory(shared)
                while True:
                    each_time()
                    look(connection, budget_bytes, memory_of)
                    lost_at = None
                    time.sleep(LOOK_SECONDS)
        except psycopg.Error as error:  # e.g. a conflict with a reader's statement: go on
            lost_at = lost_at or time.monotonic()
            log.info("trying again: %s", error)
            each_time()
            time.sleep(LOOK_SECONDS)


def stay(work: Callable[[Callable[[], None]], None]) -> None:
    """Run `work` in a child process, and restart the child when it is killed, until it ends.

    Args:
        work: Gets a function to call regularly. If the parent was killed, that function turns the
            child into the parent, which starts a child of its own.
    """
    parent = os.getpid()
    while True:
        child = os.fork()
        if not child:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            work(lambda: _take_place_of(parent))
            os._exit(0)
        signal.signal(signal.SIGTERM, lambda *_, child=child: _end_with(child))
        _, status = os.waitpid(child, 0)
        if status == 0:
            return
        log.warning("the worker ended (%d): restarting", os.waitstatus_to_exitcode(status))
        time.sleep(LOOK_SECONDS)


def _take_place_of(parent: int) -> None:
    if os.getppid() != parent:
        log.warning("the parent process was killed: restarting it")
        os.execv(sys.executable, [sys.executable, "-m", "perennial.reader_limit", *sys.argv[1:]])


def _end_with(child: int) -> NoReturn:
    os.kill(child, signal.SIGTERM)
    raise SystemExit(0)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the warden until the server is gone."""
    parser = argparse.ArgumentParser(prog="python -m perennial.reader_limit", description=__doc__)
    parser.add_argument("--memory-mb", type=int, default=0, help="of all readers; 0: any")
    given = parser.parse_args(arguments)
    logging.basicConfig(format="%(asctime)s %(message)s", level=logging.INFO)
    stay(partial(watch, Settings(), given.memory_mb * 2**20))


if __name__ == "__main__":
    main()
