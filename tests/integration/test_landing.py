"""Landing on a real Postgres: every record lands once, unchanged, or is stored as a reject."""

from __future__ import annotations

import csv
import gzip
import http.server
import io
import json
import os
import random
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path

import fsspec
import psycopg
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from ingest import batches, csv_reader
from ingest.copies import copies
from ingest.files import LandingError
from ingest.land import Landing, has_news, land
from local.home import make_folders
from perennial.settings import REPOSITORY, Settings
from perennial.warehouse import connect
from privacy import search

CASES = Path(__file__).parent.parent / "cases"
DAY = date(2011, 9, 10)
HEADERS = ["Invoice", "StockCode", "Description", "Quantity", "InvoiceDate", "Price"]
HEADERS += ["Customer ID", "Country"]
HEADER = ",".join(HEADERS).encode()
RAW = "raw.online_retail_invoice_lines"
VALUES = "invoice, stock_code, description, quantity, invoice_date, price, customer_id, country"


def line(number: int, description: str = "LAMP") -> bytes:
    return f"{number},85048,{description},2,2011-09-09 08:00:00,6.95,13085,France".encode()


@pytest.fixture(scope="module")
def home(start_home: Callable[[str], Settings]) -> Settings:
    return start_home("online_retail")


@pytest.fixture(scope="module")
def tables_home(start_home: Callable[[str], Settings]) -> Settings:
    return start_home("canonical")


@pytest.fixture(autouse=True)
def empty(request: pytest.FixtureRequest) -> None:
    for fixture in {"home", "tables_home"} & set(request.fixturenames):
        execute(
            request.getfixturevalue(fixture),
            "truncate ops.landed_files, ops.rejected_lines, ops.built_files, ops.late_dates,"
            " ops.publications",
            "drop schema if exists shop cascade",
            *(f"truncate {table}" for table in raw_tables(request.getfixturevalue(fixture))),
        )


def execute(settings: Settings, *statements: str, role: str = "perennial") -> None:
    with connect(settings, role) as connection:
        for statement in statements:
            connection.execute(statement)


def rows(settings: Settings, query: str) -> list[tuple]:
    with connect(settings, "perennial") as connection:
        return connection.execute(query).fetchall()


def raw_tables(settings: Settings) -> list[str]:
    found = rows(settings, "select 'raw.' || tablename from pg_tables where schemaname = 'raw'")
    assert found
    return [name for (name,) in found]


def landed_values(settings: Settings) -> list[tuple]:
    return rows(settings, f"select {VALUES} from {RAW} order by _file_id, _line")


def run(settings: Settings, files: Path | str, day: date = DAY) -> Landing:
    return land(settings, day, str(files), "test")


def take(settings: Settings, files: Path | str) -> Landing:
    landing = run(settings, files)
    assert landing.batch_id
    batches.accept(settings, landing.batch_id, "test")
    return landing


def statuses(settings: Settings) -> list[str]:
    return [
        status for (status,) in rows(settings, "select status from ops.landed_files order by 1")
    ]


def in_force(settings: Settings) -> list[str]:
    query = f"""
        select invoice from {RAW} join ops.landed_files on landed_files.file_id = _file_id
        where status = 'accepted' order by invoice
    """
    return [invoice for (invoice,) in rows(settings, query)]


# Every record, once -------------------------------------------------------------------------------

SOUND = {
    # bytes as sent: values that must arrive
    line(1): ("1", "85048", "LAMP", "2", "2011-09-09 08:00:00", "6.95", "13085", "France"),
    b'2,"",,"a ""b"", c",,6.950,," x "': ("2", "", None, 'a "b", c', None, "6.950", None, " x "),
    b'3,a,"two\r\nlines\rand\nmore",4,5,6,7,8': (
        *("3", "a", "two\r\nlines\rand\nmore", "4", "5", "6", "7", "8"),
    ),
    "4,é,\\.,\\N,null,NULL,'',\\".encode(): ("4", "é", "\\.", "\\N", "null", "NULL", "''", "\\"),
    b",,,,,,,": (None,) * 8,
}
BROKEN = {
    b"5,too,few": "3 fields, expected 8",
    b"6,a,b,c,d,e,f,g,h": "9 fields, expected 8",
    b"7,caf\xe9,b,c,d,e,f,g": "not UTF-8",
    b"8,a\0,b,c,d,e,f,g": "NUL byte",
    b'9,a,12" ruler,c,d,e,f,g': "quote inside a field that does not begin with one",
    b'10,a,"b" x,c,d,e,f,g': "text after a closing quote",
    b'11,a,"over two\nlines",c': "4 fields, expected 8",
    b'12,a,"never closed,c,d,e,f,g': "text after a closing quote",
}


