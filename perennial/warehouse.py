"""Connect to the warehouse as a role, copy rows in, read frames. schema.sql lists the roles."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql
from psycopg.copy import QueuedLibpqWriter

if TYPE_CHECKING:
    import pandas as pd

    from perennial.settings import Settings

Query = str | sql.Composable


def connect(settings: Settings, role: str, *, autocommit: bool = False) -> psycopg.Connection[Any]:
    """Open a connection as `role`. As a context manager it commits, or rolls back on an error."""
    return psycopg.connect(
        settings.dsn(role),
        autocommit=autocommit,
        application_name="perennial",
        connect_timeout=10,
        options="-c timezone=UTC",
    )


def copy_in(
    connection: psycopg.Connection[Any], statement: sql.Composed, chunks: Iterable[bytes]
) -> int:
    """Send the chunks to a COPY from stdin; return the number of rows, as Postgres counts them.

    A thread sends a chunk while this one makes the next.
    """
    with connection.cursor() as cursor:
        with cursor.copy(statement, writer=QueuedLibpqWriter(cursor)) as stream:
            for chunk in chunks:
                stream.write(chunk)
        return cursor.rowcount


def read_frame(
    connection: psycopg.Connection[Any],
    query: Query,
    params: Mapping[str, Any] | Sequence[Any] | None = None,
) -> pd.DataFrame:
    """Run a query and return its rows as a frame, with the query's columns.

    The query needs a total ORDER BY: models depend on the order of rows.
    """
    import pandas as pd

    with connection.cursor() as cursor:
        cursor.execute(query, params)  # type: ignore[arg-type]
        columns = [column.name for column in cursor.description or ()]
        return pd.DataFrame(cursor.fetchall(), columns=columns)
