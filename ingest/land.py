"""Land the shop's files as rows of raw: each content once, each landing in one transaction.

All files are checked before the first row is written. Then every file is read twice: for its digest
and number of lines, and for its rows. Landed rows (counted by Postgres) and rejected records must
add up to the records given (counted by the first reading); otherwise the whole landing is rolled
back. A landed batch is `held` until the gate of raw has validated it.
"""

from __future__ import annotations

import itertools
import logging
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import psycopg
from psycopg import sql

from ingest.copies import copies
from ingest.files import TABLE_PREFIX, Content, LandingError, examine, find
from ingest.ledger import (
    LandedFile,
    Landing,
    current_version,
    enter_counts,
    known_file,
    landing_transaction,
    next_batch_id,
    register,
    same_content,
)
from ingest.newest import in_landing_order
from ingest.personal import Screen, Screening, screening_of
from ingest.reading import Candidate, prepare, read_rows, table_of
from ingest.rows import Layout, Rows, Trace, csv_field
from ingest.schema_change import kept_names, note_columns
from ingest.tables import land_tables, tables_have_news
from ingest.versions import APPENDABLE, Verdict, compare
from perennial import sources
from perennial.settings import Settings
from perennial.sources import Source
from perennial.warehouse import copy_in

log = logging.getLogger(__name__)

SPOOL_BYTES = 1 << 20


def land(settings: Settings, as_of_date: date, files: str, run_id: str) -> Landing:
    """Land what is new in the shop's files.

    Args:
        settings: Settings of the home: shop, source and warehouse.
        as_of_date: Date of the run; replaces `{as_of_date}` in `files`.
        files: Path, folder, glob, fsspec URL, or `table:SCHEMA`.
        run_id: Run that lands.

    Returns:
        The batch and a report of each file.

    Raises:
        LandingError: If a file is missing, empty, damaged, belongs to no table or lacks a column,
            or if the counts don't add up; nothing is landed then.
    """
    source = sources.load(settings.staging_source)
    if files.startswith(TABLE_PREFIX):
        return land_tables(settings, source, as_of_date, files, run_id)
    with (
        _candidates(settings, source, files, as_of_date) as candidates,
        landing_transaction(settings) as connection,
    ):
        screening = screening_of(settings, connection)
        return _land_all(connection, source.name, candidates, screening, (as_of_date, run_id))


def has_news(settings: Settings, as_of_date: date, files: str) -> bool:
    """Whether landing the files would land anything; raises as `land` does."""
    source = sources.load(settings.staging_source)
    if files.startswith(TABLE_PREFIX):
        return tables_have_news(settings, source, as_of_date, files)
    with (
        _candidates(settings, source, files, as_of_date) as candidates,
        landing_transaction(settings) as connection,
    ):
        return any(
            _examine(connection, source.name, candidate)[1].known is None
            for candidate in candidates
        )


@contextmanager
def _candidates(
    settings: Settings, source: Source, named: str, as_of_date: date
) -> Iterator[list[Candidate]]:
    """Check every file before the first row is written; delete remote copies at the end."""
    files = find(named, as_of_date, settings.max_file_bytes)
    tables = [table_of(source, file) for file in files]
    with copies(settings) as folder:
        candidates = [
            prepare(file, table, folder) for file, table in zip(files, tables, strict=True)
        ]
        yield in_landing_order(settings, source, candidates)


def _land_all(
    connection: psycopg.Connection[Any],
    source: str,
    candidates: Iterable[Candidate],
    screening: Screening,
    run: tuple[date, str],
) -> Landing:
    batch_id, landed = None, []
    for candidate in candidates:
        content, verdict = _examine(connection, source, candidate)
        if verdict.known is not None:
            landed.append(known_file(candidate.file.name, candidate.table, verdict.known))
            continue
        batch_id = batch_id or next_batch_id(connection)
        file_id = register(
            connection,
            (batch_id, source, candidate.table.raw_table, candidate.file.name),
            (content.sha256, content.byte_count, verdict),
            run,
        )
        trace = Trace(batch_id, file_id)
        file = _land_file(connection, candidate, content, verdict, trace, screening)
        place = (source, candidate.table, candidate.file.name, file_id)
        is_sparse = candidate.file.format == "json_lines"
        warnings = note_columns(connection, place, candidate.layout.headers, is_sparse=is_sparse)
        landed.append(replace(file, warnings=warnings))
    return Landing(batch_id, tuple(landed))


