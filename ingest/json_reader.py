"""Stream JSON lines to rows for COPY: one object a line, its fields as columns.

Numbers keep their digits as written (`6.950` stays `6.950`). A field that is null or absent is a
missing value; an object or a list inside a field lands as JSON.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from ingest.csv_records import MAX_RECORD_BYTES, NOT_UTF8, NUL_BYTE, Reject
from ingest.files import LandingError, ShopFile
from ingest.rows import Layout, Rows, csv_field, match_columns
from perennial.sources import SourceTable

BLOCK_BYTES = 1 << 20
HEAD_BYTES = 1 << 20
BYTE_ORDER_MARK = b"\xef\xbb\xbf"

NOT_JSON = "not a JSON object"
FIELD_TWICE = "a field stands twice"


class _FieldTwiceError(ValueError):
    pass


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise _FieldTwiceError
    return fields


_decode = json.JSONDecoder(
    object_pairs_hook=_object, parse_float=str, parse_int=str, parse_constant=str
).decode


def layout(file: ShopFile, table: SourceTable, head: bytes) -> Layout:
    """Collect the fields of the objects at the beginning of the file.

    Args:
        file: The file, for messages.
        table: Table that the file holds.
        head: The first HEAD_BYTES of the content.

    Raises:
        LandingError: If the head contains no object, or no object has a required field.
    """
    mark = len(BYTE_ORDER_MARK) if head.startswith(BYTE_ORDER_MARK) else 0
    whole = head[mark:]
    if len(head) == HEAD_BYTES:
        whole = whole[: whole.rfind(b"\n") + 1]  # the last line may be cut off
    headers: dict[str, None] = {}
    for line in whole.splitlines():
        try:
            record = _decode(line.decode())
        except (ValueError, RecursionError):
            continue  # reading the rows rejects the line with its reason
        if isinstance(record, dict):
            headers |= dict.fromkeys(record)
    if not headers:
        raise LandingError(
            f"{file.name} begins with no JSON object: JSON lines have one object a line, not a "
            "list and not an object over several lines"
        )
    match_columns(file, table, list(headers))
    by_header = {column.header: column.name for column in table.columns}
    names = [*by_header, *(name for name in headers if name not in by_header)]
    return Layout(tuple(names), tuple(by_header.get(name) for name in names), body_start=mark)


def rows(
    file: ShopFile,
    file_layout: Layout,
    read: Callable[[int], bytes],
    first_line: int,
    stamp: bytes,
    block_bytes: int = BLOCK_BYTES,
) -> Iterator[Rows]:
    """Read records to the end of the file; arguments as for ingest.csv_reader.rows."""
    landed = [
        header
        for header, column in zip(file_layout.headers, file_layout.columns, strict=True)
        if column is not None
    ]
    rest, line, is_last = b"", first_line, False
    while not is_last:
        block = read(block_bytes)
        is_last = not block
        lines = (rest + block).splitlines(keepends=True)
        rest = b""
        if lines and not is_last and not lines[-1].endswith(b"\n"):
            rest = lines.pop()  # cut off by the block; or its CR has its LF in the next block
        if max(map(len, [rest, *lines])) > MAX_RECORD_BYTES:
            raise LandingError(
                f"{file.name}, after line {line}: a line is longer than {MAX_RECORD_BYTES:,} "
                "bytes. Is it JSON lines, one object a line?"
            )
        yield _rows(lines, line, landed, stamp)
        line += len(lines)


def _rows(lines: list[bytes], first_line: int, landed: list[str], stamp: bytes) -> Rows:
    data, rejects, blank_count = [], [], 0
    for number, content in enumerate(lines, start=first_line):
        if not content.strip():
            blank_count += 1
            continue
        reason, values = _values(content, landed)
        if reason:
            rejects.append(Reject(number, reason, content.rstrip(b"\r\n")))
        else:
            data.append(stamp % (number, values))
    return Rows(b"".join(data), len(data), rejects, blank_count)


def _values(content: bytes, landed: list[str]) -> tuple[str, bytes]:
    """Reason why the record can't be read (empty: none), and its values as CSV."""
    try:
        record = _decode(content.decode())
        if not isinstance(record, dict):
            return NOT_JSON, b""
        text = ",".join([_csv(record.get(name)) for name in landed])
    except UnicodeDecodeError:
        return NOT_UTF8, b""
    except _FieldTwiceError:
        return FIELD_TWICE, b""
    except (ValueError, RecursionError):  # no JSON, or nested too deeply to be read or written
        return NOT_JSON, b""
    if "\0" in text:
        return NUL_BYTE, b""
    try:
        return "", text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair, written as an escape
        return NOT_UTF8, b""


def _csv(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return csv_field(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
