"""Bad files: records with odd values, and damaged bytes."""

from __future__ import annotations

import csv
import gzip
import io
import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from perennial.sources import Source, SourceTable

Row = list[Any]

# fmt: off
TEXTS = [
    "", " ", "\t", "\xa0", "\u200b", "null", "NULL", "None", "NaN", "-", "0", "\\N", "\\.", "a\\",
    "\"", "\"\"", "\"a", "a\"b", ",", ";", "a,b", "a;b", "a\tb", "a|b", "two\nlines",
    "two\r\nlines", "\r", "=cmd|' /C calc'!A0", "+1+cmd", "-2+3", "@SUM(A1)",
    "=HYPERLINK(\"http://x\",\"y\")", "'; drop table raw.x; --", "' or '1'='1", "{{ 7 * 7 }}",
    "{% raw %}", "$$", "%s %(a)s", "${HOME}", "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>", "[x](javascript:alert(1))", "[red]r[/]", "\x1b[31mred\x1b[0m",
    "\x07", "\u202eabc", "\ufeff", "é", "é", "日本", "😀", "\U0010ffff", "ß", "x" * 300, "é" * 3000,
    "\\x00", "\\u0000", "../../etc/passwd", "C:\\x", "a\x0bb\x0cc", "\x85", "\u2028",
]
NUMBERS = [
    "0", "-0", "1", "+1", "-1", "1.", ".5", ".", "1.50", "1,5", "1,234.50", "1.234,50", "1 234",
    "1'234", "1e3", "1E+3", "1.5e-05", "1e300", "-1e300", "1e-300", "9" * 400,
    "0.1111111111111111111111111111111111111111", "1e", "e5", "1_000", "NaN", "nan", "inf",
    "-Infinity", "Infinity", "0x10", "1/2", "10%", "£5", "5 GBP", "١٢", "½", "--1", "2147483647",
    "2147483648", "9223372036854775808", "-9223372036854775808", "999999999", "999999999999999",
    "1000000000", "1.0", "2.000", " 3 ", "4\t", "\n5", "six", "1e9", "1e15",
    "123456789012345.123456789012345",
]
TIMES = [
    "2024-05-01", "2024-05-01 10:00:00", "2024-05-01T10:00:00Z", "2024-05-01T10:00:00+02:00",
    "2024-05-01 10:00", "01/05/2024", "05/01/2024", "1.5.2024", "20240501", "2024/05/01",
    "1 May 2024", "May 1, 2024", "45413", "1714557600", "2024-02-30", "2023-02-29", "2024-13-01",
    "2024-00-10", "0000-00-00", "0001-01-01", "0000-01-01", "9999-12-31",
    "9999-12-31 23:59:59.999999", "10000-01-01", "1900-01-01", "1970-01-01", "2999-01-01",
    "infinity", "-infinity", "now", "today", "tomorrow", "epoch", "2024-05-01 BC",
    "2024-05-01 infinity", "2024-05-01 24:00:00", "2024-05-01 25:00", "2024-05-01 10:00:60",
    "2024-05-01 10:00 PM", "2024-03-31 01:30", "2024-05-01 10:00:00 Asia/Tokyo",
    "2024-05-01T10:00:00+99:99", "2024-05-01T10:00:00.1234567890", "294276-12-31",
    "2024-05-01 allballs", "2024-05-01-05", "2024-W18-3", "2024-122", " 2024-05-01 ",
    "2024-05-01\n", "2024-05-0١",
]
KEYS = [
    "1", " 1", "1 ", "01", "1.0", "a", "A", "a ", "a-b", "b-c", "a-b-c", "c", "a\t", "a\xa0",
    "%2D", "-", "--", "k" * 199, "k" * 3000, "".join(chr(0x4E00 + i) for i in range(4000)), "é",
    "é", "C1", "A1", "1;drop",
]
# fmt: on


@dataclass(frozen=True)
class BadFile:
    """A file: its name, its bytes, and how it was damaged."""

    name: str
    content: bytes
    damage: str


def odd(rng: random.Random, kind: str) -> str:
    """A value of the kind, mostly sane, often not."""
    pool = {"number": NUMBERS, "timestamp": TIMES, "key": KEYS}.get(kind, TEXTS)
    choice = rng.random()
    if choice < 0.5:
        return _sane(rng, kind)
    if choice < 0.9:
        return rng.choice(pool)
    if choice < 0.97:
        return rng.choice(rng.choice([TEXTS, NUMBERS, TIMES, KEYS]))
    return "".join(
        chr(rng.choice([rng.randrange(1, 0x250), rng.randrange(1, 0xD800)]))
        for _ in range(rng.randrange(20))
    )


def _sane(rng: random.Random, kind: str) -> str:
    day = f"2024-{rng.randrange(1, 13):02}-{rng.randrange(1, 29):02}"
    return {
        "number": str(rng.randrange(1, 50)),
        "timestamp": f"{day}T{rng.randrange(24):02}:30:00",
        "key": f"{rng.choice('kpc')}{rng.randrange(40)}",
    }.get(kind, rng.choice(["sale", "refund", "product", "charge", "GB", "Mug", ""]))