def test_every_record_lands_as_sent_or_is_rejected_with_its_bytes(home: Settings, tmp_path: Path):
    """All defects in one file, among sound records, with mixed line ends and blank lines."""
    generator = random.Random(7)
    content, expected, rejects = b"\xef\xbb\xbf" + HEADER + b"\r\n", [], []
    for _ in range(3_000):
        number = len(content.splitlines()) + 1
        record = generator.choice([*SOUND, *BROKEN, b""])
        if record in SOUND:
            expected.append((number, *SOUND[record]))
        elif record:
            rejects.append((number, BROKEN[record], record))
        content += record + generator.choice([b"\n", b"\r\n", b"\r"])
        if record.startswith(b"12,"):  # only the next quote shows that its quote is open
            expected.append((number + 1, "2", *SOUND[list(SOUND)[1]][1:]))
            content += list(SOUND)[1] + b"\n"
    (tmp_path / "lines.csv").write_bytes(content)
    with gzip.open(tmp_path / "packed.csv.gz", "wb") as packed:
        packed.write(content + line(99, "unterminated"))

    plain = run(home, tmp_path / "lines.csv")
    run(home, tmp_path / "packed.csv.gz")

    (file,) = plain.files
    assert (file.given, file.landed, file.rejected) == (
        len(expected) + len(rejects),
        len(expected),
        len(rejects),
    )
    for file_id in (file.file_id, file.file_id + 1):
        found = rows(
            home, f"select _line, {VALUES} from {RAW} where _file_id = {file_id} order by 1"
        )
        assert found[: len(expected)] == expected
        kept = rows(
            home,
            "select line_number, reason, content from ops.rejected_lines"
            f" where file_id = {file_id} order by 1",
        )
        assert [(number, content) for number, _, content in kept] == [
            (number, content) for number, _, content in rejects
        ]
        assert [reason for _, reason, _ in kept] == [reason for _, reason, _ in rejects]
    ledger = rows(
        home,
        "select record_count, landed_count, rejected_count from ops.landed_files order by file_id",
    )
    assert ledger == [
        (file.given, file.landed, file.rejected),
        (file.given + 1, file.landed + 1, file.rejected),
    ]