def _examine(
    connection: psycopg.Connection[Any], source: str, candidate: Candidate
) -> tuple[Content, Verdict]:
    file, table = candidate.file, candidate.table.raw_table
    current = current_version(connection, source, table, file.name)
    is_appendable = current is not None and file.format in APPENDABLE
    prefix_bytes = current.byte_count if current is not None and is_appendable else 0
    content = examine(file, candidate.local, prefix_bytes)
    same = same_content(connection, source, table, content.sha256)
    return content, compare(file.name, file.format, content, current, same)


def _land_file(
    connection: psycopg.Connection[Any],
    candidate: Candidate,
    content: Content,
    verdict: Verdict,
    trace: Trace,
    screening: Screening,
) -> LandedFile:
    file, layout = candidate.file, candidate.layout
    if verdict.continues_file_id is not None:
        layout = replace(layout, body_start=verdict.skip_bytes, body_line=verdict.skip_lines + 1)
    tally, screen = _Tally(), screening(candidate.table, layout)
    with tempfile.SpooledTemporaryFile(SPOOL_BYTES) as spool:
        stream = read_rows(candidate, layout, trace.stamp(layout.delimiter), content)
        for_copy = _split(stream, tally, spool, trace.file_id, screen)
        landed = _copy_rows(connection, candidate, layout, for_copy)
        spool.seek(0)
        rejected = _copy_rejects(connection, iter(lambda: spool.read(SPOOL_BYTES), b""))
    if screen is not None:
        screen.fill_vault(connection, trace.file_id)
    given = candidate.row_count
    if given is None:
        lines = content.line_count - (layout.body_line - 1)
        given = lines - tally.blank_lines - tally.inner_lines
    enter_counts(connection, file.name, trace.file_id, given, landed, rejected)
    note = "landed"
    if verdict.continues_file_id is not None:
        note = f"grew: landed from line {layout.body_line}"
    elif verdict.supersedes_file_id is not None:
        note = f"changed: replaces file {verdict.supersedes_file_id} once it is accepted"
    log.info("%s: %s, %d given, %d landed, %d rejected", file.name, note, given, landed, rejected)
    return LandedFile(
        file.name,
        candidate.table.name,
        trace.file_id,
        given,
        landed,
        rejected,
        kept_names(layout.ignored),
        note,
    )


@dataclass
class _Tally:
    """Counts of lines that begin no record: blank lines, and lines inside longer records."""

    blank_lines: int = 0
    inner_lines: int = 0


def _split(
    chunks: Iterable[Rows], tally: _Tally, spool: Any, file_id: int, screen: Screen | None
) -> Iterator[bytes]:
    """Yield the rows; spool the rejects, because a running COPY occupies the connection."""
    for chunk in chunks:
        tally.blank_lines += chunk.blank_count
        tally.inner_lines += chunk.inner_count
        for reject in map(screen.reject, chunk.rejects) if screen else chunk.rejects:
            line = f"{file_id},{reject.line},{csv_field(reject.reason)},\\x{reject.content.hex()}\n"
            spool.write(line.encode())
        if chunk.data:
            yield screen.rows(chunk.data) if screen else chunk.data


def _copy_rows(
    connection: psycopg.Connection[Any],
    candidate: Candidate,
    layout: Layout,
    chunks: Iterator[bytes],
) -> int:
    columns = map(sql.Identifier, [*Trace.columns, *layout.landed_columns])
    statement = sql.SQL("copy {} ({}) from stdin (format csv, delimiter {})").format(
        sql.Identifier("raw", candidate.table.raw_table),
        sql.SQL(", ").join(columns),
        sql.Literal(layout.delimiter.decode()),
    )
    try:
        return copy_in(connection, statement, chunks)
    except psycopg.DataError as error:
        raise LandingError(
            f"{candidate.file.name}: Postgres could not read a record that the reader had accepted "
            f"({error.diag.message_primary}), so nothing was landed: keep the file and report it"
        ) from None  # the cause quotes the record; logs must hold no personal data


def _copy_rejects(connection: psycopg.Connection[Any], chunks: Iterator[bytes]) -> int:
    first = next(chunks, None)
    if first is None:
        return 0
    statement = sql.SQL(
        "copy ops.rejected_lines (file_id, line_number, reason, content) from stdin (format csv)"
    ).format()
    return copy_in(connection, statement, itertools.chain([first], chunks))
