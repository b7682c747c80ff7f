"""List the roles that hold the server's connections, for an alert that none are left."""

from __future__ import annotations

import psycopg

from perennial.settings import Settings
from perennial.warehouse import connect

ROLE = "watcher"  # has reserved connections
NAMED = 3

TAKEN = """
    select usename::text, count(*), rolconnlimit, current_setting('max_connections')::int
    from pg_stat_activity join pg_roles on rolname = usename
    group by usename, rolconnlimit
    order by count(*) desc, usename
"""


def holders(settings: Settings) -> str:
    """The roles with the most connections, in words.

    Raises:
        psycopg.OperationalError: If even ROLE can't connect.
    """
    with connect(settings, ROLE) as connection:
        return described(connection)


def described(connection: psycopg.Connection) -> str:
    """The roles with the most connections, queried over an open connection of ROLE."""
    rows = connection.execute(TAKEN).fetchall()
    taken = sum(count for _, count, *_ in rows)
    named = ", ".join(
        f"{role} {count}" + (f" of its {limit}" if limit >= 0 else "")
        for role, count, limit, _ in rows[:NAMED]
    )
    return f"{taken} of the server's {rows[0][3]} connections are taken: {named}"
