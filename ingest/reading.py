"""Read files of any format: choose the table and the reader, read the layout, then the rows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ingest import csv_reader, json_reader, parquet_reader
from ingest.download import fetch
from ingest.files import (
    CheckedStream,
    Content,
    LandingError,
    ShopFile,
    blocks,
    examine,
    opened,
    require_bounded,
)
from ingest.rows import Layout, Rows
from perennial.sources import Source, SourceTable

# Names of folders that hold a period or a part of a table: 2024, 2024-05, ordered_month=2024-05.
PART_FOLDER = re.compile(r"[0-9]+(?:[-_.][0-9]+)*|[^=]+=.*")


@dataclass(frozen=True)
class Candidate:
    """A file with its table, its path on this machine and its layout."""

    file: ShopFile
    table: SourceTable
    local: Path
    layout: Layout
    row_count: int | None  # as a Parquet file declares; None for formats with countable lines


def table_of(source: Source, file: ShopFile) -> SourceTable:
    """The table that a file holds, by the file's name, else by its folder's name.

    Raises:
        LandingError: If no table or several tables match; if the file is in a folder that is
            neither a table, a period nor key=value, so whether its files count is not known.
    """
    parts = PurePosixPath(file.path).parts[:-1]
    folders = [name for name in parts if not PART_FOLDER.fullmatch(name)]
    tables = [table for table in source.tables if table.holds(file.base_name)]
    if not tables and folders:
        tables = [table for table in source.tables if table.is_named_by(folders[-1])]
    known = "; ".join(f"{table.name}: {' '.join(table.files)}" for table in source.tables)
    if len(tables) != 1:
        fault = "belongs to more than one table" if tables else "belongs to no table"
        raise LandingError(
            f"{file.name} {fault} of source {source.name!r}, by its name or its folder's name "
            f"({known}): rename it, move it away, or name the files with a glob"
        )
    for name in file.folders:
        if PART_FOLDER.fullmatch(name) or any(t.is_named_by(name) for t in source.tables):
            continue
        raise LandingError(
            f"{file.name} is in a folder {name!r}, whose name is neither a date, nor key=value, "
            f"nor a table of source {source.name!r} ({known}), so whether its files count is not "
            "known: move it away, or name the files with a glob, FILES='…/*/*'"
        )
    return tables[0]


def prepare(file: ShopFile, table: SourceTable, folder: Path) -> Candidate:
    """Fetch a file and read its layout; a remote file is copied into `folder`.

    Raises:
        LandingError: If the file can't be read or lacks a column.
    """
    local = fetch(file, folder)
    if file.format == "parquet":
        layout, row_count = parquet_reader.layout(file, table, local)
        _require_no_column_in_folders(file, table, layout)
        return Candidate(file, table, local, layout, row_count)
    reader = csv_reader if file.format == "csv" else json_reader
    with opened(file, local) as stream:
        head = b"".join(blocks(stream.read, reader.HEAD_BYTES))
    if not head:
        examine(file, local)  # raises: the file is empty
    layout = reader.layout(file, table, head)
    _require_no_column_in_folders(file, table, layout)
    return Candidate(file, table, local, layout, None)


def _require_no_column_in_folders(file: ShopFile, table: SourceTable, layout: Layout) -> None:
    """Raise LandingError if a column of the table is only in a folder's name (key=value)."""
    keys = {name.partition("=")[0] for name in PurePosixPath(file.path).parts[:-1] if "=" in name}
    lost = [c for c in table.columns if c.header in keys and c.name not in layout.columns]
    for column in lost:
        raise LandingError(
            f"{file.name} has no column {column.header!r}: it is only in its folder's name, which "
            "is not read. Write the column into the files, too"
        )


def read_rows(
    candidate: Candidate, layout: Layout, stamp: bytes, expected: Content | None = None
) -> Iterator[Rows]:
    """Read a file's rows, from the layout's `body_start` on.

    Args:
        candidate: The file.
        layout: Layout to read with: the candidate's, or one that begins later.
        stamp: Format of a row, see ingest.rows.Trace.
        expected: Content that the first reading saw; None to skip the comparison.

    Raises:
        LandingError: If the content has changed since the first reading.
    """
    file = candidate.file
    if file.format == "parquet":
        byte_count = 0
        for rows in parquet_reader.rows(file, layout, candidate.local, stamp):
            byte_count += len(rows.data)
            require_bounded(file, byte_count, file.limit_bytes)
            yield rows
        sha256 = examine(file, candidate.local).sha256 if expected else None
    else:
        reader = csv_reader if file.format == "csv" else json_reader
        with opened(file, candidate.local) as raw:
            stream = CheckedStream(raw)
            for _ in blocks(stream.read, layout.body_start):
                pass
            yield from reader.rows(file, layout, stream.read, layout.body_line, stamp)
        sha256 = stream.sha256
    if expected and sha256 != expected.sha256:
        raise LandingError(
            f"{file.name} changed while it was read, so nothing was landed: land it again when "
            "the export has finished writing it"
        )
