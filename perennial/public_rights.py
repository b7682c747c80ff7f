"""Revoke what Postgres by default lets every role do, in the warehouse.

These rights are not in a table's grants: large objects and messages in the log of changes, which
can fill the disk; advisory locks, with which a reader could block each publication; blocks of code,
which can catch their own cancellation and fill the memory; the view of other sessions of the same
role, their statements, and the right to end them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg import sql

LARGE_OBJECTS = "lo_creat|lo_create|lo_from_bytea"
MESSAGES = "pg_logical_emit_message|pg_notify"
SNAPSHOTS = "pg_export_snapshot|pg_current_xact_id|txid_current"  # use up files and transaction ids
LOCKS = "pg_(try_)?advisory_(xact_)?lock(_shared)?"
ENDS = "pg_cancel_backend|pg_terminate_backend"  # for sessions of the same role; dbt uses them
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
    """Revoke every PUBLIC privilege that no role of the warehouse needs. Idempotent.

    Args:
        connection: Connection of a superuser to the warehouse; each database has its own rights on
            functions.
        coders: Roles that create functions or run blocks of code, as dbt does.
        steps: Roles that take advisory locks: the writing roles and the owner.
        warden: Role that ends sessions.
        watchers: Roles that see all sessions, including the warden.
        databases: Databases that only their owner may connect to.
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
    """Built-in functions with a name that matches, each with its argument types, as SQL."""
    rows = connection.execute(
        "select oid::regprocedure::text from pg_proc"
        " where pronamespace = 'pg_catalog'::regnamespace and proname ~ %s order by 1",
        [f"^({pattern})$"],
    ).fetchall()
    return [sql.SQL(name) for (name,) in rows]
