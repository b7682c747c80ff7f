"""Wait for Postgres, and for the `init` of the same code version."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable

import psycopg
from psycopg import sql

from oncall.airflow_api import AirflowError
from perennial.bootstrap import SUPERUSER
from perennial.settings import REPOSITORY, Settings

DATABASE_TIMEOUT_SECONDS = 120
INIT_TIMEOUT_SECONDS = 900  # time for a migration; a restarted role waits again


def mark(settings: Settings) -> None:
    """Record that the `init` of this code version has finished, as a comment on a database."""
    with psycopg.connect(settings.dsn(SUPERUSER, "postgres")) as connection:
        comment = sql.SQL("comment on database airflow is {}").format(sql.Literal(_code()))
        connection.execute(comment)


def wait_for_init(settings: Settings, role: str = "airflow", database: str = "airflow") -> None:
    """Block until the `init` of this code version has finished.

    Args:
        settings: Settings of the home.
        role: Role of Postgres to connect as; one that this container has the password of.
        database: Database to connect to.

    Raises:
        AirflowError: If `init` has not finished after INIT_TIMEOUT_SECONDS.
    """
    code = _code()
    _wait_until(lambda: _made_by(settings, role, database) == code, INIT_TIMEOUT_SECONDS)


def _made_by(settings: Settings, role: str, database: str) -> str:
    """Digest of the code version of the last finished `init`; empty if there is none."""
    query = (
        "select shobj_description(oid, 'pg_database') from pg_database where datname = 'airflow'"
    )
    try:
        with psycopg.connect(settings.dsn(role, database), connect_timeout=2) as connection:
            (made_by,) = connection.execute(query).fetchone() or (None,)
    except psycopg.OperationalError:  # Postgres is starting, or the role does not exist yet
        return ""
    return made_by or ""


def _code() -> str:
    """Digest of all files of the image except libraries, whose lock file is included."""
    digest = hashlib.sha256()
    for path in sorted(REPOSITORY.rglob("*")):
        if path.is_file() and path.suffix != ".pyc":
            digest.update(f"{path.relative_to(REPOSITORY)}\n".encode() + path.read_bytes())
    return digest.hexdigest()


def wait_for_database(settings: Settings) -> None:
    """Block until Postgres accepts a connection of its superuser.

    Raises:
        AirflowError: If it does not after DATABASE_TIMEOUT_SECONDS.
    """
    _wait_until(lambda: _answers(settings), DATABASE_TIMEOUT_SECONDS)


def _answers(settings: Settings) -> bool:
    try:
        psycopg.connect(settings.dsn(SUPERUSER, "postgres"), connect_timeout=2).close()
    except psycopg.OperationalError as error:
        print(error, flush=True)
        return False
    return True


def _wait_until(is_ready: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not is_ready():
        if time.monotonic() > deadline:
            raise AirflowError(f"Postgres or init is not ready after {seconds} s: see init's log")
        time.sleep(1)
