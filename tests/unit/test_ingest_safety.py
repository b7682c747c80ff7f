"""Dangerous files and addresses: links, archives, chains, passwords in addresses."""

from __future__ import annotations

import gzip
import os
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from ingest import files as files_module
from ingest.files import LandingError, examine, find
from ingest.reading import prepare, read_rows
from perennial import sources
from perennial.settings import Settings

DAY = date(2011, 9, 10)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder for uploads, and beside it a secret file."""
    (tmp_path / "in" / "deeper").mkdir(parents=True)
    (tmp_path / "in" / "orders.csv").write_text("x\n")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "secret.csv").write_text("a secret\n")
    (tmp_path / "secret.csv").write_text("a secret\n")
    return tmp_path


def link(place: Path) -> str:
    (place / "in" / "link.csv").symlink_to(place / "secret.csv")
    return f"{place}/in"


def link_that_is_named(place: Path) -> str:
    link(place)
    return f"{place}/in/link.csv"


def link_of_a_folder(place: Path) -> str:
    (place / "in" / "more").symlink_to(place / "elsewhere")
    return f"{place}/in/*/*.csv"


def link_to_a_device(place: Path) -> str:
    (place / "in" / "endless.csv").symlink_to("/dev/zero")
    return f"{place}/in/*.csv"


def link_in_a_url(place: Path) -> str:
    link(place)
    return f"file://{place}/in/*.csv"


def two_dots(place: Path) -> str:
    return f"{place}/in/*/../../secret.csv"


@pytest.mark.parametrize(
    "attempt",
    [link, link_that_is_named, link_of_a_folder, link_to_a_device, link_in_a_url, two_dots],
)
def test_nothing_outside_the_folder_is_read(place: Path, attempt) -> None:
    with pytest.raises(LandingError, match=r"leads out of|no file matches"):
        find(attempt(place), DAY)


def test_what_is_no_file_is_not_opened(place: Path) -> None:
    os.mkfifo(place / "in" / "pipe.csv")  # opening it would wait for ever
    with pytest.raises(LandingError, match="no regular file"):
        find(f"{place}/in/*.csv", DAY)


def test_a_link_inside_the_folder_is_a_name_like_any_other(place: Path) -> None:
    (place / "in" / "newest.csv").symlink_to("orders.csv")
    assert [file.base_name for file in find(f"{place}/in/*.csv", DAY)] == [
        "newest.csv",
        "orders.csv",
    ]


def test_a_folder_that_is_itself_a_link_may_be_named(place: Path) -> None:
    (place / "today").symlink_to(place / "in")
    assert [file.base_name for file in find(f"{place}/today", DAY)] == ["orders.csv"]
    assert [file.base_name for file in find(f"{place}/today/*.csv", DAY)] == ["orders.csv"]


@pytest.mark.parametrize(
    "named",
    [
        "zip://*.csv::{place}/in/orders.zip",
        "simplecache::https://example.org/orders.csv",
        "data:text/csv,order_id",
        "data:text/csv;base64,%%%",
        "filecache::file://{place}/in/orders.csv",
        "tar://orders.csv::{place}/in/orders.tar",
        "reference::{place}/in/orders.json",
        "reference://orders.csv",
        "github://org:repo@main/orders.csv",
        "git://{place}/orders.csv",
        "data:text/csv;base64,eAo=.csv::x",
        "jupyter://localhost/orders.csv",
        "python://os.csv",
    ],
)
def test_only_plain_addresses_are_followed(place: Path, named: str) -> None:
    with pytest.raises(LandingError, match=r"no address of files|password or a signature"):
        find(named.replace("{place}", str(place)), DAY)


def test_a_date_is_all_that_is_filled_in(place: Path) -> None:
    """Fields that str.format would resolve stay as typed."""
    for typed in ("{as_of_date.__class__}", "{as_of_date!r}", "{0}", "{as_of_date:%s}", "{files}"):
        with pytest.raises(LandingError) as caught:
            find(f"{place}/in/{typed}.csv", DAY)
        assert typed in str(caught.value)


SECRETS = [
    "https://shop:hunter2@example.org/orders.csv",
    "https://hunter2@example.org/orders.csv",
    "sftp://shop:hunter2@example.org/orders/",
    "s3://key:hunter2@bucket/orders.csv",
    "https://example.org/orders.csv?X-Amz-Signature=hunter2",
    "https://example.org/orders.csv?a=1&SIG=hunter2",
    "https://example.org/orders.csv?access_token=hunter2",
    "https://example.org/orders.csv?api_key=hunter2",
]


@pytest.mark.parametrize("url", SECRETS)
def test_a_secret_in_an_address_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises(LandingError, match="password or a signature") as landing:
        find(url, DAY)
    with pytest.raises(ValidationError, match="password or a signature") as setting:
        Settings(files=url)
    with pytest.raises(ValidationError, match="password or a signature"):
        Settings(artefacts=url)
    assert "hunter2" not in f"{landing.value}{setting.value}"


@pytest.mark.parametrize(
    "url",
    [
        "https://example.org/orders.csv?versionId=3&sort=asc",
        "abfss://container@account.dfs.core.windows.net/orders.csv",
        "sftp://shop@example.org/orders/",
        "s3://bucket/orders_{as_of_date}.csv",
        "/data/a@b:c/orders.csv",
        "table:shop",
    ],
)
def test_an_address_without_a_secret_is_none(url: str) -> None:
    assert Settings(files=url).files == url


# Archives -----------------------------------------------------------------------------------------


def packed(path: Path, block: bytes, count: int) -> Path:
    with gzip.open(path, "wb") as file:
        for _ in range(count):
            file.write(block)
    return path


def test_an_archive_that_holds_a_disk_full_is_not_unpacked(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(files_module, "PACKED_HARMLESS_BYTES", 1 << 20)
    bomb = packed(tmp_path / "orders.csv.gz", b"\0" * (1 << 20), 64)
    assert bomb.stat().st_size < 1 << 17  # a thousand to one
    (file,) = find(str(bomb), DAY)
    with pytest.raises(LandingError, match="times its size"):
        examine(file, bomb)


def test_a_file_longer_than_the_setting_is_refused(tmp_path: Path) -> None:
    lines = b"1,2,3\n" * 1000
    plain, zipped = tmp_path / "plain.csv", packed(tmp_path / "zipped.csv.gz", lines, 1)
    plain.write_bytes(lines)
    for path in (plain, zipped):
        (file,) = find(str(path), DAY, limit_bytes=len(lines) - 1)
        with pytest.raises(LandingError, match="PERENNIAL_MAX_FILE_GB"):
            examine(file, path)
        (file,) = find(str(path), DAY, limit_bytes=len(lines))
        assert examine(file, path).byte_count == len(lines)


def test_a_parquet_file_that_unfolds_is_broken_off(tmp_path: Path) -> None:
    source = sources.load("canonical")
    table = next(table for table in source.tables if table.name == "orders")
    path = tmp_path / "orders.parquet"
    count = 200_000
    columns = {column.name: ["x" * 50] * count for column in table.columns}
    pq.write_table(pa.table(columns), path)  # a dictionary of one word
    assert path.stat().st_size < 1 << 16
    (file,) = find(str(path), DAY, limit_bytes=10**6)
    candidate = prepare(file, table, tmp_path)
    with pytest.raises(LandingError, match="PERENNIAL_MAX_FILE_GB"):
        for _ in read_rows(candidate, candidate.layout, b"1,%d,%s\n"):
            pass
