"""JSON lines and Parquet to rows: the result does not depend on blocks and batches."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest import json_reader, parquet_reader
from ingest.csv_records import NOT_UTF8, NUL_BYTE
from ingest.files import LandingError, ShopFile
from ingest.rows import Rows
from perennial.settings import REPOSITORY
from perennial.sources import SourceColumn, SourceTable

COLUMNS = tuple(SourceColumn(name, name, "", True) for name in ("id", "name"))
TABLE = SourceTable("orders", "shop_orders", ("*",), "", COLUMNS)
STAMP = b"%d,%b\n"


def shop_file(kind: str) -> ShopFile:
    return ShopFile(f"orders.{kind}", f"orders.{kind}", kind, False, None, "")  # type: ignore[arg-type]


def values(chunks: list[Rows]) -> list[list[str]]:
    text = b"".join(chunk.data for chunk in chunks).decode()
    found = list(csv.reader(io.StringIO(text, newline="")))
    assert len(found) == sum(chunk.count for chunk in chunks)
    return found


def json_rows(data: bytes, block_bytes: int) -> list[Rows]:
    layout = json_reader.layout(shop_file("jsonl"), TABLE, data)
    read = io.BytesIO(data).read
    return list(json_reader.rows(shop_file("jsonl"), layout, read, 1, STAMP, block_bytes))


texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=6)


@settings(max_examples=150, deadline=None)
@given(
    records=st.lists(st.tuples(texts, texts), min_size=1, max_size=8),
    line_end=st.sampled_from([b"\n", b"\r\n", b"\r"]),
    is_ascii=st.booleans(),
    block_bytes=st.integers(1, 60),
)
def test_json_lines_come_back_whatever_the_blocks(records, line_end, is_ascii, block_bytes):
    lines = [
        json.dumps({"name": name, "id": key}, ensure_ascii=is_ascii).encode()
        for key, name in records
    ]
    expected = [[str(number), *record] for number, record in enumerate(records, start=1)]
    assert values(json_rows(line_end.join(lines), block_bytes)) == expected


def test_numbers_in_json_keep_all_their_digits():
    data = b'{"id": 12345678901234567890123, "name": 78.28333333333333712345678901234567890}'
    assert values(json_rows(data, 100)) == [
        ["1", "12345678901234567890123", "78.28333333333333712345678901234567890"]
    ]


def test_a_field_that_is_missing_at_first_is_still_a_column():
    data = b'{"id": 1}\n{"id": 2, "name": "b"}\n'
    assert values(json_rows(data, 100)) == [["1", "1", ""], ["2", "2", "b"]]


def test_a_required_field_that_no_object_has_is_an_error():
    with pytest.raises(LandingError, match="lacks the column 'name'"):
        json_rows(b'{"id": 1}\n{"id": 2}\n', 100)


def test_a_json_line_without_end_is_an_error():
    data = b'{"id": 1, "name": ""}\n' + b" " * (json_reader.MAX_RECORD_BYTES + 1)
    with pytest.raises(LandingError, match="after line 2: a line is longer"):
        json_rows(data, 1 << 20)


def test_parquet_rows_are_numbered_through_all_batches(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(parquet_reader, "BATCH_ROWS", 3)
    names = [None, "", "a\nb", '"q",', "é", "f", "g"]
    table = pa.table({"name": names, "id": pa.array(range(7), pa.int8())})
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=2)
    layout, count = parquet_reader.layout(shop_file("parquet"), TABLE, tmp_path / "a.parquet")
    chunks = list(parquet_reader.rows(shop_file("parquet"), layout, tmp_path / "a.parquet", STAMP))
    assert count == 7
    assert layout.landed_columns == ["name", "id"]
    assert values(chunks) == [
        [str(row + 1), name or "", str(row)] for row, name in enumerate(names)
    ]


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        pytest.param(pa.array([1_315_555_200], pa.timestamp("s")), "2011-09-09 08:00:00", id="s"),
        pytest.param(
            pa.array([1_315_555_200_000_000_000], pa.timestamp("ns")),
            "2011-09-09 08:00:00",
            id="ns",
        ),
        pytest.param(
            pa.array([1_315_555_200_500], pa.timestamp("ms", "UTC")),
            "2011-09-09 08:00:00.500Z",
            id="with zone and fraction",
        ),
        pytest.param(pa.array([15_226], pa.date32()), "2011-09-09", id="date"),
        pytest.param(pa.array([13085.0]), "13085", id="whole float"),
        pytest.param(pa.array([0.1]), "0.1", id="float"),
        pytest.param(pa.array([1 / 3]), "0.3333333333333333", id="quotient"),
        # apache/spark#26697, scylladb/scylla-migrator#34: padded to the column's scale
        pytest.param(
            pa.array([Decimal("2.5")], pa.decimal128(38, 18)), "2.500000000000000000", id="decimal"
        ),
        pytest.param(
            pa.array([Decimal("12345678901234567890.123456789012345678")], pa.decimal128(38, 18)),
            "12345678901234567890.123456789012345678",
            id="decimal of 38 digits",
        ),
        pytest.param(
            pa.array([Decimal(0)], pa.decimal128(38, 18)), "0.000000000000000000", id="decimal 0"
        ),
        pytest.param(
            pa.array([Decimal("-1e-30")], pa.decimal256(60, 30)),
            "-0.000000000000000000000000000001",
            id="decimal of many places",
        ),
        pytest.param(pa.array([True]), "true", id="boolean"),
        pytest.param(pa.array([b"a"]), "a", id="bytes that are text"),
    ],
)
def test_parquet_values_are_the_shortest_exact_text(tmp_path: Path, column, expected):
    pq.write_table(pa.table({"id": column, "name": ["x"]}), tmp_path / "a.parquet")
    layout, _ = parquet_reader.layout(shop_file("parquet"), TABLE, tmp_path / "a.parquet")
    chunks = list(parquet_reader.rows(shop_file("parquet"), layout, tmp_path / "a.parquet", STAMP))
    assert values(chunks) == [["1", expected, "x"]]


UNFOLDS = """
import resource, sys
from pathlib import Path
from ingest import parquet_reader
from ingest.files import ShopFile
from perennial.sources import SourceColumn, SourceTable

