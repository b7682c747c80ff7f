"""What Postgres lets every role do unless told otherwise, taken back in the warehouse.

None of it is in a table's grants: large objects and messages in the log of changes, which fill the
disk; advisory locks, with which a reader could hold up each publication; blocks of code, which
catch their own end and fill the memory; the other sessions of one's own role, their statements and
their end.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg import sql

LARGE_OBJECTS = "lo_creat|lo_create|lo_from_bytea"
MESSAGES = "pg_logical_emit_message|pg_notify"
SNAPSHOTS = "pg_export_snapshot|pg_current_xact_id|txid_current"  # a file, a number that runs out
LOCKS = "pg_(try_)?advisory_(xact_)?lock(_shared)?"
ENDS = "pg_cancel_backend|pg_terminate_backend"  # of one's own role's sessions: dbt ends its own
SESSIONS = "pg_stat_get_activity"
STATEMENTS = "pg_stat_get_backend_activity"
ACTIVITY = sql.Identifier("pg_catalog", "pg_stat_activity")


def take_back(
    connection: psycopg.Connection[Any],
    coders: Sequence[str],
    steps: Sequence[str],
    warden: str,
    watchers: Sequence[str],
    databases: Sequence[str],
) -> None:
    """Leave of the public rights what somebody needs; safe to run again.

    Args:
        connection: A superuser's, to the warehouse: functions' rights are a database's own.
        coders: Roles that make functions, or run blocks of code, as dbt does.
        steps: Roles that take locks: those that write, and the owner.
        warden: Role that ends sessions.
        watchers: Roles that see who else is connected, the warden among them.
        databases: Where nobody but their owner has anything to do.
    """
    allowed = {
        LARGE_OBJECTS: [],
        MESSAGES: [],
        SNAPSHOTS: [],
        LOCKS: steps,
        ENDS: [*steps, warden],
        SESSIONS: watchers,
        STATEMENTS: [],
    }
    for pattern, roles in allowed.items():
        for function in _functions(connection, pattern):
            connection.execute(
                sql.SQL("revoke execute on function {} from public").format(function)
            )
            for role in roles:
                connection.execute(
                    sql.SQL("grant execute on function {} to {}").format(
                        function, sql.Identifier(role)
                    )
                )
    connection.execute("revoke usage on language plpgsql from public")
    for role in coders:
        connection.execute(
            sql.SQL("grant usage on language plpgsql to {}").format(sql.Identifier(role))
        )
    connection.execute(sql.SQL("revoke select on {} from public").format(ACTIVITY))
    for role in watchers:
        connection.execute(
            sql.SQL("grant select on {} to {}").format(ACTIVITY, sql.Identifier(role))
        )
    for database in databases:
        connection.execute(
            sql.SQL("revoke connect, temporary on database {} from public").format(
                sql.Identifier(database)
            )
        )


def _functions(connection: psycopg.Connection[Any], pattern: str) -> list[sql.SQL]:
    """Postgres' own functions of that name, with their arguments, as SQL names them."""
    rows = connection.execute(
        "select oid::regprocedure::text from pg_proc"
        " where pronamespace = 'pg_catalog'::regnamespace and proname ~ %s order by 1",
        [f"^({pattern})$"],
    ).fetchall()
    return [sql.SQL(name) for (name,) in rows]
