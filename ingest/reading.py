"""Files to rows, whatever their format: which reader, how the columns stand, and then the rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ingest import csv_reader, json_reader, parquet_reader
from ingest.files import (
    CheckedStream,
    Content,
    LandingError,
    ShopFile,
    blocks,
    examine,
    fetch,
    opened,
    require_bounded,
)
from ingest.rows import Layout, Rows
from perennial.sources import SourceTable


@dataclass(frozen=True)
class Candidate:
    """A file whose table, place on this machine and layout are known."""

    file: ShopFile
    table: SourceTable
    local: Path
    layout: Layout
    row_count: int | None  # what a Parquet file says; lines are counted for the others


def prepare(file: ShopFile, table: SourceTable, folder: Path) -> Candidate:
    """Fetch a file and read its layout; a copy of a remote one is put into `folder`.

    Raises:
        LandingError: If it can't be read or lacks a column.
    """
    local = fetch(file, folder)
    if file.format == "parquet":
        layout, row_count = parquet_reader.layout(file, table, local)
        return Candidate(file, table, local, layout, row_count)
    reader = csv_reader if file.format == "csv" else json_reader
    with opened(file, local) as stream:
        head = b"".join(blocks(stream.read, reader.HEAD_BYTES))
    if not head:
        examine(file, local)  # says that it is empty
    return Candidate(file, table, local, reader.layout(file, table, head), None)


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