@pytest.mark.parametrize("quoting", [csv.QUOTE_ALL, csv.QUOTE_MINIMAL])
def test_postgres_holds_what_the_csv_module_wrote(home: Settings, tmp_path: Path, quoting: int):
    generator = random.Random(11)
    alphabet = 'ab,"\n;\t\\.é€😀 '
    records = [
        ["".join(generator.choices(alphabet, k=generator.randrange(5))) for _ in HEADERS]
        for _ in range(4_000)
    ]
    with (tmp_path / "lines.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, quoting=quoting).writerows([HEADERS, *records])
    run(home, tmp_path / "lines.csv")
    missing = "" if quoting == csv.QUOTE_ALL else None  # minimal quoting writes nothing for ''
    assert landed_values(home) == [tuple(text or missing for text in row) for row in records]


def test_json_lines_keep_digits_and_distinguish_missing_from_empty(home: Settings, tmp_path: Path):
    fields = dict.fromkeys(HEADERS, "x")
    lines = [
        json.dumps(fields).encode(),
        b"",
        b'{"Invoice": 1.50, "Price": 1e400, "Country": "", "Quantity": null, "Description": true}',
        b'{"Invoice": "a \\"b\\"\\nc, \\u00e9", "StockCode": {"k": [1, "\xc3\xa9"]}, "Other": 1}',
        b"[1]",
        b'{"Invoice": 1, "Invoice": 2}',
        b'{"Invoice": "\\u0000"}',
        b'{"Invoice": "\\ud800"}',
        b'{"Invoice": "\xe9"}',
        b'{"Invoice": "cut',
    ]
    (tmp_path / "lines.jsonl").write_bytes(b"\r\n".join(lines))
    (file,) = run(home, tmp_path / "lines.jsonl").files
    assert landed_values(home) == [
        ("x",) * 8,
        ("1.50", None, "true", None, None, "1e400", None, ""),
        ('a "b"\nc, é', '{"k": ["1", "é"]}', *[None] * 6),
    ]
    assert rows(home, f"select _line from {RAW} order by 1") == [(1,), (3,), (4,)]
    assert rows(home, "select line_number, reason, content from ops.rejected_lines order by 1") == [
        (5, "not a JSON object", lines[4]),
        (6, "a field stands twice", lines[5]),
        (7, "NUL byte", lines[6]),
        (8, "not UTF-8", lines[7]),
        (9, "not UTF-8", lines[8]),
        (10, "not a JSON object", lines[9]),
    ]
    assert (file.given, file.landed, file.rejected) == (9, 3, 6)
    assert file.ignored_columns == ["Other"]


def test_parquet_values_land_as_exact_text(home: Settings, tmp_path: Path):
    text = pa.array([b"x", b"", None, b'q"\n,', b"a\0", b"\xe9"], pa.binary()).view(pa.string())
    whole = pa.array([datetime(2011, 9, 9, 8, 0)] * 6, pa.timestamp("ns"))
    table = pa.table(
        {
            "Invoice": pa.array(range(6)),
            "StockCode": text,
            "Description": text,
            "Quantity": pa.array([1, None, -3, 4, 5, 6], pa.int32()),
            "InvoiceDate": whole,
            "Price": pa.array([Decimal("6.950")] * 6),
            "Customer ID": pa.array([13085.0, None, 0.1, 1.5, 2.0, 3.0]),
            "Country": pa.array(["FR", "DE"] * 3).dictionary_encode(),
            "Extra": pa.array([[1]] * 6),
        }
    )
    pq.write_table(table, tmp_path / "lines.parquet")
    (file,) = run(home, tmp_path / "lines.parquet").files
    moment = "2011-09-09 08:00:00"
    assert landed_values(home) == [
        ("0", "x", "x", "1", moment, "6.950", "13085", "FR"),
        ("1", "", "", None, moment, "6.950", None, "DE"),
        ("2", None, None, "-3", moment, "6.950", "0.1", "FR"),
        ("3", 'q"\n,', 'q"\n,', "4", moment, "6.950", "1.5", "DE"),
    ]
    kept = rows(home, "select line_number, reason, content from ops.rejected_lines order by 1")
    assert [row[:2] for row in kept] == [(5, "NUL byte"), (6, "not UTF-8")]
    assert b'"StockCode": "\xe9"' in kept[1][2]
    assert (file.given, file.landed, file.rejected) == (6, 4, 2)
    assert file.ignored_columns == ["Extra"]


def test_other_columns_are_ignored_with_a_warning(home: Settings, tmp_path: Path, caplog):
    record = line(1).split(b",")
    content = b"Shop," + HEADER + b",Note"
    content += b"\n" + b",".join([b"s", *record, b'"a,\nb"']) + b"\nonly,three,fields\n"
    (tmp_path / "lines.csv").write_bytes(content)
    landing = run(home, tmp_path / "lines.csv")
    assert landed_values(home) == [tuple(field.decode() for field in record)]
    assert landing.summary()["files"][0]["ignored_columns"] == ["Shop", "Note"]
    assert landing.summary()["rejected"] == 1
    assert landing.summary()["given"] == 2
    (warning,) = landing.summary()["warnings"]
    assert (
        "lines.csv: table invoice_lines has columns that nothing reads: 'Shop', 'Note'" in warning
    )
    assert warning in caplog.text
    (tmp_path / "more.csv").write_bytes(content.replace(b"only", b"still"))
    assert run(home, tmp_path / "more.csv").summary()["warnings"] == []


def test_memory_does_not_grow_with_the_file(home: Settings, tmp_path: Path):
    script = (
        "import resource, sys; from datetime import date; from ingest.land import land;"
        "from perennial.settings import Settings;"
        "land(Settings(), date(2011, 9, 10), sys.argv[1], 'test');"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)"
    )
    peaks_mb = []
    for count in (50_000, 400_000):  # 3 and 25 MB
        file = tmp_path / f"{count}.csv"
        with file.open("wb") as stream:
            stream.write(HEADER + b"\n")
            stream.writelines(line(number) + b"\n" for number in range(count))
            stream.writelines(b"broken\n" for _ in range(count // 4))
        done = subprocess.run(
            [sys.executable, "-c", script, str(file)],
            env=environment(home),
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            check=True,
        )
        peaks_mb.append(int(done.stdout))
    assert peaks_mb[1] - peaks_mb[0] < 10


def environment(settings: Settings) -> dict[str, str]:
    return os.environ | {
        "PERENNIAL_HOME": str(settings.home),
        "PERENNIAL_SOURCE": settings.source,
        "PERENNIAL_PG_PORT": str(settings.pg_port),
    }


# Independent counts -------------------------------------------------------------------------------


def assert_nothing_landed(settings: Settings) -> None:
    for table in [*raw_tables(settings), "ops.landed_files", "ops.rejected_lines"]:
        assert rows(settings, f"select count(*) from {table}") == [(0,)], table


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda data: data.split(b"\n", 1)[1], id="loses a row"),
        pytest.param(lambda data: data + data.split(b"\n", 1)[0] + b"\n", id="reads a row twice"),
    ],
)
def test_a_reader_that_miscounts_undoes_the_landing(home, tmp_path, monkeypatch, spoil):
    sound = csv_reader._rows

    def spoilt(*arguments):
        chunk = sound(*arguments)
        return type(chunk)(spoil(chunk.data), chunk.count, chunk.rejects, chunk.blank_count)

    monkeypatch.setattr(csv_reader, "_rows", spoilt)
    (tmp_path / "lines.csv").write_bytes(b"\n".join([HEADER, line(1), line(2), b"broken"]))
    with pytest.raises(LandingError, match="does not add up: 3 records given"):
        run(home, tmp_path / "lines.csv")
    assert_nothing_landed(home)


