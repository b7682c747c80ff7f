"""A second CSV reader, one byte at a time: slow, plain, and independent of the first."""

from __future__ import annotations

from ingest.csv_records import (
    BACKSLASH_QUOTE,
    DELIMITER_AT_END,
    NOT_UTF8,
    NUL_BYTE,
    STRAY_QUOTE,
    TEXT_AFTER_QUOTE,
    UNCLOSED,
    LineTooLongError,
)


def naive(
    data: bytes, n_columns: int, longest: int, delimiter: bytes = b","
) -> tuple[list[tuple[int, bytes]], list[tuple[int, str, bytes]], int]:
    """Parse the same grammar, one byte at a time."""
    landed, rejects, blanks, position, line = [], [], 0, 0, 1
    while position < len(data):
        reason, n_fields, end = _naive_record(data, position, longest, delimiter)
        if reason:
            end = _line_end(data, position)
            if reason != UNCLOSED and b'\\"' in data[position:end]:
                reason = BACKSLASH_QUOTE
            if end + (data[end : end + 2] == b"\r\n") - position > longest:
                raise LineTooLongError
            rejects.append((line, reason, data[position:end]))
        else:
            content = data[position:end]
            if 0 in content:
                rejects.append((line, NUL_BYTE, content))
            elif not _is_utf8(content):
                rejects.append((line, NOT_UTF8, content))
            elif not content:
                blanks += 1
            elif n_fields == n_columns + 1 and content[-1:] == delimiter:
                rejects.append((line, DELIMITER_AT_END, content))
            elif n_fields != n_columns:
                rejects.append((line, f"{n_fields} fields, expected {n_columns}", content))
            else:
                landed.append((line, content))
        following = end + (2 if data[end : end + 2] == b"\r\n" else 1)
        line += len(data[position:following].splitlines())
        position = following
    return landed, rejects, blanks


def _naive_record(data: bytes, start: int, longest: int, delimiter: bytes) -> tuple[str, int, int]:
    """Parse one record: its defect or "", number of fields, offset after its content."""
    position, n_fields, state = start, 1, "field start"
    while position < len(data):
        character = data[position : position + 1]
        if state == "quoted":
            if character == b'"':
                state = "quote in quoted"
        elif character == b'"':
            if state == "plain":
                return (STRAY_QUOTE if position - start <= longest else UNCLOSED), 0, 0
            state = "quoted"
        elif character in b"\r\n":
            break
        elif character == delimiter:
            n_fields, state = n_fields + 1, "field start"
        elif state == "quote in quoted":
            reason = TEXT_AFTER_QUOTE if position - 1 - start <= longest else UNCLOSED
            return reason, 0, 0
        else:
            state = "plain"
        position += 1
    ended_by = position + (data[position : position + 2] == b"\r\n")
    if state == "quoted" or ended_by - start > longest:
        return UNCLOSED, 0, 0
    return "", n_fields, position


def _line_end(data: bytes, start: int) -> int:
    while start < len(data) and data[start : start + 1] not in (b"\r", b"\n"):
        start += 1
    return start


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
