"""Batches of landed files: accept, hold or refuse them, and record which files a build used.

A batch is the set of files that one landing took in. The gate or a person sets its status. A build
reads the accepted versions of a file: the newest alone, or, for a file that only grew, a chain of
versions of which each continues the one before.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import psycopg

from ingest.files import LandingError
from ingest.ledger import landing_transaction
from perennial.settings import Settings
from perennial.warehouse import connect

log = logging.getLogger(__name__)

Connection = psycopg.Connection[Any]


def accept(settings: Settings, batch_id: int, reason: str) -> None:
    """Accept a batch. Versions that its files replace are superseded.

    Raises:
        LandingError: If the batch does not exist.
    """
    with landing_transaction(settings) as connection:
        for file_id in _files(connection, batch_id):
            _set(connection, [file_id], "accepted", reason)
            _supersede_others(connection, file_id)


def refuse(settings: Settings, batch_id: int, reason: str) -> None:
    """Refuse a batch. If it was accepted, the versions that it had replaced are accepted again.

    The next build removes the rows of a refused batch.

    Raises:
        LandingError: If the batch does not exist.
    """
    _take_out(settings, batch_id, "refused", reason)


def take_back(settings: Settings, batch_id: int, reason: str) -> None:
    """Hold a batch that had been accepted, until a person accepts or refuses it.

    The next build removes its rows; the versions that it had replaced are accepted again.

    Raises:
        LandingError: If the batch does not exist.
    """
    _take_out(settings, batch_id, "held", reason)


def _take_out(settings: Settings, batch_id: int, status: str, reason: str) -> None:
    with landing_transaction(settings) as connection:
        for file_id in reversed(_files(connection, batch_id)):
            was_accepted = _status(connection, file_id) == "accepted"
            _set(connection, [file_id], status, reason)
            if was_accepted:
                _bring_back(connection, file_id)


def hold(settings: Settings, batch_id: int, reason: str) -> None:
    """Record why a batch waits for a person. Files that are no longer held keep their status.

    Raises:
        LandingError: If the batch does not exist.
    """
    with landing_transaction(settings) as connection:
        waiting = [
            file_id
            for file_id in _files(connection, batch_id)
            if _status(connection, file_id) == "held"
        ]
        _set(connection, waiting, "held", reason)


def status(settings: Settings, batch_id: int) -> str:
    """Status of a batch. If its files differ: the first of held, accepted, refused, superseded.

    Raises:
        LandingError: If the batch does not exist.
    """
    with landing_transaction(settings) as connection:
        statuses = {_status(connection, file_id) for file_id in _files(connection, batch_id)}
    return next(name for name in ("held", "accepted", "refused", "superseded") if name in statuses)


def close_build(settings: Settings) -> dict[str, Any]:
    """Record which files a successful dbt build used, and which published dates it touched.

    A file that was added or removed since the last build touches every published date after the
    file's first order day: the scores of those dates were computed without the change.

    Returns:
        Counts `files_added`, `files_removed` and `late_dates`.
    """
    with connect(settings, "transformer") as connection:
        late_dates = connection.execute(_NOTE_LATE_DATES).rowcount
        removed = connection.execute(_REMOVE_BUILT).rowcount
        added = connection.execute(_ADD_BUILT).rowcount
        # dbt identifies builds by these times, including a build that only undid an unfinished one
        connection.execute(_STAMP_BUILT)
    return {"files_added": added, "files_removed": removed, "late_dates": late_dates}


# These read the statuses that the build read: a batch may have been accepted or refused since.
_NOTE_LATE_DATES = """
    insert into ops.late_dates (question, as_of_date, file_id, first_touched_date)
    select
        publications.question,
        publications.as_of_date,
        changed_files.file_id,
        changed_files.first_touched_date
    from intermediate.int_changed_files as changed_files
    join ops.publications on publications.as_of_date > changed_files.first_touched_date
    on conflict (question, as_of_date, file_id) do update
    set first_touched_date = excluded.first_touched_date, noted_at = excluded.noted_at
"""

_REMOVE_BUILT = """
    delete from ops.built_files
    where file_id not in (select file_id from staging.stg_ops__landed_files where is_accepted)
