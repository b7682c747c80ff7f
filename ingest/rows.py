"""What every reader returns to the landing: the columns of a file, and rows ready for COPY."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from ingest.csv_records import Reject
from ingest.files import LandingError, ShopFile
from perennial.sources import SourceTable
from perennial.text import plain

LONGEST_NAME, MOST_NAMES = 60, 40  # characters and columns that a message shows


@dataclass(frozen=True)
class Layout:
    """The columns of a file, and where its records begin.

    Attributes:
        headers: Fields of a record as the file names them, in the file's order.
        columns: Raw column of each field; None if the table has no such column.
        delimiter: Delimiter of the fields in the file (CSV) and in COPY; one byte.
        body_start: Byte of the uncompressed content at which the records begin.
        body_line: Line, from 1, on which the records begin.
    """

    headers: tuple[str, ...]
    columns: tuple[str | None, ...]
    delimiter: bytes = b","
    body_start: int = 0
    body_line: int = 1

    @property
    def landed_columns(self) -> list[str]:
        """Raw columns that the file fills, in the file's order."""
        return [column for column in self.columns if column is not None]

    @property
    def ignored(self) -> list[str]:
        """Fields of the file without a column in the table."""
        pairs = zip(self.headers, self.columns, strict=True)
        return [header for header, column in pairs if column is None]


@dataclass(frozen=True)
class Rows:
    """Rows of CSV for COPY, trace fields first; a missing value is empty, an empty text is `""`.

    Attributes:
        data: The rows, each ended by a line feed.
        count: Number of rows.
        rejects: Records of the same block that can't be read.
        blank_count: Blank lines of the same block.
        inner_count: Line ends inside records, landed or rejected.
    """

    data: bytes
    count: int
    rejects: list[Reject]
    blank_count: int = 0
    inner_count: int = 0


@dataclass(frozen=True)
class Trace:
    """The origin of a file's rows. Each row also carries its own line number."""

    batch_id: int
    file_id: int

    columns = ("_line", "_batch_id", "_file_id", "_loaded_at")

    def stamp(self, delimiter: bytes) -> bytes:
        """Format of a row, for `stamp % (line, values)`; Postgres reads `now` as landing time."""
        fields = b"%d", b"%d" % self.batch_id, b"%d" % self.file_id, b"now", b"%b\n"
        return delimiter.join(fields)


def csv_field(text: str | None) -> str:
    """Write a text as a CSV field: quoted, or empty for a missing value (None)."""
    return "" if text is None else '"' + text.replace('"', '""') + '"'


def match_columns(
    file: ShopFile, table: SourceTable, headers: Sequence[str]
) -> tuple[str | None, ...]:
    """The raw column of each field of the file; None for fields that the table does not have.

    Raises:
        LandingError: If a required column is missing, or the file has a known column twice.
    """
    by_header = {column.header: column.name for column in table.columns}
    missing = missing_columns(table, headers)
    if missing:
        raise LandingError(_explain_missing(file, table, missing, headers))
    twice = [name for name, count in Counter(headers).items() if count > 1 and name in by_header]
    if twice:
        raise LandingError(
            f"{file.name} has more than one column named {listed(twice)}, so which one holds the "
            "values is not known: rename the other in the export"
        )
    return tuple(by_header.get(header) for header in headers)


def missing_columns(table: SourceTable, headers: Sequence[str]) -> list[str]:
    """Required columns of the table that the headers lack, as files name them."""
    return [
        column.header
        for column in table.columns
        if column.is_required and column.header not in headers
    ]


def listed(names: Sequence[str]) -> str:
    """Format column names for a message: quoted and shortened, since the shop chose them."""
    shown = [
        repr(name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}...") for name in names
    ]
    if len(shown) > MOST_NAMES:
        shown = [*shown[:MOST_NAMES], f"and {len(shown) - MOST_NAMES} more"]
    return ", ".join(map(plain, shown))


def _explain_missing(
    file: ShopFile, table: SourceTable, missing: list[str], headers: Sequence[str]
) -> str:
    known = {column.header for column in table.columns}
    unknown = [header for header in headers if header not in known]
    hints = [f"{listed([other])} may be {listed([name])}"
             for name in missing if (other := closest(name, unknown))]  # fmt: skip
    if not hints and len(missing) == len(unknown) == 1:
        hints = [f"{listed(unknown)}, the only unknown column, may be {listed(missing)}"]
    return (
        f"{file.name} lacks the column{'s' if len(missing) > 1 else ''} "
        f"{listed(missing)} of table {table.name}; it has {listed(headers)}. "
        + (f"Perhaps {'; '.join(hints)}. " if hints else "")
        + "Is its first line a header, and is it this shop's file? Mend the export, or name the "
        f"file's column as meta.header in the {table.raw_table} entry of the source yml"
    )


def closest(name: str, others: Sequence[str]) -> str | None:
    """The other name most similar to `name`, ignoring case; None if no name is similar."""
    lowered = {other.lower(): other for other in others}
    matches = difflib.get_close_matches(name.lower(), lowered, n=1)
    return lowered[matches[0]] if matches else None
