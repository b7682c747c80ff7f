"""Stream CSV to rows for COPY.

Fields are not parsed. The structure of a record is checked, and the record goes to COPY byte for
byte behind its trace fields. Postgres reads CSV by the same rules: `""` is an empty string, an
empty field a missing value. Postgres also counts the rows a second time.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator

import numpy as np

from ingest.csv_records import LineTooLongError, Positions, Records, count_lines, find_records
from ingest.files import LandingError, ShopFile
from ingest.rows import Layout, Rows, match_columns
from perennial.sources import SourceTable

BLOCK_BYTES = 1 << 20
AFTER_BROKEN_BYTES = 1 << 12  # block size after a broken quote
HEAD_BYTES = 1 << 20
DELIMITERS = b",;\t|"
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
SEPARATOR_HINT = re.compile(rb'"?sep=([,;\t|])"?', re.IGNORECASE)  # Excel's own first line
MOST_TITLE_LINES = 50
UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


def layout(file: ShopFile, table: SourceTable, head: bytes) -> Layout:
    """Read the header: the first line that is not blank.

    Args:
        file: The file, for messages.
        table: Table that the file holds.
        head: The first HEAD_BYTES of the content.

    Raises:
        LandingError: If the header can't be read or lacks a required column.
    """
    if head.startswith(UTF16_MARKS):
        raise LandingError(f"{file.name} is UTF-16: have it saved as UTF-8")
    mark = len(BYTE_ORDER_MARK) if head.startswith(BYTE_ORDER_MARK) else 0
    lines = head[mark:].splitlines(keepends=True)
    hint = SEPARATOR_HINT.fullmatch(lines[0].strip())
    above = int(hint is not None)
    delimiter = hint[1] if hint else _delimiter(lines, table)
    headers, line_count = _header(file, lines[above:], delimiter)
    try:
        columns = match_columns(file, table, headers)
    except LandingError as error:
        raise _with_place_of_header(error, lines, table, delimiter) from None
    body_line = above + line_count + 1
    body_start = mark + sum(map(len, lines[: body_line - 1]))
    return Layout(headers, columns, delimiter, body_start, body_line)


def _with_place_of_header(
    error: LandingError, lines: list[bytes], table: SourceTable, delimiter: bytes
) -> LandingError:
    """The error about missing columns, with the line that has them if they come under a title."""
    needed = {column.header.encode() for column in table.columns if column.is_required}
    for number, line in enumerate(lines[:MOST_TITLE_LINES], start=1):
        for sign in (delimiter, *(bytes([code]) for code in DELIMITERS)):
            if needed <= {name.strip(b' "\r\n') for name in line.split(sign)}:
                return LandingError(
                    f"{error}. The columns stand on line {number}: delete the lines above it"
                )
    return error


def _delimiter(lines: list[bytes], table: SourceTable) -> bytes:
    """The delimiter that yields most of the table's column names; a comma if none yields any."""
    header = next((line for line in lines if line.strip()), b"")
    names = {column.header.encode() for column in table.columns}

    def count_known(delimiter: bytes) -> int:
        return len(names & {name.strip(b' "\r\n') for name in header.split(delimiter)})

    return max((bytes([code]) for code in DELIMITERS), key=count_known)


def _header(file: ShopFile, lines: list[bytes], delimiter: bytes) -> tuple[tuple[str, ...], int]:
    """The header's names, and the number of lines before the records."""
    reader = csv.reader(
        (line.decode() for line in lines), delimiter=delimiter.decode(), strict=True
    )
    try:
        for names in reader:
            if any(name.strip() for name in names):
                return tuple(name.strip() for name in names), reader.line_num
    except (csv.Error, UnicodeDecodeError) as error:
        raise LandingError(
            f"{file.name}: its header can't be read ({error}). Is it CSV in UTF-8, not "
            "compressed, not a spreadsheet's own format?"
        ) from error
    raise LandingError(f"{file.name} holds blank lines only: the export broke off")