def rows(rng: random.Random, table: SourceTable, count: int) -> list[Row]:
    """Records of the table; most columns have only sane values, so that some rows survive."""
    sane = {column.name for column in table.columns if rng.random() < 0.6}
    kinds = {
        column.name: column.kind
        if column.kind != "text"
        else (
            "key"
            if column.name.endswith("_id") or column.name in ("invoice", "stock_code")
            else column.name
        )
        for column in table.columns
    }
    words = {"order_type": ["sale", "refund"], "line_type": ["product", "charge"]}
    return [
        [
            (rng.choice(words[c.name]) if c.name in words else _sane(rng, kinds[c.name]))
            if c.name in sane
            else odd(rng, kinds[c.name])
            for c in table.columns
        ]
        for _ in range(count)
    ]


def bad_file(rng: random.Random, source: Source, number: int, max_rows: int) -> BadFile:
    """One file of any table and format."""
    table = rng.choice(source.tables)
    stem = table.files[0].replace("*", f"_{number}") if table.files != ("*",) else f"lines_{number}"
    headers = [column.header for column in table.columns]
    records = rows(rng, table, rng.choice([0, 1, 3, max_rows // 4, max_rows]))
    headers, records, damage = _reshape(rng, headers, records)
    form = rng.choices(["csv", "csv.gz", "jsonl", "ndjson.gz", "parquet"], [8, 3, 4, 1, 3])[0]
    content = WRITERS[form.split(".")[0]](rng, headers, records)
    content, how = _damaged(rng, content, form)
    if form.endswith("gz"):
        content = gzip.compress(content, 1)
        if rng.random() < 0.1:
            content, how = content[: rng.randrange(len(content))], f"{how}, gzip cut"
    return BadFile(f"{stem}.{form}", content, f"{form}: {damage}, {how}")


def _reshape(
    rng: random.Random, headers: list[str], records: list[Row]
) -> tuple[list[str], list[Row], str]:
    """Change the columns: their order, more, fewer, doubled, in another case."""
    what = rng.choices(
        ["as it is", "reordered", "added", "dropped", "twice", "case", "odd name"],
        [8, 3, 3, 1, 1, 1, 2],
    )[0]
    if what == "reordered":
        order = rng.sample(range(len(headers)), len(headers))
        return [headers[i] for i in order], [[r[i] for i in order] for r in records], what
    if what in ("added", "odd name"):
        at, name = (
            rng.randrange(len(headers) + 1),
            "colour" if what == "added" else rng.choice(TEXTS),
        )
        wider = [[*r[:at], odd(rng, "text"), *r[at:]] for r in records]
        return [*headers[:at], name, *headers[at:]], wider, what
    at = rng.randrange(len(headers))
    if what == "dropped":
        return headers[:at] + headers[at + 1 :], [r[:at] + r[at + 1 :] for r in records], what
    if what == "twice":
        return [*headers, headers[at]], [[*r, r[at]] for r in records], what
    if what == "case":
        return [h.swapcase() for h in headers], records, what
    return headers, records, what


def _csv(rng: random.Random, headers: list[str], records: list[Row]) -> bytes:
    delimiter = rng.choices([",", ";", "\t", "|"], [8, 2, 1, 1])[0]
    end = rng.choices(["\n", "\r\n", "\r"], [6, 3, 1])[0]
    quoting = rng.choice([csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter, lineterminator=end, quoting=quoting)
    writer.writerows([headers, *records])
    encoding, mark = rng.choices(
        [
            ("utf-8", b""),
            ("utf-8", b"\xef\xbb\xbf"),
            ("latin-1", b""),
            ("utf-16", b""),
            ("utf-16-le", b""),
        ],
        [12, 3, 2, 1, 1],
    )[0]
    return mark + text.getvalue().encode(encoding, "replace")


TWICE = ',"order_id":"x","order_id":"y"}'
NO_RECORDS = [
    *("[]", "null", "1", "{", "{}", "[" * 2000, '{"a":' * 3000, '{"order_id": NaN}'),
    *('{"order_id":1e999}', '{"order_id":"\\u0000"}', '{"order_id":"\\ud800"}'),
    *('{"order_id":' + "[" * 900 + "]" * 900 + "}", '{"order_id":' + "9" * 5000 + "}"),
]


def _json(rng: random.Random, headers: list[str], records: list[Row]) -> bytes:
    lines = []
    for record in records:
        fields = {
            h: _json_value(rng, v)
            for h, v in zip(headers, record, strict=True)
            if rng.random() < 0.97
        }
        line = json.dumps(fields, ensure_ascii=rng.random() < 0.5)
        if rng.random() < 0.05:
            line = rng.choice([*NO_RECORDS, line[:-3], line.replace("}", TWICE)])
        lines.append(line)
    return "\n".join(lines).encode("utf-8", "surrogatepass")


def _json_value(rng: random.Random, value: str) -> Any:
    if rng.random() < 0.9:
        return value
    return rng.choice(
        [None, True, 1, -1.5, 1e300, 2**70, [], {"a": [1.5, None]}, [[[]]], "", "\u2028"]
    )


def _parquet(rng: random.Random, headers: list[str], records: list[Row]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = []
    for index in range(len(headers)):
        values = [record[index] for record in records]
        columns.append(rng.choices([pa.array(values, pa.string()), _typed(rng, values)], [3, 1])[0])
    form = {
        "compression": rng.choice(["snappy", "gzip", "none", "zstd"]),
        "row_group_size": rng.choice([1, 7, 1000]),
    }
    sink = pa.BufferOutputStream()
    try:
        pq.write_table(pa.Table.from_arrays(columns, names=headers), sink, **form)
    except pa.ArrowException:  # a value that a file can't hold
        return _parquet(rng, headers, records)
    return sink.getvalue().to_pybytes()


FLOATS = [1.0, 1.5, float("nan"), float("inf"), -0.0, 1e300, 5e-324, None]
ZONES = [None, "UTC", "Europe/London", "+02:00", "Mars/X"]


def _typed(rng: random.Random, values: list[str]) -> Any:
    """The column in another type than text."""
    import datetime as dt
    import decimal

    import pyarrow as pa

    n = len(values)
    raw = [
        v.encode("utf-8", "replace")[: rng.randrange(1, 9)] + b"\xff" * (rng.random() < 0.2)
        for v in values
    ]
    big = [rng.choice([0, 1, -1, 2**31, 2**62, -(2**62), None]) for _ in range(n)]
    unchecked = pa.Array.from_buffers(pa.string(), n, pa.array(raw, pa.binary()).buffers())

    def drawn(values: list[Any], kind: Any) -> Any:
        return pa.array([rng.choice(values) for _ in range(n)], kind)

    choices: list[Callable[[], Any]] = [
        lambda: pa.array(big, pa.int64()),
        lambda: drawn(FLOATS, pa.float64()),
        lambda: pa.array([1.5] * n, pa.float32()),
        lambda: pa.array([1.5] * n, pa.float32()).cast(pa.float16()),
        lambda: drawn([True, False, None], pa.bool_()),
        lambda: pa.array([None] * n, pa.null()),
        lambda: pa.array(big, pa.timestamp(rng.choice(["s", "ms", "us", "ns"]), rng.choice(ZONES))),
        lambda: drawn([0, 19000, -800000, 2932896, 2**31 - 1, None], pa.date32()),
        lambda: pa.array([dt.time(10, 30)] * n, pa.time64("us")),
        lambda: drawn([0, 10**9, None], pa.duration("s")),
        lambda: pa.array([decimal.Decimal("1.50")] * n, pa.decimal128(38, 10)),
        lambda: pa.array([decimal.Decimal("1e-3")] * n, pa.decimal256(60, 10)),
        lambda: pa.array(raw, pa.binary()),
        lambda: pa.array(raw, pa.large_binary()),
        lambda: pa.array([(b + b"\0" * 4)[:4] for b in raw], pa.binary(4)),
        lambda: pa.array(values, pa.large_string()),
        lambda: pa.array(values, pa.string_view()),
        lambda: pa.array(values, pa.string()).dictionary_encode(),
        lambda: pa.array([[v] for v in values], pa.list_(pa.string())),
        lambda: pa.array([{"a": v} for v in values], pa.struct([("a", pa.string())])),
        lambda: unchecked,
        lambda: unchecked.dictionary_encode(),
    ]  # fmt: skip
    return rng.choice(choices)()


WRITERS = {"csv": _csv, "jsonl": _json, "ndjson": _json, "parquet": _parquet}


def _damaged(rng: random.Random, content: bytes, form: str) -> tuple[bytes, str]:
    """Damage the bytes, as in a transfer: changed, lost, added, doubled."""
    if not content or rng.random() < (0.5 if form != "parquet" else 0.7):
        return content, "whole"
    what = rng.choice(
        ["cut", "flipped", "NUL", "lost", "doubled", "noise", "quote", "ends", "blank lines"]
    )
    at = rng.randrange(len(content))
    length = rng.randrange(1, 40)
    if what == "cut":
        return content[:at], what
    if what == "flipped":
        changed = bytearray(content)
        for _ in range(rng.randrange(1, 6)):
            changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
        return bytes(changed), what
    if what == "lost":
        return content[:at] + content[at + length :], what
    if what == "doubled":
        return content[: at + length] + content[at:], what
    added = {
        "NUL": b"\0",
        "noise": rng.randbytes(length),
        "quote": b'"',
        "ends": rng.choice([b"\n", b"\r", b"\r\n", b"\r\r\n", b"\x85", b"\x0b"]),
        "blank lines": b"\n\n \n\r\n",
    }[what]
    return content[:at] + added + content[at:], what
