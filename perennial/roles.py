"""The warehouse's login roles: passwords, settings and connections, made anew at each start.

A role may change its own password and its own settings, of all databases or of one, and Postgres
can't forbid it. So each start takes all of it back, and keeps what it set in a table of the
superuser's, beside which the warden holds the roles every second (perennial/warden.sql).
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
CHECKER = "reader_check"  # reads what the reader may, over a connection that readers can't take
SERVICES = ("airflow", "mlflow")  # each has a database of its own name
ROLES = (OWNER, *STEP_ROLES, READER, CHECKER, WARDEN, *SERVICES)

# Options of the server, which take effect when it starts. Whoever watches has connections that
# nobody else can take; what readers notify each other of fills 8 MB of the disk and not 8 GB.
SERVER_OPTIONS = {"reserved_connections": "6", "max_notify_queue_pages": "1024"}
WATCHERS = ("watcher", CHECKER, WARDEN)

# Shares of the server's connections, percent; all together below 100.
CONNECTION_SHARES = {
    "airflow": 28, "scorer": 17, READER: 15, "transformer": 9, "mlflow": 8, "loader": 7,
    "watcher": 6, OWNER: 1, "eraser": 1, CHECKER: 1, WARDEN: 1,
}  # fmt: skip
LEAST_CONNECTIONS = 3
LEAST_OF_SERVER = 100

# Defaults, which a session may change, but for the last three: those only the superuser can.
# perennial/reader_limit.py holds readers to the others.
READER_SETTINGS = {
    "statement_timeout": f"{STATEMENT_LIMIT.total_seconds():.0f}s",
    "idle_in_transaction_session_timeout": f"{TRANSACTION_LIMIT.total_seconds():.0f}s",
    "idle_session_timeout": f"{IDLE_LIMIT.total_seconds():.0f}s",
    "default_transaction_read_only": "on",
    "search_path": "reporting",
    "temp_file_limit": "1GB",  # a process' sorts and hashes on disk
    # a reader's mistakes, of any length, would fill the server's log and hold personal data
    "log_min_messages": "fatal",
    "log_min_error_statement": "panic",
}


def create_missing(connection: psycopg.Connection) -> None:
    """Create the roles that are not there, so that databases and grants can name them."""
    for role in ROLES:
        if not connection.execute("select 1 from pg_roles where rolname = %s", [role]).fetchone():
            connection.execute(sql.SQL("create role {}").format(sql.Identifier(role)))


def reset(connection: psycopg.Connection, settings: Settings) -> None:
    """Set the roles anew, whatever they were or made of themselves, and have the warden hold them.

    Args:
        connection: A superuser's to the warehouse, in autocommit.
        settings: Whose passwords.

    Raises:
        SettingsError: If the server allows too few connections.
    """
    limits = _connection_limits(connection)
    # the warden sees all of it or nothing, and does not take it for a change by the role itself
    with connection.transaction():
        for role in ROLES:
            _reset(connection, role, settings.password(role), limits[role])
        # the owner makes schemas for the transformer and sets its default privileges
        _grant(connection, "transformer", OWNER)
        # who may do what the reader may, may end its sessions
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
    """How many connections each role may have: all together no more than there are."""
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