path = Path(sys.argv[1])
columns = tuple(SourceColumn(name, name, "", True) for name in ("id", "name"))
table = SourceTable("orders", "shop_orders", ("*",), "", columns)
file = ShopFile(str(path), path.name, "parquet", False, None, str(path))
layout, count = parquet_reader.layout(file, table, path)
next(parquet_reader.rows(file, layout, path.with_name("small.parquet"), b"%d,%b\\n"))  # imports
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))  # so that a failure fells no machine
rows = sum(chunk.count for chunk in parquet_reader.rows(file, layout, path, b"%d,%b\\n"))
print(rows, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


@pytest.mark.parametrize("is_kept_as_dictionary", [False, True])
@pytest.mark.parametrize("has_late_values", [False, True])
def test_a_small_parquet_file_takes_little_memory_whatever_its_values_come_to(
    tmp_path: Path, is_kept_as_dictionary: bool, has_late_values: bool
):
    """A dictionary of two values of 1 MB: 1,200 rows are 1.2 GB, and 2 kB on disk."""
    count = 1_200
    indices = [index % 2 for index in range(count)]
    if has_late_values:  # the beginning does not show what follows
        indices[: count // 2] = [2] * (count // 2)
    name = pa.DictionaryArray.from_arrays(
        pa.array(indices, pa.int32()), pa.array(["a" * 1_000_000, "b" * 1_000_000, "c"])
    )
    if not is_kept_as_dictionary:  # still written as a dictionary, but not declared in the schema
        name = name.cast(pa.large_string())
    table = pa.table({"id": range(count), "name": name})
    path = tmp_path / "a.parquet"
    pq.write_table(table, path, compression="zstd", dictionary_pagesize_limit=1 << 24)
    pq.write_table(table[:1], tmp_path / "small.parquet", compression="zstd")
    assert path.stat().st_size < 20_000
    done = subprocess.run(
        [sys.executable, "-c", UNFOLDS, str(path)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    rows, peak_mb = map(int, done.stdout.split())
    assert rows == count
    assert peak_mb < 250


def test_a_parquet_file_that_declares_too_much_is_refused_before_it_is_unpacked(tmp_path: Path):
    """A dictionary of 120 MB, packed to some kB."""
    names = pa.array([str(number) * 1_000_000 for number in range(120)])
    table = pa.table({"id": range(120), "name": names})
    pq.write_table(table, tmp_path / "a.parquet", compression="zstd")
    with pytest.raises(LandingError, match="300 times its size"):
        parquet_rows(tmp_path / "a.parquet")


def test_a_parquet_column_of_lists_is_an_error(tmp_path: Path):
    pq.write_table(pa.table({"id": [[1]], "name": ["x"]}), tmp_path / "a.parquet")
    with pytest.raises(LandingError, match=r"column 'id' holds list"):
        parquet_reader.layout(shop_file("parquet"), TABLE, tmp_path / "a.parquet")


@pytest.mark.parametrize("depth", [*range(900, 1_100, 3), 50_000])
@pytest.mark.parametrize("nest", [(b"[", b"]"), (b'{"a":', b"}")])
def test_a_value_of_any_depth_lands_or_is_rejected(depth: int, nest: tuple[bytes, bytes]):
    deep = b'{"id": 1, "name": ' + nest[0] * depth + b"1" + nest[1] * depth + b"}"
    chunks = json_rows(b'{"id": 1, "name": 1}\n' + deep, 1 << 20)
    assert sum(chunk.count + len(chunk.rejects) for chunk in chunks) == 2


def parquet_rows(path: Path) -> list:
    layout, _ = parquet_reader.layout(shop_file("parquet"), TABLE, path)
    return list(parquet_reader.rows(shop_file("parquet"), layout, path, STAMP))


BYTES = [b"good", b"\xff", b"a\0b", None]


@pytest.mark.parametrize(
    "column",
    [
        pytest.param(pa.array(BYTES, pa.large_binary()), id="large binary"),
        pytest.param(pa.array(BYTES, pa.binary()).dictionary_encode(), id="dictionary of bytes"),
        pytest.param(
            pa.Array.from_buffers(pa.string(), 4, pa.array(BYTES, pa.binary()).buffers()), id="text"
        ),
        pytest.param(
            pa.Array.from_buffers(
                pa.string(), 4, pa.array(BYTES, pa.binary()).buffers()
            ).dictionary_encode(),
            id="dictionary of texts",
        ),
        pytest.param(
            pa.Array.from_buffers(
                pa.large_string(), 4, pa.array(BYTES, pa.large_binary()).buffers()
            ),
            id="large text",
        ),
    ],
)
def test_bytes_that_are_no_text_are_rejected_whatever_their_type(tmp_path: Path, column):
    table = pa.table({"id": pa.array([1, 2, 3, 4]), "name": column})
    pq.write_table(table, tmp_path / "a.parquet")
    (chunk,) = parquet_rows(tmp_path / "a.parquet")
    assert [(reject.line, reject.reason) for reject in chunk.rejects] == [
        (2, NOT_UTF8),
        (3, NUL_BYTE),
    ]
    assert values([chunk]) == [["1", "1", "good"], ["4", "4", ""]]


def test_texts_of_a_new_kind_are_read(tmp_path: Path):
    table = pa.table({"id": [1], "name": pa.array(["é"], pa.string_view())})
    pq.write_table(table, tmp_path / "a.parquet")
    assert values(parquet_rows(tmp_path / "a.parquet")) == [["1", "1", "é"]]


def test_a_time_zone_that_is_none_is_an_error(tmp_path: Path):
    column = pa.array([1], pa.timestamp("s", "Mars/Olympus"))
    pq.write_table(pa.table({"id": column, "name": ["x"]}), tmp_path / "a.parquet")
    with pytest.raises(LandingError, match="column 'id' holds timestamp"):
        parquet_rows(tmp_path / "a.parquet")


def test_damage_anywhere_in_a_parquet_file_is_an_error_or_seen_in_the_values(tmp_path: Path):
    names = [f"name {number}" for number in range(50)]
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"id": range(50), "name": names}), path, compression="none")
    whole, errors = path.read_bytes(), 0
    for place in range(0, len(whole), 7):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        try:
            chunks = parquet_rows(path)
        except LandingError:
            errors += 1
        else:
            assert sum(chunk.count + len(chunk.rejects) for chunk in chunks) == 50
    assert errors > 20
