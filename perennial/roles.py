"""The warehouse's login roles: passwords, settings and connection limits, reset at each start.

A role may change its own password, and its own settings for all databases or for one; Postgres
can't forbid that. So each start resets the roles, and stores their state in a table of the
superuser. The warden compares the roles with that table every second (perennial/warden.sql).
"""

from __future__ import annotations

from pathlib import Path

import psycopg
from psycopg import sql

from perennial.reader_limit import (
    IDLE_LIMIT,
    READER,
    STATEMENT_LIMIT,
    TRANSACTION_LIMIT,
    WARDEN,
)
from perennial.settings import Settings, SettingsError

SUPERUSER = "postgres"
OWNER = "perennial"
STEP_ROLES = ("loader", "transformer", "scorer", "eraser", "watcher")
CHECKER = "reader_check"  # has the reader's rights, and a reserved connection
SERVICES = ("airflow", "mlflow")  # each has a database of its own name
ROLES = (OWNER, *STEP_ROLES, READER, CHECKER, WARDEN, *SERVICES)

# Options of the server, which take effect at its start. WATCHERS have reserved connections; the
# queue of notifications is limited to 8 MB of disk instead of 8 GB.
SERVER_OPTIONS = {"reserved_connections": "6", "max_notify_queue_pages": "1024"}
WATCHERS = ("watcher", CHECKER, WARDEN)

# Shares of the server's connections, percent; all together below 100.
CONNECTION_SHARES = {
    "airflow": 28, "scorer": 17, READER: 15, "transformer": 9, "mlflow": 8, "loader": 7,
    "watcher": 6, OWNER: 1, "eraser": 1, CHECKER: 1, WARDEN: 1,
}  # fmt: skip
LEAST_CONNECTIONS = 3
LEAST_OF_SERVER = 100

# A session may change these defaults, except the last three, which only the superuser can change.
# perennial/reader_limit.py enforces the others.
READER_SETTINGS = {
    "statement_timeout": f"{STATEMENT_LIMIT.total_seconds():.0f}s",
    "idle_in_transaction_session_timeout": f"{TRANSACTION_LIMIT.total_seconds():.0f}s",
    "idle_session_timeout": f"{IDLE_LIMIT.total_seconds():.0f}s",
    "default_transaction_read_only": "on",
    "search_path": "reporting",
    "temp_file_limit": "1GB",  # sorts and hashes of a process on disk
    # readers' erroneous statements would fill the server's log, and may contain personal data
    "log_min_messages": "fatal",
    "log_min_error_statement": "panic",
}


def create_missing(connection: psycopg.Connection) -> None:
    """Create missing roles, so that databases and grants can name them."""
    for role in ROLES:
        if not connection.execute("select 1 from pg_roles where rolname = %s", [role]).fetchone():
            connection.execute(sql.SQL("create role {}").format(sql.Identifier(role)))


def reset(connection: psycopg.Connection, settings: Settings) -> None:
    """Reset all roles, and store their state for the warden. Idempotent.

    Args:
        connection: Connection of a superuser to the warehouse, in autocommit.
        settings: Settings of the home with the passwords.

    Raises:
        SettingsError: If the server allows too few connections.
    """
    limits = _connection_limits(connection)
    # one transaction: otherwise the warden would see changes without their stored state
    with connection.transaction():
        for role in ROLES:
            _reset(connection, role, settings.password(role), limits[role])
        # the owner creates schemas for the transformer and sets its default privileges
        _grant(connection, "transformer", OWNER)
        # a member of the reader's role may end the reader's sessions
        _grant(connection, READER, WARDEN)
        _grant(connection, READER, CHECKER)
        for role in WATCHERS:
            _grant(connection, "pg_use_reserved_connections", role)
        for option, value in READER_SETTINGS.items():
            connection.execute(
                sql.SQL("alter role {} set {} = {}").format(
                    sql.Identifier(READER), sql.Identifier(option), sql.Literal(value)
                )
            )
        connection.execute((Path(__file__).parent / "warden.sql").read_text())
        connection.execute("select warden.hold(%s)", [list(ROLES)])


def _reset(connection: psycopg.Connection, role: str, password: str, limit: int) -> None:
    name = sql.Identifier(role)
    connection.execute(
        sql.SQL("alter role {} login connection limit {} password {}").format(
            name, sql.Literal(limit), sql.Literal(password)
        )
    )
    connection.execute(sql.SQL("alter role {} reset all").format(name))
    databases = connection.execute(
        "select datname from pg_db_role_setting join pg_database on pg_database.oid = setdatabase"
        " where setrole = %s::regrole",
        [role],
    ).fetchall()
    for (database,) in databases:
        connection.execute(
            sql.SQL("alter role {} in database {} reset all").format(name, sql.Identifier(database))
        )


def _grant(connection: psycopg.Connection, role: str, member: str) -> None:
    connection.execute(
        sql.SQL("grant {} to {}").format(sql.Identifier(role), sql.Identifier(member))
    )


def _connection_limits(connection: psycopg.Connection) -> dict[str, int]:
    """Maximum connections of each role; together no more than the server has."""
    row = connection.execute(
        "select current_setting('max_connections')::int,"
        " current_setting('max_connections')::int"
        " - current_setting('superuser_reserved_connections')::int"
        " - current_setting('reserved_connections')::int"
    ).fetchone()
    assert row is not None  # a select without from has one row
    of_server, free = row
    if of_server < LEAST_OF_SERVER:
        raise SettingsError(
            f"max_connections of this Postgres is {of_server}: set at least {LEAST_OF_SERVER}"
        )
    return {  # docs/decisions/security.md: why shares of max_connections
        role: max(LEAST_CONNECTIONS, free * share // 100)
        for role, share in CONNECTION_SHARES.items()
    }
