"""Delete score rows that no pointer shows: superseded ones, and those of runs that failed."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from psycopg import sql

from ml_tasks.engine.lock import lock_of
from perennial.contracts import ScoreTable, load, published
from perennial.warehouse import connect

if TYPE_CHECKING:
    import psycopg

    from perennial.settings import Settings

SUPERSEDED_KEPT = timedelta(hours=6)  # longer than any publication takes


def clean_superseded(settings: Settings, older_than: timedelta = SUPERSEDED_KEPT) -> dict[str, int]:
    """Delete rows that no pointer shows: superseded, or left by a run that failed.

    Rows of a date that is being published stay, however old they are.

    Args:
        settings: Settings of the home.
        older_than: Younger rows and parts stay: their run may still be at work.

    Returns:
        Table -> number of deleted rows; `score_parts` -> number of deleted parts.
    """
    deleted: dict[str, int] = {}
    with connect(settings, "scorer", autocommit=True) as connection:
        deleted["score_parts"] = connection.execute(
            "delete from ops.score_parts where read_at < now() - %s", [older_than]
        ).rowcount
        for question in published():
            for table in load(question).tables:
                deleted[table.name] = _clean(connection, question, table, older_than)
    return deleted


def _clean(
    connection: psycopg.Connection[Any], question: str, table: ScoreTable, older_than: timedelta
) -> int:
    candidates = _superseded(connection, question, table, older_than)
    delete = sql.SQL(
        "delete from {table} where as_of_date = %(as_of_date)s"
        " and publication_id = %(publication_id)s and not exists ("
        # checked again: the holder of the lock may have pointed at these rows meanwhile
        "  select from ops.publications where question = %(question)s"
        "  and as_of_date = %(as_of_date)s and publication_id = %(publication_id)s)"
    ).format(table=table.relation)
    deleted = 0
    for as_of_date, publication_id in candidates:
        given = {"as_of_date": as_of_date, "publication_id": publication_id, "question": question}
        with connection.transaction():
            lock = "select pg_try_advisory_xact_lock(hashtextextended(%s, 0))"
            ((is_free,),) = connection.execute(lock, [lock_of(question, as_of_date)]).fetchall()
            if is_free:
                deleted += connection.execute(delete, given).rowcount
    return deleted


def _superseded(
    connection: psycopg.Connection[Any], question: str, table: ScoreTable, older_than: timedelta
) -> list[tuple[Any, ...]]:
    """The (as_of_date, publication_id) of old rows that no pointer shows."""
    # The query hops from one (as_of_date, publication_id) to the next along the primary key:
    # reading every row to find the few publications would take longer the longer the history is.
    find = sql.SQL(
        "with recursive written as ("
        " (select as_of_date, publication_id, scored_at from {table}"
        "  order by as_of_date, publication_id limit 1)"
        " union all"
        " select next_one.* from written cross join lateral ("
        "  select as_of_date, publication_id, scored_at from {table} as score_rows"
        "  where (score_rows.as_of_date, score_rows.publication_id)"
        "   > (written.as_of_date, written.publication_id)"
        "  order by as_of_date, publication_id limit 1) as next_one"
        ") select written.as_of_date, written.publication_id from written"
        " where written.scored_at < now() - %(older_than)s and not exists ("
        "  select from ops.publications where publications.question = %(question)s"
        "  and publications.as_of_date = written.as_of_date"
        "  and publications.publication_id = written.publication_id)"
    ).format(table=table.relation)
    return connection.execute(find, {"question": question, "older_than": older_than}).fetchall()
