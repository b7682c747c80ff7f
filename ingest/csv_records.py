"""Find the records of a block of CSV: where each one begins and ends, and which can't be read.

The grammar is RFC 4180's, read strictly: a field is quoted as a whole or holds no quote. A line
ends with LF, CR LF or CR, in any mixture. Blank lines are no records. Where quotes are broken
nobody can know what was meant, so the line on which that record begins is rejected and reading
goes on with the next line: a broken quote costs the lines around it, not the file.

Records are located with array operations over a block, at a few nanoseconds a byte. The result does
not depend on how the file was cut into blocks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Positions = NDArray[np.int64]
Bytes = NDArray[np.uint8]

QUOTE, LF, CR = b'"\n\r'

# A quote that is still open after this many bytes counts as broken: no shop's record is longer.
MAX_RECORD_BYTES = 1 << 20

UNCLOSED = "quote never closed"
STRAY_QUOTE = "quote inside a field that does not begin with one"
TEXT_AFTER_QUOTE = "text after a closing quote"
BACKSLASH_QUOTE = 'a quote written as \\", which CSV writes as ""'
NUL_BYTE = "NUL byte"
NOT_UTF8 = "not UTF-8"
DELIMITER_AT_END = "a delimiter at the end of the line, which the header has not"


class LineTooLongError(ValueError):
    """A line is longer than any record may be: this is hardly a CSV file."""


@dataclass(frozen=True)
class Reject:
    """A record that can't be read: its first line's number, the reason, its bytes.

    The bytes are without the line end.
    """

    line: int
    reason: str
    content: bytes


@dataclass(frozen=True)
class Records:
    """The records of a block.

    Attributes:
        consumed: Bytes of the block that were read; the rest belongs to the next block.
        line_count: Lines in the consumed bytes.
        blank_count: Blank lines in the consumed bytes.
        starts: First byte of each sound record, int64 of shape (n_records,).
        ends: Byte after each record's last byte, line end excluded; shape (n_records,).
        lines: Line of the file on which each record begins; shape (n_records,).
        delimiters: Position of each record's delimiters outside quotes, shape
            (n_records, n_columns - 1); None unless requested.
        rejects: Records that can't be read, in order of line.
        is_broken: Whether reading stopped at a broken quote. The last reject is then the line with
            that quote.
    """

    consumed: int
    line_count: int
    blank_count: int
    starts: Positions
    ends: Positions
    lines: Positions
    delimiters: Positions | None
    rejects: list[Reject]
    is_broken: bool


def count_lines(data: bytes) -> int:
    """Count line ends: LF, CR LF and CR count one each."""
    if b"\r" not in data:
        return data.count(b"\n")
    return data.count(b"\n") + data.count(b"\r") - data.count(b"\r\n")


def find_records(
    block: bytes,
    n_columns: int,
    delimiter: bytes,
    first_line: int,
    *,
    is_last: bool,
    with_delimiters: bool = False,
) -> Records:
    """Find the records of a block that begins where a record begins.

    Args:
        block: Bytes of the file.
        n_columns: Number of fields that a record must have.
        delimiter: One byte.
        first_line: Line of the file, from 1, on which the block begins.
        is_last: Whether the file ends with the block.
        with_delimiters: Whether to return the positions of each sound record's delimiters.

    Raises:
        LineTooLongError: If a line is longer than MAX_RECORD_BYTES.
    """
    data = np.frombuffer(block, np.uint8)
    quotes = np.flatnonzero(data == QUOTE)
    line_ends = _line_ends(data, is_last)
    record_line = np.flatnonzero((np.searchsorted(quotes, line_ends) & 1) == 0)
    ends = line_ends[record_line]
    if is_last and len(quotes) % 2 == 0 and len(block) > (ends[-1] + 1 if len(ends) else 0):
        ends = np.append(ends, len(block))  # the last record has no line end
        record_line = np.append(record_line, len(line_ends))
    broken = _first_broken(data, quotes, line_ends, ends, delimiter, is_last)
    if broken is not None:
        ends = ends[ends < broken.start]
        record_line = record_line[: len(ends)]
    starts = np.concatenate([np.zeros(1, np.int64), ends + 1])
    lines = first_line + np.concatenate([np.zeros(1, np.int64), record_line + 1])
    consumed = min(int(starts[-1]), len(block))
    sound = _sound_records(
        block, data, quotes, (starts[:-1], ends, lines[:-1]), n_columns, delimiter, with_delimiters
    )
    line_count = int(lines[-1]) - first_line
    rejects = sound.rejects
    if broken is not None:
        rejects.append(Reject(int(lines[-1]), broken.reason, block[broken.start : broken.end]))
        consumed, line_count = broken.next_start, line_count + 1
    return Records(
        consumed,
        line_count,
        sound.blank_count,
        sound.starts,
        sound.ends,
        sound.lines,
        sound.delimiters,
        rejects,
        broken is not None,
    )


def _line_ends(data: Bytes, is_last: bool) -> Positions:
    """Position of each line end; for CR LF the position of LF."""
    is_end = data == LF
    is_return = data == CR
    if is_return.any():
        is_return[:-1] &= ~is_end[1:]
        if not is_last:
            is_return[-1] = False  # the next block may begin with its LF
        is_end |= is_return
    return np.flatnonzero(is_end)


@dataclass(frozen=True)
class _Broken:
    """First line of a record with broken quotes: block[start:end]; next_start is the line after."""

    start: int
    end: int
    next_start: int
    reason: str


def _first_broken(
    data: Bytes,
    quotes: Positions,
    line_ends: Positions,
    ends: Positions,
    delimiter: bytes,
    is_last: bool,
) -> _Broken | None:
    starts = np.concatenate([np.zeros(1, np.int64), ends + 1])
    bad_quote, reason = _first_bad_quote(data, quotes, delimiter)
    tail = int(starts[-1])
    candidates = []
    if bad_quote is not None:
        start = int(starts[np.searchsorted(ends, bad_quote)])
        candidates.append((start, reason if bad_quote - start <= MAX_RECORD_BYTES else UNCLOSED))
    too_long = np.flatnonzero(ends - starts[:-1] > MAX_RECORD_BYTES)
    if len(too_long):
        candidates.append((int(starts[too_long[0]]), UNCLOSED))
    # one byte of grace: it may be the CR of a CR LF
    if tail < len(data) and (is_last or len(data) - tail > MAX_RECORD_BYTES + 1):
        candidates.append((tail, UNCLOSED))
    if not candidates:
        return None
    start, reason = min(candidates, key=lambda candidate: candidate[0])
    return _first_line(data, line_ends, start, reason, is_last)


def _first_line(
    data: Bytes, line_ends: Positions, start: int, reason: str, is_last: bool
) -> _Broken | None:
    position = int(np.searchsorted(line_ends, start))
    is_complete = position < len(line_ends)
    end = int(line_ends[position]) if is_complete else len(data)
    if end - start > MAX_RECORD_BYTES + (not is_complete and not is_last):
        raise LineTooLongError(f"a line is longer than {MAX_RECORD_BYTES:,} bytes")
    if not is_complete and not is_last:
        return None  # its end is in the next block
    has_return = is_complete and end > start and data[end] == LF and data[end - 1] == CR
    if reason != UNCLOSED and b'\\"' in data[start:end].tobytes():
        reason = BACKSLASH_QUOTE
    return _Broken(start, end - int(has_return), min(end + 1, len(data)), reason)


def _first_bad_quote(data: Bytes, quotes: Positions, delimiter: bytes) -> tuple[int | None, str]:
    """The first quote that neither opens nor closes a field nor stands for itself (`""`)."""
    opening, closing = quotes[0::2], quotes[1::2]
    edge = np.array([delimiter[0], LF, CR], np.uint8)
    follows_closing = np.zeros(len(opening), bool)
    follows_closing[1:] = opening[1:] == closing[: len(opening) - 1] + 1
    stray = opening[~(follows_closing | (opening == 0) | np.isin(data[opening - 1], edge))]
    inner = closing[closing < len(data) - 1]
    text_after = inner[~np.isin(data[inner + 1], [*edge, QUOTE])]
    first_stray = int(stray[0]) if len(stray) else len(data)
    first_text = int(text_after[0]) if len(text_after) else len(data)
    if first_stray == first_text:  # neither exists
        return None, ""
    return min((first_stray, STRAY_QUOTE), (first_text, TEXT_AFTER_QUOTE))


@dataclass(frozen=True)
class _Sound:
    blank_count: int
    starts: Positions
    ends: Positions
    lines: Positions
    delimiters: Positions | None
    rejects: list[Reject]


def _sound_records(
    block: bytes,
    data: Bytes,
    quotes: Positions,
    records: tuple[Positions, Positions, Positions],
    n_columns: int,
    delimiter: bytes,
    with_delimiters: bool,
) -> _Sound:
    """Split records with correct quotes into sound records, blank lines and rejects."""
    starts, ends, lines = records
    if not len(ends):
        return _Sound(0, starts, ends, lines, ends.reshape(0, n_columns - 1), [])
    quotes = quotes[: np.searchsorted(quotes, ends[-1])]
    contents = ends - _is_crlf(data, starts, ends)
    is_blank = contents == starts
    delimiters = np.flatnonzero(data == delimiter[0])
    delimiters = delimiters[: np.searchsorted(delimiters, ends[-1])]
    delimiters = outside_quotes(delimiters, quotes)
    counts = np.diff(np.searchsorted(delimiters, ends), prepend=0)
    is_wrong = (counts != n_columns - 1) & ~is_blank
    reasons = {
        int(row): f"{counts[row] + 1} fields, expected {n_columns}"
        for row in np.flatnonzero(is_wrong)
    }
    has_sign_at_end = (counts == n_columns) & (data[np.maximum(contents - 1, 0)] == delimiter[0])
    reasons |= {int(row): DELIMITER_AT_END for row in np.flatnonzero(has_sign_at_end & is_wrong)}
    used = int(ends[-1])
    reasons |= {row: NOT_UTF8 for row in _rows_not_utf8(block[:used], starts, ends)}
    if 0 in block:
        nul_rows = np.searchsorted(ends, np.flatnonzero(data[:used] == 0))
        reasons |= {int(row): NUL_BYTE for row in nul_rows}
    is_sound = ~is_blank
    is_sound[list(reasons)] = False
    rejects = [
        Reject(int(lines[row]), reasons[row], block[int(starts[row]) : int(contents[row])])
        for row in sorted(reasons)
    ]
    fields = None
    if with_delimiters:
        fields = delimiters[np.repeat(is_sound, counts)].reshape(-1, n_columns - 1)
    if is_sound.all():
        return _Sound(0, starts, contents, lines, fields, rejects)
    return _Sound(
        int(is_blank.sum()), starts[is_sound], contents[is_sound], lines[is_sound], fields, rejects
    )


def _is_crlf(data: Bytes, starts: Positions, ends: Positions) -> NDArray[np.bool_]:
    """Whether each record ends with CR LF; the last one may have no line end at all."""
    last = np.minimum(ends, len(data) - 1)
    return (data[last] == LF) & (ends > starts) & (data[last - 1] == CR)


def outside_quotes(positions: Positions, quotes: Positions) -> Positions:
    """Positions that are not between an opening and a closing quote.

    Args:
        positions: Sorted positions, shape (n_positions,).
        quotes: Sorted positions of all quotes, an even number.
    """
    if not len(quotes):
        return positions
    bounds = np.searchsorted(positions, quotes).reshape(-1, 2)
    bounds = bounds[bounds[:, 0] < bounds[:, 1]]
    if not len(bounds):
        return positions
    depth = np.zeros(len(positions) + 1, np.int8)
    depth[bounds[:, 0]] += 1
    depth[bounds[:, 1]] -= 1
    return positions[np.cumsum(depth[:-1], dtype=np.int8) == 0]


def _rows_not_utf8(block: bytes, starts: Positions, ends: Positions) -> list[int]:
    if block.isascii() or _is_utf8(block):
        return []
    rows = zip(starts.tolist(), ends.tolist(), strict=True)
    return [row for row, (start, end) in enumerate(rows) if not _is_utf8(block[start:end])]


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