def test_a_file_that_changes_while_it_is_read_undoes_the_whole_landing(home, tmp_path, monkeypatch):
    (tmp_path / "a.csv").write_bytes(b"\n".join([HEADER, line(1)]))
    (tmp_path / "b.csv").write_bytes(b"\n".join([HEADER, line(2)]))
    reading = csv_reader.rows

    def write_meanwhile(file, *arguments):
        if file.base_name == "b.csv":
            with (tmp_path / "b.csv").open("ab") as stream:
                stream.write(b"\n" + line(3))
        return reading(file, *arguments)

    monkeypatch.setattr(csv_reader, "rows", write_meanwhile)
    with pytest.raises(LandingError, match=r"b\.csv changed while it was read"):
        run(home, tmp_path)
    assert_nothing_landed(home)


# Errors before anything is written ----------------------------------------------------------------


def nothing(folder: Path) -> str:
    return str(folder / "missing.csv")


def nothing_on_that_day(folder: Path) -> str:
    return str(folder / "lines_{as_of_date}.csv")


def empty_folder(folder: Path) -> str:
    (folder / "in").mkdir()
    (folder / "in" / "_SUCCESS").write_text("")
    return str(folder / "in")


def no_match(folder: Path) -> str:
    return str(folder / "*.csv")


def folder_called_csv(folder: Path) -> str:
    (folder / "b.csv").mkdir()
    return str(folder / "b.csv")


def file_holding(name: str, content: bytes) -> Callable[[Path], str]:
    def write(folder: Path) -> str:
        # a sound file in the same landing must not land either
        (folder / "a.csv").write_bytes(HEADER + b"\n" + line(1))
        (folder / name).write_bytes(content)
        return str(folder)

    return write


@pytest.mark.parametrize(
    ("make", "message"),
    [
        pytest.param(nothing, r"there is no .*missing\.csv: check the spelling", id="no file"),
        pytest.param(nothing_on_that_day, r"no .*lines_2011-09-10\.csv", id="no file that day"),
        pytest.param(empty_folder, "holds no files", id="empty folder"),
        pytest.param(no_match, r"no file matches .*\*\.csv", id="glob matches nothing"),
        pytest.param(lambda _: " ", "FILES is empty", id="no FILES"),
        pytest.param(lambda _: "nope://x/y.csv", "no address of files", id="unknown protocol"),
        pytest.param(file_holding("b.csv", b""), r"b\.csv is empty", id="empty file"),
        pytest.param(
            file_holding("b.csv.gz", gzip.compress(b"")), r"b\.csv\.gz is empty", id="empty gzip"
        ),
        pytest.param(
            file_holding("b.csv.gz", gzip.compress(HEADER * 99)[:-30]), "cut off", id="cut gzip"
        ),
        pytest.param(file_holding("b.csv.gz", HEADER), "damaged", id="no gzip"),
        pytest.param(
            file_holding("b.csv", b"Invoice,Price\n1,2\n"), "lacks the columns", id="column"
        ),
        pytest.param(file_holding("b.parquet", b"PAR1"), "no Parquet file", id="cut Parquet"),
        pytest.param(file_holding("b.jsonl", b"[\n{}\n]"), "no JSON object", id="JSON list"),
        pytest.param(file_holding("b.xlsx", b"PK"), "no reader for this kind", id="spreadsheet"),
        pytest.param(folder_called_csv, r"b\.csv holds no files", id="folder"),
    ],
)
def test_what_can_not_land_is_an_error_and_touches_nothing(home, tmp_path, make, message):
    with pytest.raises(LandingError, match=message):
        run(home, make(tmp_path))
    assert_nothing_landed(home)


def test_a_file_of_no_table_is_an_error_that_lists_the_tables(tables_home, tmp_path):
    (tmp_path / "returns.csv").write_bytes(b"a\n1\n")
    with pytest.raises(LandingError, match=r"returns\.csv belongs to no table .*orders: orders\*"):
        run(tables_home, tmp_path)
    assert_nothing_landed(tables_home)


# Files land once, and again when they change ------------------------------------------------------


def write(path: Path, *records: bytes) -> Path:
    path.write_bytes(b"".join(record + b"\n" for record in (HEADER, *records)))
    return path


def test_a_file_lands_once_under_whatever_name(home: Settings, tmp_path: Path):
    first = take(home, write(tmp_path / "a.csv", line(1)))
    write(tmp_path / "b.csv", line(1))
    assert not has_news(home, DAY, str(tmp_path))
    again = run(home, tmp_path)
    assert again.batch_id is None
    assert [file.note for file in again.files] == [
        f"known already: batch {first.batch_id}, accepted"
    ] * 2
    assert in_force(home) == ["1"]


def test_a_day_without_orders_is_a_header_and_no_records(home: Settings, tmp_path: Path):
    (tmp_path / "a.csv").write_bytes(HEADER)
    (file,) = take(home, tmp_path / "a.csv").files
    assert (file.given, file.landed, file.rejected) == (0, 0, 0)
    assert statuses(home) == ["accepted"]


