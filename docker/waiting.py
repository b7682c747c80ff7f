"""Who waits for whom: every role for Postgres and for the `init` of its own code."""

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
INIT_TIMEOUT_SECONDS = 900  # of a migration; a restart waits again


def mark(settings: Settings) -> None:
    """Leave word that the `init` of this code is through: a comment of Airflow's database."""
    with psycopg.connect(settings.dsn(SUPERUSER, "postgres")) as connection:
        comment = sql.SQL("comment on database airflow is {}").format(sql.Literal(_code()))
        connection.execute(comment)


def wait_for_init(settings: Settings, role: str = "airflow", database: str = "airflow") -> None:
    """Wait until `init` of this very code has been through; as a role that this one may be."""
    code = _code()
    _wait_until(lambda: _made_by(settings, role, database) == code, INIT_TIMEOUT_SECONDS)


def _made_by(settings: Settings, role: str, database: str) -> str:
    """Digest of the code whose `init` was through last; empty: none was."""
    query = (
        "select shobj_description(oid, 'pg_database') from pg_database where datname = 'airflow'"
    )
    try:
        with psycopg.connect(settings.dsn(role, database), connect_timeout=2) as connection:
            (made_by,) = connection.execute(query).fetchone() or (None,)
    except psycopg.OperationalError:  # Postgres starts, or does not know the role yet
        return ""
    return made_by or ""


def _code() -> str:
    """Digest of all that is in the image but libraries, and of their lock."""
    digest = hashlib.sha256()
    for path in sorted(REPOSITORY.rglob("*")):
        if path.is_file() and path.suffix != ".pyc":
            digest.update(f"{path.relative_to(REPOSITORY)}\n".encode() + path.read_bytes())
    return digest.hexdigest()


def wait_for_database(settings: Settings) -> None:
    """Wait until Postgres lets its superuser in."""
    _wait_until(lambda: _answers(settings), DATABASE_TIMEOUT_SECONDS)


def _answers(settings: Settings) -> bool:
    try:
        psycopg.connect(settings.dsn(SUPERUSER, "postgres"), connect_timeout=2).close()
    except psycopg.OperationalError as error:
        print(error, flush=True)
        return False
    return True


def _wait_until(is_so: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > deadline:
            raise AirflowError(f"what this role waits for is not there after {seconds} s: see init")
        time.sleep(1)
