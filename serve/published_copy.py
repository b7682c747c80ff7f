"""A copy of the newest published rows, by entity, in one SQLite file of the home.

Every answer comes from the copy, whether the warehouse is there or not: one way to read, and the
last good scores stay readable. A new copy is made when a publication or an erasure has changed
`reporting.scores_freshness`. It replaces the earlier one at once, so no answer mixes two.
"""

from __future__ import annotations

import json
import logging
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from perennial.roles import CHECKER
from perennial.settings import Settings
from perennial.warehouse import connect

log = logging.getLogger(__name__)

BATCH_ROWS = 2_000
# View -> the column that it is asked by, and the column that its rows of one entity are sorted by.
VIEWS = {
    "customer_360": ("customer_id", "customer_id"),
    "churn_reasons": ("customer_id", "reason_rank"),
    "recommendations": ("customer_id", "list_kind"),
    "product_outlook": ("product_id", "product_id"),
    "product_companions": ("product_id", "product_id"),
    "starting_products": ("audience_kind", "audience"),
}
PUBLISHED = (
    "select coalesce(json_agg(row_to_json(dates) order by question)::text, '')"
    " from reporting.scores_freshness as dates"
)
TABLES = """
create table marker (text text);
create table rows (
    view text, entity_id text, position integer, answer text,
    primary key (view, entity_id, position)
) without rowid;
"""


class UnknownError(LookupError):
    """Nothing is known of what was asked for."""


class Copied:
    """One finished copy, which never changes. Several threads may read it.

    Args:
        path: The SQLite file; empty: a copy without rows.

    Raises:
        sqlite3.DatabaseError: If the file is damaged.
    """

    def __init__(self, path: Path | None = None) -> None:
        address = f"file:{path}?mode=ro" if path else ":memory:"
        self._lock = threading.Lock()
        self._file = sqlite3.connect(address, uri=True, check_same_thread=False)
        if path is None:
            self._file.executescript(TABLES)
        marker = self._read("select text from marker", ())
        self.marker = marker[0][0] if marker else None  # what it was made of

    def rows(self, view: str, entity_id: str) -> list[dict[str, Any]]:
        """The view's rows of an entity, in the view's order; [] if it has none."""
        query = "select answer from rows where view = ? and entity_id = ? order by position"
        return [json.loads(answer) for (answer,) in self._read(query, (view, entity_id))]

    def any_row(self, view: str) -> dict[str, Any] | None:
        """Some row of a view; None if it is empty."""
        rows = self._read("select answer from rows where view = ? limit 1", (view,))
        return json.loads(rows[0][0]) if rows else None

    def _read(self, query: str, values: tuple[str, ...]) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._file.execute(query, values).fetchall()


class PublishedCopy:
    """The newest copy of a home.

    Attributes:
        newest: The newest finished copy. An answer takes it once and reads all of itself from it.

    Args:
        settings: Settings of the home.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.path = settings.served_copy
        self.newest = self._last()

    def refresh(self) -> bool:
        """Copy the published rows if they have changed. Returns whether they had.

        Raises:
            psycopg.Error: If the warehouse cannot be read. The earlier copy stays.
        """
        with connect(self.settings, CHECKER) as connection:
            connection.execute("set transaction isolation level repeatable read read only")
            ((published,),) = connection.execute(PUBLISHED).fetchall()
            marker = json.dumps([published, VIEWS])
            if marker == self.newest.marker:
                return False
            self._write(marker, connection)
        self.newest = Copied(self.path)
        return True

    def _last(self) -> Copied:
        """The copy of an earlier server, or one without rows if there is none or it is damaged."""
        try:
            return Copied(self.path if self.path.exists() else None)
        except sqlite3.DatabaseError as error:
            log.warning("%s is damaged, so another is made: %s", self.path, error)
            return Copied()

    def _write(self, marker: str, connection: psycopg.Connection[Any]) -> None:
        unfinished = self.path.with_suffix(".unfinished")
        unfinished.unlink(missing_ok=True)
        unfinished.touch(mode=0o600)  # it holds what is known of customers
        try:
            with closing(sqlite3.connect(unfinished)) as writer, writer:
                writer.executescript(TABLES)
                writer.execute("insert into marker values (?)", [marker])
                for view in VIEWS:
                    rows = _answers(connection, view)
                    writer.executemany("insert into rows values (?, ?, ?, ?)", rows)
            unfinished.replace(self.path)
        finally:
            unfinished.unlink(missing_ok=True)


def _answers(connection: psycopg.Connection[Any], view: str) -> Iterator[tuple[str, str, int, str]]:
    """View, entity, position and JSON of each row, streamed from the warehouse."""
    key, order = (sql.Identifier("shown", column) for column in VIEWS[view])
    query = sql.SQL(
        "select {key}, row_number() over (partition by {key} order by {order}),"
        " row_to_json(shown)::text from {view} as shown"
    ).format(key=key, order=order, view=sql.Identifier("reporting", view))
    with connection.cursor(name="served") as cursor:
        cursor.itersize = BATCH_ROWS
        for entity_id, position, answer in cursor.execute(query):
            yield view, entity_id, position, answer
