"""Which files are meant, what the first reading finds out, and what that makes of a file."""

from __future__ import annotations

import gzip
import hashlib
from datetime import date, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest import files as files_module
from ingest.files import Content, LandingError, examine, find
from ingest.newest import newest_order_date
from ingest.versions import Verdict, Version, judge
from perennial import sources
from perennial.settings import Settings

DAY = date(2011, 9, 10)


def names(files: str) -> list[str]:
    return [file.base_name for file in find(files, DAY)]


def test_a_folder_is_its_files_without_hidden_ones_and_subfolders(tmp_path: Path):
    (tmp_path / "deeper").mkdir()
    for name in ("b.csv", "a.CSV.GZ", ".part.csv", "_SUCCESS", "deeper/c.csv"):
        (tmp_path / name).write_text("x")
    assert names(str(tmp_path)) == ["a.CSV.GZ", "b.csv"]
    assert names(f"{tmp_path}/**/*.csv") == ["b.csv", "c.csv"]
    assert [file.is_gzip for file in find(str(tmp_path), DAY)] == [True, False]


def test_the_date_finds_its_file(tmp_path: Path):
    (tmp_path / "2011-09-10").mkdir()
    (tmp_path / "2011-09-10" / "orders_2011-09-10.jsonl").write_text("x")
    assert names(f"{tmp_path}/{{as_of_date}}/orders_{{as_of_date}}.jsonl") == [
        "orders_2011-09-10.jsonl"
    ]


def test_a_local_file_has_one_name_however_it_was_given(tmp_path: Path, monkeypatch):
    (tmp_path / "a.csv").write_text("x")
    monkeypatch.chdir(tmp_path)
    given = ["a.csv", "./a.csv", str(tmp_path), f"file://{tmp_path}/a.csv"]
    assert {find(files, DAY)[0].name for files in given} == {str(tmp_path / "a.csv")}


@settings(max_examples=200, deadline=None)
@given(
    data=st.lists(st.sampled_from([b"a", b"\n", b"\r", b"\r\n"]), min_size=1).map(b"".join),
    prefix_bytes=st.integers(0, 20),
    block_bytes=st.integers(1, 5),
)
def test_the_first_reading_counts_lines_and_knows_the_prefix(
    data, prefix_bytes, block_bytes, tmp_path_factory
):
    path = tmp_path_factory.mktemp("files") / "a.csv.gz"
    path.write_bytes(gzip.compress(data))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files_module, "BLOCK_BYTES", block_bytes)
        (file,) = find(str(path), DAY)
        content = examine(file, path, prefix_bytes)
    prefix = data[:prefix_bytes]
    has_grown = 0 < prefix_bytes < len(data)
    assert content == Content(
        hashlib.sha256(data).hexdigest(),
        len(data),
        len(data.splitlines()),
        hashlib.sha256(prefix).hexdigest() if has_grown else None,
        len(prefix.splitlines()) if has_grown and prefix.endswith(b"\n") else None,
    )


# What a file is to what has been landed ----------------------------------------------------------


def version(file_id: int, sha256: str, status: str = "accepted", name: str = "a") -> Version:
    return Version(file_id, file_id, name, sha256, 10, status)


NEW = Content("new", 20, 2)
GREW = Content("new", 20, 2, prefix_sha256="old", prefix_line_count=1)
OLD = version(1, "old")


@pytest.mark.parametrize(
    ("content", "current", "same", "verdict"),
    [
        pytest.param(NEW, None, [], Verdict(), id="new"),
        pytest.param(NEW, OLD, [], Verdict(supersedes_file_id=1), id="changed"),
        pytest.param(
            GREW, OLD, [], Verdict(continues_file_id=1, skip_bytes=10, skip_lines=1), id="grew"
        ),
        pytest.param(
            Content("new", 20, 2, "old", None),
            OLD,
            [],
            Verdict(supersedes_file_id=1),
            id="grew in the middle of a line",
        ),
        pytest.param(
            GREW,
            Version(1, 1, "a", "old", 10, "accepted", has_open_end=True),
            [],
            Verdict(supersedes_file_id=1),
            id="grew after an open quote",
        ),
        *(
            pytest.param(
                NEW,
                None,
                [version(2, "new", status, name)],
                Verdict(known=version(2, "new", status, name)),
                id=f"{status} under {'its' if name == 'a' else 'another'} name",
            )
            for status in ("held", "refused", "accepted")
            for name in ("a", "b")
        ),
        pytest.param(
            NEW,
            OLD,
            [version(0, "new", "superseded")],
            Verdict(supersedes_file_id=1),
            id="an older version came back",
        ),
    ],
)
def test_a_file_is_new_known_grown_or_changed(content, current, same, verdict):
    assert judge("a", "csv", content, current, same) == verdict


def test_a_parquet_file_never_counts_as_grown():
    assert judge("a", "parquet", GREW, OLD, []) == Verdict(supersedes_file_id=1)


# The newest order --------------------------------------------------------------------------------

(INVOICES,) = sources.load("online_retail").tables
HEADERS = [column.header for column in INVOICES.columns]


def record(moment: str) -> list[str]:
    return [moment if header == "InvoiceDate" else "x" for header in HEADERS]


def shop(files: Path) -> Settings:
    return Settings(home=files.parent, source="online_retail", files=str(files))


@pytest.mark.parametrize("delimiter", [",", ";"])
def test_the_newest_order_is_found_around_broken_records(tmp_path: Path, delimiter: str):
    moments = ["2011-09-09 23:59:00", '"2011-10-09 08:00:00"', "no date", "", "2010-01-01"]
    lines = [delimiter.join(fields) for fields in (HEADERS, *map(record, moments))]
    lines[2:2] = ['"2099-01-01', "cut off,2099-01-01 00:00:00"]
    (tmp_path / "a.csv").write_text("\n".join(lines))
    assert newest_order_date(shop(tmp_path / "a.csv")) == date(2011, 10, 9)


def test_the_newest_order_is_found_in_parquet_and_over_several_files(tmp_path: Path):
    folder = tmp_path / "in"
    folder.mkdir()
    for month in (8, 9):
        columns = {header: ["x"] for header in HEADERS}
        columns |= {"InvoiceDate": [datetime(2011, month, 1, 8)]}
        pq.write_table(pa.table(columns), folder / f"{month}.parquet")
    assert newest_order_date(shop(folder)) == date(2011, 9, 1)


def test_without_any_iso_date_the_date_must_be_given(tmp_path: Path):
    lines = [",".join(HEADERS), ",".join(record("9/10/2011 8:00"))]
    (tmp_path / "a.csv").write_text("\n".join(lines))
    with pytest.raises(LandingError, match=r"InvoiceDate.*AS_OF=2011-09-10"):
        newest_order_date(shop(tmp_path / "a.csv"))


def test_a_name_that_no_reader_knows_is_an_error(tmp_path: Path):
    (tmp_path / "orders.xlsx").write_text("x")
    with pytest.raises(LandingError, match=r"orders\.xlsx: no reader .* \.csv, \.csv\.gz"):
        find(str(tmp_path / "orders.xlsx"), DAY)