def test_two_landings_at_once_land_it_once(home: Settings, tmp_path: Path):
    write(tmp_path / "a.csv", *map(line, range(2_000)))
    with ThreadPoolExecutor(2) as pool:
        landings = list(pool.map(partial(run, home), [tmp_path / "a.csv"] * 2))
    assert sorted(landing.summary()["landed"] for landing in landings) == [0, 2_000]


def test_a_changed_file_replaces_its_earlier_version_once_it_is_accepted(home, tmp_path):
    take(home, write(tmp_path / "a.csv", line(1), line(2)))
    changed = run(home, write(tmp_path / "a.csv", line(1), line(3)))
    assert in_force(home) == ["1", "2"]
    batches.accept(home, changed.batch_id, "test")
    assert in_force(home) == ["1", "3"]
    batches.refuse(home, changed.batch_id, "poisoned")
    assert in_force(home) == ["1", "2"]
    batches.accept(home, changed.batch_id, "after all")
    assert in_force(home) == ["1", "3"]


def test_a_file_that_grew_lands_what_is_new(home: Settings, tmp_path: Path):
    take(home, write(tmp_path / "a.csv", line(1), b'2,a,"b\nc",d,e,f,g,h'))
    (file,) = take(home, write(tmp_path / "a.csv", line(1), b'2,a,"b\nc",d,e,f,g,h', line(4))).files
    assert (file.given, file.landed) == (1, 1)
    assert rows(home, f"select _line, invoice from {RAW} order by 1") == [
        (2, "1"),
        (3, "2"),
        (5, "4"),
    ]
    third = take(
        home, write(tmp_path / "a.csv", line(1), b'2,a,"b\nc",d,e,f,g,h', line(4), line(5))
    )
    assert in_force(home) == ["1", "2", "4", "5"]
    batches.refuse(home, third.batch_id, "poisoned")
    assert in_force(home) == ["1", "2", "4"]
    assert rows(
        home, "select first_line, continues_file_id from ops.landed_files order by file_id"
    )[1:] == [(5, file.file_id - 1), (6, file.file_id)]


def test_a_packed_file_grows_like_a_plain_one(home: Settings, tmp_path: Path):
    for records in ([line(1)], [line(1), line(2)]):
        with gzip.open(tmp_path / "a.csv.gz", "wb") as packed:
            packed.write(b"\n".join([HEADER, *records, b""]))
        landing = take(home, tmp_path / "a.csv.gz")
    assert landing.summary()["landed"] == 1
    assert in_force(home) == ["1", "2"]


@pytest.mark.parametrize(
    "first",
    [
        pytest.param(line(1)[:-3], id="in the middle of a value"),
        pytest.param(b'1,85048,"LA', id="in the middle of a quote"),
        pytest.param(b'1,85048,"LAMP\n', id="at a line end inside quotes"),
    ],
)
def test_a_file_that_landed_half_written_lands_again(home, tmp_path, first):
    whole = b'1,85048,"LAMP\n",2,d,p,c,France' if b'"' in first else line(1)
    (tmp_path / "a.csv").write_bytes(HEADER + b"\n" + line(0) + b"\n" + first)
    take(home, tmp_path / "a.csv")
    take(home, write(tmp_path / "a.csv", line(0), whole, line(2)))
    assert in_force(home) == ["0", "1", "2"]
    assert rows(home, "select count(*) from ops.landed_files where status = 'accepted'") == [(1,)]


def test_a_version_that_comes_back_is_in_force_again(home: Settings, tmp_path: Path):
    for records in ([line(1)], [line(2)], [line(1)]):
        take(home, write(tmp_path / "a.csv", *records))
    assert in_force(home) == ["1"]
    assert statuses(home) == ["accepted", "superseded", "superseded"]


def test_a_file_that_is_cut_back_to_an_earlier_length_loses_its_tail(home, tmp_path):
    for records in ([line(1)], [line(1), line(2)], [line(1)]):
        take(home, write(tmp_path / "a.csv", *records))
    assert in_force(home) == ["1"]


def test_a_changed_file_replaces_all_parts_and_they_all_come_back(home, tmp_path):
    for records in ([line(1)], [line(1), line(2)]):
        take(home, write(tmp_path / "a.csv", *records))
    changed = take(home, write(tmp_path / "a.csv", line(7)))
    assert in_force(home) == ["7"]
    batches.refuse(home, changed.batch_id, "poisoned")
    assert in_force(home) == ["1", "2"]


def test_a_refused_file_stays_out_and_says_so(home: Settings, tmp_path: Path):
    landing = run(home, write(tmp_path / "a.csv", line(1)))
    batches.refuse(home, landing.batch_id, "poisoned")
    again = run(home, tmp_path / "a.csv")
    assert again.batch_id is None
    assert f"`make accept BATCH={landing.batch_id}`" in again.files[0].note
    assert in_force(home) == []


