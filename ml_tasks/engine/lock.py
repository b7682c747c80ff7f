"""The lock of a question and date, which a publication holds."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date

    import psycopg


def lock_of(question: str, as_of_date: date) -> str:
    """The text that is hashed for the advisory lock."""
    return f"publish {question} {as_of_date}"


@contextmanager
def one_publish_at_a_time(
    connection: psycopg.Connection[Any], question: str, as_of_date: date
) -> Iterator[None]:
    """Hold the lock of a question and date: a second publication of them waits for the first."""
    key = [lock_of(question, as_of_date)]
    connection.execute("select pg_advisory_lock(hashtextextended(%s, 0))", key)
    try:
        yield
    finally:
        if not connection.broken:  # else the lock went with the connection
            connection.execute("select pg_advisory_unlock(hashtextextended(%s, 0))", key)