"""

_ADD_BUILT = """
    insert into ops.built_files (file_id)
    select file_id from staging.stg_ops__landed_files where is_accepted
    on conflict (file_id) do nothing
"""


_STAMP_BUILT = """
    update ops.built_files
    set built_at = now(), rules = (select min(rules) from staging.stg_ops__landed_files)
"""


def _files(connection: Connection, batch_id: int) -> list[int]:
    rows = connection.execute(
        "select file_id from ops.landed_files where batch_id = %s order by file_id", [batch_id]
    ).fetchall()
    if not rows:
        raise LandingError(f"there is no batch {batch_id}: `make batches` lists all batches")
    return [file_id for (file_id,) in rows]


def _status(connection: Connection, file_id: int) -> str:
    row = connection.execute(
        "select status from ops.landed_files where file_id = %s", [file_id]
    ).fetchone()
    assert row is not None
    return row[0]


def _set(connection: Connection, file_ids: Sequence[int], new_status: str, reason: str) -> None:
    if not file_ids:
        return
    connection.execute(
        "update ops.landed_files set status = %s, status_reason = %s where file_id = any(%s)",
        [new_status, reason, list(file_ids)],
    )
    log.info("files %s: %s (%s)", file_ids, new_status, reason)


# `parts`: the versions that a version continues (directly or not), and those that continue it.
_PARTS = """
    with recursive before as (
        select file_id, continues_file_id from ops.landed_files where file_id = %(file_id)s
        union
        select earlier.file_id, earlier.continues_file_id
        from ops.landed_files as earlier
        join before on before.continues_file_id = earlier.file_id
    ),

    parts as (
        select file_id from before
        union
        select later.file_id
        from ops.landed_files as later
        join parts on later.continues_file_id = parts.file_id
    )
"""

_OTHERS = (
    _PARTS
    + """
    select other.file_id, other.status
    from ops.landed_files as other
    join ops.landed_files as this
        on this.source = other.source
        and this.table_name = other.table_name
        and this.file_name = other.file_name
    where this.file_id = %(file_id)s and other.file_id not in (select file_id from parts)
    order by other.file_id
    """
)


def _supersede_others(connection: Connection, file_id: int) -> None:
    """Supersede or refuse the file's other versions; accept again the parts it continues."""
    key = {"file_id": file_id}
    reason = f"file {file_id}, another version, was accepted"
    others = connection.execute(_OTHERS, key).fetchall()
    _set(connection, [other for other, was in others if was == "accepted"], "superseded", reason)
    outdated = [other for other, was in others if was == "held" and other < file_id]
    _set(connection, outdated, "refused", f"{reason} before this one was decided on")
    parts = connection.execute(
        _PARTS + "select file_id from ops.landed_files join before using (file_id)"
        " where status = 'superseded'",
        key,
    ).fetchall()
    _set(connection, [part for (part,) in parts], "accepted", f"file {file_id} continues it")


def _bring_back(connection: Connection, file_id: int) -> None:
    """Accept the newest superseded version again, unless a part of this one is still accepted."""
    key = {"file_id": file_id}
    in_force = connection.execute(
        _PARTS + "select file_id from ops.landed_files join before using (file_id)"
        " where status = 'accepted'",
        key,
    ).fetchall()
    superseded = [other for other, was in connection.execute(_OTHERS, key) if was == "superseded"]
    if in_force or not superseded:
        return
    parts = connection.execute(
        _PARTS + "select file_id from ops.landed_files join before using (file_id)"
        " where status = 'superseded'",
        {"file_id": superseded[-1]},
    ).fetchall()
    reason = f"file {file_id}, which had replaced it, was refused"
    _set(connection, [part for (part,) in parts], "accepted", reason)


def batches(settings: Settings) -> list[tuple[Any, ...]]:
    """List batches, newest first.

    Returns:
        One tuple a batch: id, as_of_date, status, count of files, rows landed, records rejected,
        reason of the status.
    """
    with connect(settings, "loader") as connection:
        return connection.execute(
            """
            select
                batch_id, as_of_date, string_agg(distinct status, ', '), count(*),
                sum(landed_count), sum(rejected_count), min(status_reason)
            from ops.landed_files
            group by batch_id, as_of_date
            order by batch_id desc
            """
        ).fetchall()
