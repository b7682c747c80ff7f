"""Files to rows, whatever their format: which reader, how the columns stand, and then the rows."""

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

# Folders that say of when, or of what part, their files are: 2024, 2024-05, ordered_month=2024-05.
PART_FOLDER = re.compile(r"[0-9]+(?:[-_.][0-9]+)*|[^=]+=.*")


@dataclass(frozen=True)
class Candidate:
    """A file whose table, place on this machine and layout are known."""

    file: ShopFile
    table: SourceTable
    local: Path
    layout: Layout
    row_count: int | None  # what a Parquet file says; lines are counted for the others


def table_of(source: Source, file: ShopFile) -> SourceTable:
    """The table that a file holds: by its name, else by that of the folder it is in.

    Raises:
        LandingError: If it is none, or may be several; if the file is in a folder whose name does
            not say that its files count.
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
            f"{file.name} {fault} of source {source.name!r}, which goes by the names of files and "
            f"their folders ({known}): rename it, move it away, or name the files with a glob"
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
    """Fetch a file and read its layout; a copy of a remote one is put into `folder`.

    Raises:
        LandingError: If it can't be read or lacks a column.
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
        examine(file, local)  # says that it is empty
    layout = reader.layout(file, table, head)
    _require_no_column_in_folders(file, table, layout)
    return Candidate(file, table, local, layout, None)


def _require_no_column_in_folders(file: ShopFile, table: SourceTable, layout: Layout) -> None:
    """Check that no column of the table stands in a folder's name (key=value) only."""
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
    """Read a file's rows from where the layout says its body begins.

    Raises:
        LandingError: If its content is not the expected one.
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