def test_a_corrected_file_outdates_the_one_that_was_held(home: Settings, tmp_path: Path):
    held = run(home, write(tmp_path / "a.csv", line(1), b"broken"))
    batches.hold(home, held.batch_id, "the gate stopped it")
    take(home, write(tmp_path / "a.csv", line(1), line(2)))
    assert in_force(home) == ["1", "2"]
    assert batches.status(home, held.batch_id) == "refused"
    batches.hold(home, held.batch_id, "must not undo the judgement")
    assert batches.status(home, held.batch_id) == "refused"


def test_batches_are_decided_by_hand(home: Settings, tmp_path: Path):
    def by_hand(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "command", *arguments]
        return subprocess.run(
            command, env=environment(home), cwd=REPOSITORY, capture_output=True, text=True
        )

    batch = str(run(home, write(tmp_path / "a.csv", line(1), b"broken")).batch_id)
    assert by_hand("accept", batch).returncode == 0
    assert statuses(home) == ["accepted"]
    assert by_hand("refuse", batch).returncode == 0
    assert statuses(home) == ["refused"]
    shown = by_hand("batches").stdout.splitlines()
    assert len(shown) == 2
    assert shown[1].split()[:6] == [batch, "2011-09-10", "1", "1", "1", "refused:"]
    wrong = by_hand("accept", "999999")
    assert (wrong.returncode, wrong.stdout) == (1, "")
    assert "there is no batch 999999" in wrong.stderr
    assert "BATCH='x' is no batch" in by_hand("accept", "x").stderr


# Where files come from ----------------------------------------------------------------------------


