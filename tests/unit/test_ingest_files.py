"""Which files FILES names, what the first reading learns, and how a file is then classified."""

from __future__ import annotations

import gzip
import hashlib
from datetime import date
from pathlib import Path

import fsspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest import files as files_module
from ingest.files import Content, LandingError, examine, find
from ingest.reading import prepare, table_of
from ingest.versions import Verdict, Version, compare
from perennial import sources

CANONICAL = sources.load("canonical")
TABLES = ("customers", "orders", "order_items", "products")
DAY = date(2011, 9, 10)


def names(files: str) -> list[str]:
    return [file.base_name for file in find(files, DAY)]


def write(folder: Path, *paths: str) -> Path:
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text("x")
    return folder


def test_a_folder_is_all_that_is_in_it_without_what_is_hidden(tmp_path: Path):
    write(tmp_path, "b.csv", "a.CSV.GZ", ".part.csv", "_SUCCESS", "deeper/c.csv")
    write(tmp_path, "deeper/.c.csv.crc", "_temporary/d.csv", ".git/e.csv")
    assert names(str(tmp_path)) == ["a.CSV.GZ", "b.csv", "c.csv"]
    assert names(f"{tmp_path}/**/*.csv") == ["b.csv", "c.csv"]
    assert names(f"{tmp_path}/*.csv") == ["b.csv"]
    assert [file.is_gzip for file in find(str(tmp_path), DAY)] == [True, False, False]


@pytest.mark.parametrize("named", ["{}", "{}/*", "{}/**", "{}/**/*.parquet", "file://{}"])
def test_what_spark_wrote_is_one_folder_a_table(tmp_path: Path, named: str):
    parts = [f"{name}.parquet/part-{n:05}-1f.snappy.parquet" for name in TABLES for n in range(3)]
    write(tmp_path, *parts, *(f"{name}.parquet/_SUCCESS" for name in TABLES))
    write(tmp_path, "orders.parquet/.part-00000-1f.snappy.parquet.crc")
    found = find(named.format(tmp_path), DAY)
    tables = {file.path: table_of(CANONICAL, file).name for file in found}
    assert tables == {f"{tmp_path}/{part}": part.partition(".")[0] for part in parts}


def test_what_hive_wrote_is_known_by_the_folder_above_its_keys(tmp_path: Path):
    parts = [f"orders/ordered_month=2024-{month}/part-0.parquet" for month in (9, 10)]
    # the folder of a key never names the table, whatever the key
    parts.append("order_items/orders_month=2024-09/part-0.parquet")
    found = find(str(write(tmp_path, *parts)), DAY)
    assert [table_of(CANONICAL, file).name for file in found] == ["order_items", "orders", "orders"]
    memory = fsspec.filesystem("memory")
    try:
        for part in parts:
            memory.pipe(f"/hive_bucket/{part}", b"x")
        remote = find("memory://hive_bucket", DAY)
        assert [file.folders for file in remote] == [file.folders for file in found]
        assert [table_of(CANONICAL, file).name for file in remote] == [
            table_of(CANONICAL, file).name for file in found
        ]
    finally:
        memory.rm("/hive_bucket", recursive=True)


@pytest.mark.parametrize("folder", ["archive", "orders_2024/old"])
def test_an_unknown_folder_is_an_error_and_not_skipped(tmp_path: Path, folder: str):
    write(tmp_path, "orders_2.csv", f"{folder}/orders_1.csv")
    (file, _) = sorted(find(str(tmp_path), DAY), key=lambda file: file.base_name)
    with pytest.raises(LandingError, match=r"orders_1\.csv is in a folder '(archive|old)'.*glob"):
        table_of(CANONICAL, file)
    for named in (f"{tmp_path}/{folder}/*", f"{tmp_path}/**/*.csv"):
        for file in find(named, DAY):
            assert table_of(CANONICAL, file).name == "orders"


def test_folders_of_dates_are_read(tmp_path: Path):
    parts = ["2024/09/orders.csv", "2024/10/orders.csv", "2024-05-01/orders.csv"]
    found = find(str(write(tmp_path, *parts)), DAY)
    assert {table_of(CANONICAL, file).name for file in found} == {"orders"}


def test_a_file_of_no_table_in_a_folder_of_a_table_is_that_tables(tmp_path: Path):
    (file,) = find(str(write(tmp_path, "orders_export/customers.csv")), DAY)
    assert table_of(CANONICAL, file).name == "customers"
    (file,) = find(str(write(tmp_path / "2", "x/part-0.csv")), DAY)
    with pytest.raises(LandingError, match="belongs to no table"):
        table_of(CANONICAL, file)


def test_a_link_that_leads_back_is_an_error(tmp_path: Path):
    (write(tmp_path, "orders/a.csv") / "orders" / "again").symlink_to(tmp_path / "orders")
    with pytest.raises(LandingError, match="deeper than 12 folders: is there a link"):
        find(str(tmp_path), DAY)


def test_a_column_in_a_folders_name_only_is_an_error(tmp_path: Path):
    (file,) = find(str(write(tmp_path, "orders/country=UK/part-0.csv")), DAY)
    Path(file.path).write_text("order_id,customer_id,ordered_at,order_type\n")
    with pytest.raises(LandingError, match=r"has no column 'country': it is only in its folder's"):
        prepare(file, table_of(CANONICAL, file), tmp_path)


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


# New, known, grown or changed ---------------------------------------------------------------------


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
    assert compare("a", "csv", content, current, same) == verdict


def test_a_parquet_file_never_counts_as_grown():
    assert compare("a", "parquet", GREW, OLD, []) == Verdict(supersedes_file_id=1)


# Unknown names ------------------------------------------------------------------------------------


def test_a_name_that_no_reader_knows_is_an_error(tmp_path: Path):
    (tmp_path / "orders.xlsx").write_text("x")
    with pytest.raises(LandingError, match=r"orders\.xlsx: no reader .* \.csv, \.csv\.gz"):
        find(str(tmp_path / "orders.xlsx"), DAY)
