"""Read and write ops.incidents: one row per cause, from the first sight until it is over.

While the warehouse does not answer, incidents are kept in a small file of the home (at_home); the
next process that reaches the warehouse carries them over.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import date, timedelta
from typing import Any

import psycopg
from psycopg.rows import dict_row

from oncall.alerts import at_home
from oncall.alerts.causes import AGAIN, CRITICAL, OPENED, Cause, Incident
from perennial.settings import Settings
from perennial.warehouse import connect

ROLE = "watcher"

# Locks the open row of a cause: of two tasks that fail at once, the second waits and is counted.
NOTE = """
insert into ops.incidents as known
    (cause, kind, severity, title, summary, owner, runbook_entry, table_name, steps,
     first_bad_date, last_bad_date, run_id, last_told_at)
values
    (%(key)s, %(kind)s, %(severity)s, %(title)s, %(summary)s, %(owner)s, %(entry)s, %(table)s,
     array[%(step)s], %(as_of_date)s, %(as_of_date)s, %(run_id)s, now())
on conflict (cause) where closed_at is null do update set
    seen_count = known.seen_count + 1,
    last_seen_at = now(),
    run_id = excluded.run_id,
    first_bad_date = least(known.first_bad_date, excluded.first_bad_date),
    last_bad_date = greatest(known.last_bad_date, excluded.last_bad_date),
    steps = array(select distinct unnest(known.steps || excluded.steps) order by 1),
    last_told_at = case
        when known.last_told_at > now() - %(again)s::interval then known.last_told_at
        else now() end
returning *, last_told_at = now() as is_told
"""

SETTLE = """
with met as (
    select incident_id,
        array(select unnest(steps) except select unnest(%(steps)s::text[]) order by 1) as left_over
    from ops.incidents
    where closed_at is null
        and steps && %(steps)s::text[]
        and not cause = any(%(still)s::text[])
        and (last_bad_date is null or %(as_of_date)s::date is null
             or last_bad_date <= %(as_of_date)s::date)
        and (%(tables)s::text[] is null or table_name is null or table_name = any(%(tables)s))
        -- while any batch is held it is not over, whatever other batch came through meanwhile
        and not (
            summary ~ 'batch [0-9, ]+ is held'
            and exists (select from ops.landed_files where status = 'held')
        )
    for update
)
update ops.incidents set
    steps = left_over,
    closed_at = case when cardinality(left_over) = 0 then now() end
from met where incidents.incident_id = met.incident_id
returning incidents.*
"""

DECIDE = """
update ops.incidents set steps = '{}', closed_at = now()
where closed_at is null
    and summary ~ 'batch [0-9, ]+ is held'
    and not exists (select from ops.landed_files where status = 'held')
returning *
"""

CARRY_OVER = """
insert into ops.incidents as known
    (cause, kind, severity, title, summary, owner, runbook_entry, table_name, steps,
     first_bad_date, last_bad_date, run_id, seen_count, opened_at, last_seen_at, last_told_at)
values
    (%(cause)s, %(kind)s, %(severity)s, %(title)s, %(summary)s, %(owner)s, %(runbook_entry)s,
     %(table_name)s, %(steps)s, %(first_bad_date)s, %(last_bad_date)s, %(run_id)s, %(seen_count)s,
     %(opened_at)s, %(last_seen_at)s, %(last_told_at)s)
on conflict (cause) where closed_at is null do update set
    seen_count = known.seen_count + excluded.seen_count,
    last_seen_at = greatest(known.last_seen_at, excluded.last_seen_at),
    last_told_at = greatest(known.last_told_at, excluded.last_told_at),
    last_bad_date = greatest(known.last_bad_date, excluded.last_bad_date),
    steps = array(select distinct unnest(known.steps || excluded.steps) order by 1)
"""


@contextmanager
def opened(settings: Settings) -> Iterator[psycopg.Connection[Any]]:
    """Connect to the warehouse, and carry over the incidents that the home's file holds.

    Raises:
        psycopg.OperationalError: If the warehouse does not answer.
    """
    with connect(settings, ROLE) as connection:
        if at_home.has_any(settings):
            with at_home.kept(settings) as kept:
                for incident in kept.values():
                    connection.execute(CARRY_OVER, asdict(incident))
                connection.commit()
                kept.clear()
        yield connection


def note(
    connection: psycopg.Connection[Any], cause: Cause, again: timedelta
) -> tuple[Incident, str | None]:
    """Count a cause as seen.

    Returns:
        The incident, and the event to notify of: opened, again, or None while it is held back.
    """
    with connection.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute(NOTE, vars(cause) | {"again": again}).fetchone()
    assert row is not None  # the statement returns the row it wrote
    is_due = row.pop("is_told")
    incident = Incident(**row)
    event = OPENED if incident.seen_count == 1 else AGAIN
    return incident, event if is_due else None


def settle(
    connection: psycopg.Connection[Any],
    steps: Sequence[str],
    as_of_date: date | None,
    still: Sequence[str] = (),
    tables: Sequence[str] | None = None,
) -> list[Incident]:
    """Remove steps that succeeded from the open incidents, and close those without a step left.

    Args:
        connection: Connection of the role that keeps incidents.
        steps: Steps that succeeded.
        as_of_date: Date of the steps; an incident seen for a later date stays open.
        still: Keys of causes that the same steps have just seen again; they stay open.
        tables: Tables that the steps checked; incidents about another table stay open. None: all.

    Returns:
        The closed incidents.
    """
    given = {
        "steps": list(steps),
        "as_of_date": as_of_date,
        "still": list(still),
        "tables": None if tables is None else list(tables),
    }
    with connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(SETTLE, given).fetchall()
    return [Incident(**row) for row in rows if row["closed_at"]]


def decide(connection: psycopg.Connection[Any]) -> list[Incident]:
    """Close incidents about held batches if no batch is held any more, and return them."""
    with connection.cursor(row_factory=dict_row) as cursor:
        return [Incident(**row) for row in cursor.execute(DECIDE).fetchall()]


def record(
    connection: psycopg.Connection[Any],
    incident: Incident,
    event: str,
    subject: str,
    is_delivered: bool,
    step: str = "",
) -> None:
    """Add a message to ops.alerts; if nobody got it, the cause is notified when next seen."""
    dag_id = (incident.run_id or "").partition("/")[0]
    connection.execute(
        "insert into ops.alerts"
        " (incident_id, event, dag_id, task_id, run_id, as_of_date, subject, is_delivered)"
        " values (%s, %s, %s, %s, %s, %s, %s, %s)",
        (
            incident.incident_id,
            event,
            dag_id or None,
            step.partition(".")[2] or None,
            incident.run_id,
            incident.first_bad_date,
            subject,
            is_delivered,
        ),
    )
    if not is_delivered and event in (OPENED, AGAIN):
        connection.execute(
            "update ops.incidents set last_told_at = null where incident_id = %s",
            [incident.incident_id],
        )


def is_met_by(connection: psycopg.Connection[Any], run_id: str) -> bool:
    """Whether a critical open incident was last seen by this run."""
    row = connection.execute(
        "select exists(select from ops.incidents"
        " where run_id = %s and severity = %s and closed_at is null)",
        [run_id, CRITICAL],
    ).fetchone()
    assert row is not None  # exists() always has one row
    return row[0]


def last_good(connection: psycopg.Connection[Any]) -> dict[str, date]:
    """Newest published date of each question."""
    rows = connection.execute(
        "select question, max(as_of_date) from ops.publications group by question"
    ).fetchall()
    return dict(rows)
