"""Ends sessions of `bi_reader` that outlast its limits: `python -m perennial.reader_limit`.

A role's statement_timeout is a default only: whoever is logged in may set another. So a process
of its own looks on, under a role that may do what bi_reader may and end its sessions, and no more.
It starts with the server and ends with it.
"""

from __future__ import annotations

import logging
import time
from datetime import timedelta
from typing import Any

import psycopg

from perennial.settings import Settings
from perennial.warehouse import connect

log = logging.getLogger(__name__)

READER, WARDEN = "bi_reader", "reader_limit"
STATEMENT_LIMIT = timedelta(seconds=60)
TRANSACTION_LIMIT = timedelta(hours=1)
GRACE = timedelta(seconds=5)  # its own timeout, which says why, comes first
LOOK_SECONDS = 5.0
RECONNECT_SECONDS = 60.0


def end_overdue(
    connection: psycopg.Connection[Any],
    statement_limit: timedelta = STATEMENT_LIMIT + GRACE,
    transaction_limit: timedelta = TRANSACTION_LIMIT + GRACE,
) -> int:
    """End the reader's sessions whose statement or transaction is too old; returns how many.

    Ended, not cancelled: a statement can catch its cancellation and go on.
    """
    (ended,) = connection.execute(
        "select count(pg_terminate_backend(pid)) from pg_stat_activity"
        " where usename = %(reader)s and ("
        " (state not like 'idle%%' and clock_timestamp() - query_start > %(statement)s)"
        " or clock_timestamp() - xact_start > %(transaction)s)",
        {"reader": READER, "statement": statement_limit, "transaction": transaction_limit},
    ).fetchone() or (0,)
    return ended


def watch(settings: Settings) -> None:
    """Look on until the server is gone for longer than a restart takes."""
    lost_at: float | None = None
    while lost_at is None or time.monotonic() - lost_at < RECONNECT_SECONDS:
        try:
            with connect(settings, WARDEN, autocommit=True) as connection:
                lost_at = None
                while True:
                    ended = end_overdue(connection)
                    if ended:
                        log.warning("%d sessions of %s outlasted their limit", ended, READER)
                    time.sleep(LOOK_SECONDS)
        except psycopg.OperationalError as error:
            lost_at = lost_at or time.monotonic()
            log.info("no connection: %s", error)
            time.sleep(1)


if __name__ == "__main__":
    logging.basicConfig(format="%(asctime)s %(message)s", level=logging.INFO)
    watch(Settings())
