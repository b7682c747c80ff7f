"""Read and write ops.landed_files, the ledger of landings: one row for each version of a file."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import date
from typing import Any

import psycopg

from ingest.csv_records import UNCLOSED
from ingest.files import LandingError
from ingest.versions import Verdict, Version
from perennial.settings import Settings
from perennial.sources import SourceTable
from perennial.warehouse import connect

log = logging.getLogger(__name__)

LOCK = "perennial.land"


@dataclass(frozen=True)
class LandedFile:
    """The report of one file in a landing.

    Attributes:
        name: Full path, URL or table.
        table: Table of the source that the file holds.
        file_id: Key in ops.landed_files; None if this content was landed before.
        given: Records in the file; equals `landed` + `rejected`.
        landed: Rows added to raw.
        rejected: Records that can't be read.
        ignored_columns: Columns of the file that the table does not have.
        note: Outcome in words.
        warnings: Changes of the columns, in sentences.
    """

    name: str
    table: str
    file_id: int | None
    given: int
    landed: int
    rejected: int
    ignored_columns: list[str]
    note: str
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Landing:
    """A landing; `batch_id` is None when every file had been landed before."""

    batch_id: int | None
    files: tuple[LandedFile, ...]

    def summary(self) -> dict[str, Any]:
        """Counts of the landing and of each file, JSON-able."""
        return {
            "batch_id": self.batch_id,
            "given": sum(file.given for file in self.files),
            "landed": sum(file.landed for file in self.files),
            "rejected": sum(file.rejected for file in self.files),
            "files": [asdict(file) for file in self.files],
            "warnings": [line for file in self.files for line in file.warnings],
            "judged": sorted({f"raw.{file.table}" for file in self.files if file.file_id}),
        }


@contextmanager
def landing_transaction(settings: Settings) -> Iterator[psycopg.Connection[Any]]:
    """Open a transaction as loader that excludes every other landing and change of status."""
    with connect(settings, "loader", autocommit=True) as connection:
        # lock before the transaction begins: its snapshot must be newer than the last landing
        connection.execute("select pg_advisory_lock(hashtext(%s))", [LOCK])
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        with connection.transaction():
            yield connection


def next_batch_id(connection: psycopg.Connection[Any]) -> int:
    """Draw the id of a new batch."""
    row = connection.execute("select nextval('ops.batch_id_seq')").fetchone()
    assert row is not None
    return row[0]


def known_file(name: str, table: SourceTable, known: Version) -> LandedFile:
    """The report of a file that was landed before."""
    note = f"known already: batch {known.batch_id}, {known.status}"
    log.info("%s: %s", name, note)
    if known.status == "refused":
        note += f"; `make accept BATCH={known.batch_id}` takes it in after all"
    return LandedFile(name, table.name, None, 0, 0, 0, [], note)


_VERSION = """
    select
        file_id, batch_id, file_name, content_sha256, byte_count, status,
        exists (
            select from ops.rejected_lines
            where rejected_lines.file_id = landed_files.file_id and reason = %(unclosed)s
        ) as has_open_end
    from ops.landed_files
    where source = %(source)s and table_name = %(table)s and
"""


def current_version(
    connection: psycopg.Connection[Any], source: str, table: str, name: str
) -> Version | None:
    """The newest accepted version of a file."""
    row = connection.execute(
        _VERSION + "file_name = %(name)s and status = 'accepted' order by file_id desc limit 1",
        {"source": source, "table": table, "name": name, "unclosed": UNCLOSED},
    ).fetchone()
    return Version(*row) if row else None


def same_content(
    connection: psycopg.Connection[Any], source: str, table: str, content_sha256: str
) -> list[Version]:
    """Landings of the same content, newest first."""
    rows = connection.execute(
        _VERSION + "content_sha256 = %(sha256)s order by file_id desc",
        {"source": source, "table": table, "sha256": content_sha256, "unclosed": UNCLOSED},
    )
    return [Version(*row) for row in rows]


def register(
    connection: psycopg.Connection[Any],
    place: tuple[int, str, str, str],
    content: tuple[str, int, Verdict],
    run: tuple[date, str],
) -> int:
    """Insert a new version into ops.landed_files, with counts of 0, and return its file_id.

    Args:
        connection: Connection in the landing's transaction.
        place: Batch id, source, raw table, file name.
        content: Digest, length in bytes, and the verdict on the content.
        run: The run's date and id.
    """
    sha256, byte_count, verdict = content
    row = connection.execute(
        """
        insert into ops.landed_files (
            batch_id, source, table_name, file_name, content_sha256, byte_count, first_line,
            record_count, landed_count, rejected_count,
            supersedes_file_id, continues_file_id, as_of_date, run_id
        ) values (%s, %s, %s, %s, %s, %s, %s, 0, 0, 0, %s, %s, %s, %s) returning file_id
        """,
        [
            *place,
            sha256,
            byte_count,
            verdict.skip_lines + 1,
            verdict.supersedes_file_id,
            verdict.continues_file_id,
            *run,
        ],
    ).fetchone()
    assert row is not None
    return row[0]


def enter_counts(
    connection: psycopg.Connection[Any],
    name: str,
    file_id: int,
    given: int,
    landed: int,
    rejected: int,
) -> None:
    """Write the counts of a file to ops.landed_files.

    Raises:
        LandingError: If `landed` and `rejected` don't add up to `given`.
    """
    if landed + rejected != given:
        raise LandingError(
            f"{name} does not add up: {given} records given, {landed} landed + {rejected} "
            "rejected. Nothing was landed: this is a fault of the reader, not of the file; "
            "keep the file and report it"
        )
    connection.execute(
        "update ops.landed_files set record_count = %s, landed_count = %s, rejected_count = %s"
        " where file_id = %s",
        [given, landed, rejected, file_id],
    )