@pytest.fixture
def web(tmp_path: Path) -> Iterator[str]:
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    handler = partial(Quiet, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_files_come_from_urls_folders_globs_and_of_a_date(home, tmp_path, web):
    for number, name in enumerate(["web", "deep_2011-09-10", "one_1", "one_2"]):
        write(tmp_path / f"{name}.csv", line(number))
    memory = fsspec.filesystem("memory")
    memory.pipe("/shop/a.csv", HEADER + b"\n" + line(10))
    memory.pipe("/shop/b.csv", HEADER + b"\n" + line(11))
    try:
        take(home, f"{web}/web.csv")
        take(home, f"{tmp_path}/deep_{{as_of_date}}.csv")
        take(home, f"{tmp_path}/one_?.csv")
        take(home, "memory://shop/a.csv")
        take(home, "memory://shop/*.csv")
    finally:
        memory.rm("/shop", recursive=True)
    assert in_force(home) == ["0", "1", "10", "11", "2", "3"]
    assert run(home, tmp_path).batch_id is None
    with pytest.raises(LandingError, match=r"there is no .*/missing\.csv"):
        run(home, f"{web}/missing.csv")


def test_files_of_a_landing_land_in_the_order_that_their_names_say(home, tmp_path):
    for number in (10, 2, 100):
        write(tmp_path / f"lines_{number}.csv", line(number))
    take(home, tmp_path)
    assert rows(home, f"select invoice from {RAW} order by _file_id") == [("2",), ("10",), ("100",)]


def test_files_whose_names_say_nothing_land_by_their_newest_order(tables_home, tmp_path):
    """The lines of an order land with it, though their own rows have no time."""
    for name, day in (("east", 3), ("north", 1), ("west", 2)):
        (tmp_path / f"orders_{name}.csv").write_text(
            "order_id,customer_id,ordered_at,order_type\n"
            f"{name},,2024-05-0{day},sale\n1,,2023-01-01,sale\n"
        )
        (tmp_path / f"order_items_{name}.csv").write_text(
            "order_item_id,order_id,product_id,quantity,unit_price_amount,line_type\n"
            f"{name},{name},A,1,1,product\n"
        )
    take(tables_home, tmp_path)
    found = rows(tables_home, "select table_name, file_name from ops.landed_files order by file_id")
    places = ["north", "west", "east"]
    assert [name for _, name in found] == [
        *(f"{tmp_path}/orders_{place}.csv" for place in places),
        *(f"{tmp_path}/order_items_{place}.csv" for place in places),
    ]


@pytest.mark.parametrize("named", ["{}", "{}/*", "memory://exports"])
def test_what_spark_wrote_lands_like_the_files_it_was_made_of(tables_home, tmp_path, named):
    """cldellow/datasette-parquet#15, pola-rs/polars#17362: folders of parts, orders by month."""
    folder = tmp_path / "exports"
    for name in ("customers", "orders", "order_items", "products"):
        table = pa.csv.read_csv(CASES / "00-base" / f"{name}.csv")
        if name == "orders":
            month = pc.strftime(table.column("ordered_at"), "%Y-%m")
            for part in sorted(set(month.to_pylist())):
                within = folder / name / f"ordered_month={part}"
                within.mkdir(parents=True)
                rows_of_it = table.filter(pc.equal(month, part))
                pq.write_table(rows_of_it, within / "part-00000-1f2e.snappy.parquet")
        else:
            (folder / f"{name}.parquet").mkdir(parents=True, exist_ok=True)
            half = len(table) // 2
            for number, part in enumerate((table[:half], table[half:])):
                path = folder / f"{name}.parquet" / f"part-{number:05}-1f2e.snappy.parquet"
                pq.write_table(part, path)
            (folder / f"{name}.parquet" / "_SUCCESS").touch()
    memory = fsspec.filesystem("memory")
    memory.put(f"{folder}/", "/exports/", recursive=True)
    try:
        landing = take(tables_home, named.format(folder))
    finally:
        memory.rm("/exports", recursive=True)
    assert len(landing.files) == 24 + 6
    landed = [
        len((CASES / "00-base" / f"{name}.csv").read_text().splitlines()) - 1
        for name in ("customers", "orders", "order_items", "products")
    ]
    assert [
        rows(tables_home, f"select count(*) from raw.canonical_{name}")[0][0]
        for name in ("customers", "orders", "order_items", "products")
    ] == landed
    ((units, gross),) = rows(
        tables_home,
        "select sum(quantity::int), sum(quantity::int * unit_price_amount::numeric)"
        " from raw.canonical_order_items",
    )
    lines = list(csv.DictReader((CASES / "00-base" / "order_items.csv").open()))
    assert units == sum(int(line["quantity"]) for line in lines)
    assert gross == sum(
        int(line["quantity"]) * Decimal(line["unit_price_amount"]) for line in lines
    )


# Copies of remote files ---------------------------------------------------------------------------


def copies_of(settings: Settings) -> list[str]:
    return sorted(p.name for p in settings.home.iterdir() if p.name.startswith(("landing-", "new")))


def test_the_copy_of_a_killed_landing_is_deleted_and_that_of_a_living_one_is_not(home, tmp_path):
    script = (
        "import time; from ingest.copies import copies; from perennial.settings import Settings\n"
        "with copies(Settings()) as folder:\n"
        "    (folder / 'copy').write_text('a@example.org'); print(folder.name, flush=True)\n"
        "    time.sleep(600)"
    )
    started = [
        subprocess.Popen(
            [sys.executable, "-c", script],
            env=environment(home),
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    try:
        killed, alive = [process.stdout.readline().strip() for process in started]
        (home.home / "newest-abc").mkdir()  # left behind by an earlier version
        started[0].kill()
        started[0].wait()
        assert {killed, alive, "newest-abc"} <= set(copies_of(home))
        run(home, write(tmp_path / "a.csv", line(1)))
        assert copies_of(home) == [alive]
        make_folders(home)
        assert copies_of(home) == [alive]
    finally:
        for process in started:
            process.kill()
            process.wait()
            process.stdout.close()
    make_folders(home)  # as each start does
    assert copies_of(home) == []


def test_a_copy_left_behind_that_cannot_be_deleted_is_logged(home, monkeypatch, caplog):
    left = home.home / "landing-left"
    left.mkdir()
    (left / "copy").write_text("a@example.org")
    with monkeypatch.context() as patched:
        patched.setattr(os, "unlink", lambda *_, **__: (_ for _ in ()).throw(PermissionError))
        make_folders(home)
    assert f"{left} can't be deleted: delete it by hand. It holds clear-text copies" in caplog.text
    assert list(search._files(home, ["a@example.org"])) == [str(left / "copy")]
    caplog.clear()
    make_folders(home)
    assert (copies_of(home), caplog.text) == ([], "")


@pytest.mark.parametrize("is_gzip", [False, True])
def test_a_copy_that_is_being_made_is_seen_by_the_search_for_a_person(home, is_gzip):
    content = b"".join(b"%d,c%d@example.org\n" % (number, number) for number in range(9_999))
    with copies(home) as folder:
        packed = gzip.compress(content)[:-900] if is_gzip else content
        (folder / "copy").write_bytes(packed)
        assert list(search._files(home, ["c77@example.org"])) == [str(folder / "copy")]
        assert list(search._files(home, ["c12345@example.org"])) == []
    assert list(search._files(home, ["c77@example.org"])) == []


def make_tables(settings: Settings) -> None:
    columns = {
        "customers": "customer_id int, country text, internal_note text",
        "orders": "order_id int, customer_id int, ordered_at timestamptz, order_type text",
        "order_items": "order_item_id text, order_id int, product_id text, quantity int,"
        " unit_price_amount numeric(8, 2), line_type text",
        "products": "product_id text, product_name text",
    }
    execute(
        settings,
        "create schema shop",
        *(f"create table shop.{table} ({text})" for table, text in columns.items()),
        "insert into shop.customers values (1, '', 'x'), (2, null, 'y')",
        "insert into shop.orders values (7, null, '2011-09-09 08:00+00', 'sale')",
        "insert into shop.order_items values ('7-1', 7, 'A', 2, 6.5, 'product')",
    )


GRANT = "grant usage on schema shop to loader"
GRANT_TABLES = "grant select on all tables in schema shop to loader"


def test_tables_of_the_warehouse_land_when_they_change(tables_home: Settings):
    make_tables(tables_home)
    execute(tables_home, GRANT, GRANT_TABLES)
    first = take(tables_home, "table:shop")
    assert [file.landed for file in first.files] == [2, 1, 1, 0]
    assert first.files[0].ignored_columns == ["internal_note"]
    assert rows(
        tables_home, "select customer_id, country from raw.canonical_customers order by 1"
    ) == [("1", ""), ("2", None)]
    assert rows(tables_home, "select ordered_at from raw.canonical_orders") == [
        ("2011-09-09 08:00:00+00",)
    ]
    assert rows(tables_home, "select unit_price_amount from raw.canonical_order_items") == [
        ("6.50",)
    ]
    assert not has_news(tables_home, DAY, "table:shop")
    assert run(tables_home, "table:shop").batch_id is None
    execute(tables_home, "update shop.customers set country = '' where customer_id = 2")
    second = take(tables_home, "table:shop")
    assert [file.landed for file in second.files] == [2, 0, 0, 0]
    assert statuses(tables_home) == ["accepted"] * 4 + ["superseded"]


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        pytest.param([], "role loader may not read it", id="no grant"),
        pytest.param([GRANT, "drop table shop.orders"], "no such table", id="no table"),
        pytest.param(
            [GRANT, GRANT_TABLES, "alter table shop.orders drop column order_type"],
            "lacks the columns 'order_type'",
            id="no column",
        ),
    ],
)
def test_tables_that_can_not_land_touch_nothing(tables_home, prepare, message):
    make_tables(tables_home)
    execute(tables_home, *prepare, "grant select on shop.customers to loader")
    with pytest.raises(LandingError, match=message):
        run(tables_home, "table:shop")
    assert_nothing_landed(tables_home)


# After a build ------------------------------------------------------------------------------------


def build_sees(settings: Settings, files: dict[int, tuple[bool, str | None]]) -> None:
    """Replace dbt: insert the files as a build saw them, accepted or not, and their first days."""
    values = ", ".join(
        f"({file_id}, {is_accepted}, date '{day}')" if day else f"({file_id}, {is_accepted}, null)"
        for file_id, (is_accepted, day) in files.items()
    )
    execute(
        settings,
        "drop table if exists staging.stg_ops__landed_files, intermediate.int_changed_files",
        "create table intermediate.int_changed_files as"
        f" select * from (values {values}) as v (file_id, is_accepted, first_touched_date)",
        "create table staging.stg_ops__landed_files as"
        " select file_id, is_accepted, 'those of today' as rules"
        " from intermediate.int_changed_files",
        role="transformer",
    )


def test_closing_a_build_notes_the_published_dates_that_a_late_file_touches(home, tmp_path):
    first = take(home, write(tmp_path / "a.csv", line(1))).files[0].file_id
    second = take(home, write(tmp_path / "b.csv", line(2))).files[0].file_id
    published = ", ".join(
        f"('churn', date '{day}', 1, 'r', 'm', 'v', date '2011-01-01', 1, '{{}}', 'c')"
        for day in ("2011-03-01", "2011-03-02", "2011-09-10")
    )
    execute(
        home,
        "insert into ops.publications (question, as_of_date, publication_id, run_id, model_name,"
        f" model_version, training_date, row_count, row_counts, checksum) values {published}",
    )
    late = "select as_of_date::text, file_id from ops.late_dates order by 1, 2"

    build_sees(home, {first: (True, "2011-03-01"), second: (True, None)})
    closed = batches.close_build(home)
    assert closed == {"files_added": 2, "files_removed": 0, "late_dates": 2}
    # the scores of March 1 do not see orders of March 1
    assert rows(home, late) == [("2011-03-02", first), ("2011-09-10", first)]
    assert rows(home, "select file_id from ops.built_files order by 1") == [(first,), (second,)]

    execute(home, "delete from ops.late_dates")
    build_sees(home, {first: (False, "2011-03-02")})
    closed = batches.close_build(home)
    assert closed == {"files_added": 0, "files_removed": 2, "late_dates": 1}
    assert rows(home, late) == [("2011-09-10", first)]


def test_no_running_step_but_the_loader_may_write_raw(home: Settings):
    for role in ("transformer", "scorer", "bi_reader"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            execute(home, f"insert into {RAW} (_batch_id) values (1)", role=role)


def test_the_real_shop_adds_up(home: Settings, online_retail_file: Path):
    """Counts and the sum of the price column against the csv module, line by line."""
    run(home, online_retail_file)
    with gzip.open(online_retail_file, "rb") as packed:
        reader = csv.DictReader(io.TextIOWrapper(packed, encoding="utf-8", newline=""))
        count, price, missing = 0, Decimal(0), 0
        for record in reader:
            count += 1
            price += Decimal(record["Price"])
            missing += record["Customer ID"] == ""
    assert rows(
        home,
        f"select count(*), sum(price::numeric), count(*) filter (where customer_id is null)"
        f" from {RAW}",
    ) == [(count, price, missing)]