def rows(
    file: ShopFile,
    file_layout: Layout,
    read: Callable[[int], bytes],
    first_line: int,
    stamp: bytes,
    block_bytes: int = BLOCK_BYTES,
) -> Iterator[Rows]:
    """Read records to the end of the file. The rows do not depend on `block_bytes`.

    Args:
        file: The file, for messages.
        file_layout: Layout of the file.
        read: Returns the next bytes of the body; the first byte begins a record.
        first_line: Line of the file, from 1, on which the body begins.
        stamp: Format of a row, see Trace.
        block_bytes: Bytes that are parsed at once.

    Yields:
        The rows and rejects of a block.

    Raises:
        LandingError: If a line is longer than any record may be.
    """
    buffer, position, is_last = b"", 0, False
    size, line = block_bytes, first_line
    has_ignored = bool(file_layout.ignored)
    while True:
        while not is_last and len(buffer) - position < size:
            block = read(max(block_bytes, size))
            buffer, position, is_last = buffer[position:] + block, 0, not block
        if position == len(buffer):
            return
        view = buffer[position : position + size]
        try:
            records = find_records(
                view,
                len(file_layout.headers),
                file_layout.delimiter,
                line,
                is_last=is_last and position + len(view) == len(buffer),
                with_delimiters=has_ignored,
            )
        except LineTooLongError as error:
            raise LandingError(
                f"{file.name}, after line {line}: {error}. Is it CSV, with line ends?"
            ) from error
        if records.consumed:
            yield _rows(view, records, file_layout, stamp)
            position, line = position + records.consumed, line + records.line_count
        if records.is_broken:
            size = min(size, AFTER_BROKEN_BYTES)  # broken quotes seldom come alone
        elif records.consumed:
            size = min(4 * size, block_bytes)
        else:
            size *= 4  # the record is longer than the view


def _rows(block: bytes, records: Records, file_layout: Layout, stamp: bytes) -> Rows:
    starts, ends = records.starts, records.ends
    if records.delimiters is None:
        data = _stamped(block, records.lines, starts, ends, stamp)
        inner_count = count_lines(data) - len(starts)
    else:
        # count line ends before dropping fields, which may contain some
        whole = _stamped(block, records.lines, starts, ends, b"%d%b\n")
        inner_count = count_lines(whole) - len(starts)
        data = _stamped(*_without_ignored(block, records, file_layout), stamp)
    inner_count += sum(count_lines(reject.content) for reject in records.rejects)
    return Rows(data, len(starts), records.rejects, records.blank_count, inner_count)


def _stamped(
    block: bytes, lines: Positions, starts: Positions, ends: Positions, stamp: bytes
) -> bytes:
    positions = zip(lines.tolist(), starts.tolist(), ends.tolist(), strict=True)
    return b"".join([stamp % (line, block[start:end]) for line, start, end in positions])


def _without_ignored(
    block: bytes, records: Records, file_layout: Layout
) -> tuple[bytes, Positions, Positions, Positions]:
    """Keep the landed fields of the records.

    Returns:
        The new bytes; lines, starts and ends of the records in them, each of shape (n_records,).
    """
    assert records.delimiters is not None
    starts, ends = records.starts[:, None], records.ends[:, None]
    field_starts = np.hstack([starts, records.delimiters + 1])
    field_ends = np.hstack([records.delimiters, ends])
    kept = [index for index, column in enumerate(file_layout.columns) if column is not None]
    # mark each kept field and the byte after it, which becomes a delimiter
    depth = np.zeros(len(block) + 2, np.int8)
    np.add.at(depth, field_starts[:, kept], 1)
    np.add.at(depth, field_ends[:, kept] + 1, -1)
    is_kept = np.cumsum(depth, dtype=np.int8)[: len(block) + 1] > 0
    data = np.frombuffer(block + b"\n", np.uint8).copy()
    data[field_ends[:, kept]] = file_layout.delimiter[0]
    lengths = (field_ends[:, kept] + 1 - field_starts[:, kept]).sum(axis=1)
    new_ends = np.cumsum(lengths)
    return data[is_kept].tobytes(), records.lines, new_ends - lengths, new_ends - 1
