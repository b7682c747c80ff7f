"""The newest order in the shop's files is the newest that staging accepts, by its own cast."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ingest.files import LandingError
from ingest.newest import newest_orders
from local import run
from perennial import sources
from perennial.settings import Settings
from perennial.shop import Own
from perennial.warehouse import connect

CASES = Path(__file__).parent.parent / "cases"
(INVOICES,) = sources.load("online_retail").tables
HEADERS = [column.header for column in INVOICES.columns]


def record(moment: str) -> list[str]:
    return [moment if header == "InvoiceDate" else "x" for header in HEADERS]


def newest(home: Settings, files: Path | str) -> tuple[date, str]:
    return newest_orders(home.model_copy(update={"files": str(files)}))


def write(path: Path, *moments: str, delimiter: str = ",") -> Path:
    lines = [delimiter.join(fields) for fields in (HEADERS, *map(record, moments))]
    path.write_text("\n".join(lines))
    return path


@pytest.mark.parametrize(
    ("case", "latest"),
    [
        # dreamwidth/dreamwidth#3326, woocommerce/wc-smooth-generator#167: a mistyped year
        ("08b-2029-12-31", "2029-12-31"),
        ("08b-9999-12-31", "9999-12-31"),
        ("08c-2024-06-31", "2024-06-31"),
        ("08c-2024-13-01", "2024-13-01"),
    ],
)
def test_an_order_that_staging_rejects_is_skipped_and_reported(canonical_home, case, latest):
    day, passed_over = newest(canonical_home, CASES / case)
    assert day == date(2024, 5, 1)
    assert passed_over.startswith(f"1 of 2 order times are passed over, the latest of {latest}: ")


@pytest.mark.parametrize(
    ("time_zone", "day"),
    [
        ("Europe/London", date(2024, 6, 1)),
        ("Australia/Brisbane", date(2024, 6, 1)),
        ("America/Los_Angeles", date(2024, 5, 31)),
    ],
)
def test_the_offset_and_the_shops_zone_make_the_day(canonical_home, monkeypatch, time_zone, day):
    """2024-05-31T23:30-07:00 is 07:30 of June 1 in London, 16:30 in Brisbane, still May in LA."""
    monkeypatch.setattr("ingest.newest.own", lambda _: Own(time_zone, "GBP"))
    assert newest(canonical_home, CASES / "10-offset") == (day, "")


def test_the_date_to_score_is_the_day_after_and_never_after_tomorrow(canonical_home, capsys):
    def scored(files: Path) -> date:
        return run.day_after_newest_order(canonical_home.model_copy(update={"files": str(files)}))

    assert scored(CASES / "10-offset") == date(2024, 6, 2)
    assert "passed over" not in capsys.readouterr().out
    assert scored(CASES / "08b-2029-12-31") == date(2024, 5, 2)
    assert "the latest of 2029-12-31" in capsys.readouterr().out


def test_an_order_of_tomorrow_is_as_new_as_may_be(canonical_home, tmp_path):
    """Staging accepts an order from a zone where it is already tomorrow, and none after that."""
    tomorrow = datetime.now(UTC).date() + timedelta(days=1)
    text = (CASES / "10-offset" / "orders.csv").read_text()
    (tmp_path / "orders.csv").write_text(text.replace("2024-05-31", str(tomorrow)))
    settings = canonical_home.model_copy(update={"files": str(tmp_path)})
    assert run.day_after_newest_order(settings) == tomorrow


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_it_is_found_around_broken_records(online_retail_home, tmp_path, delimiter):
    moments = ["2011-09-09 08:00:00", '"2011-10-09 08:00:00"', "no date", "", "2010-01-01"]
    path = write(tmp_path / "a.csv", *moments, delimiter=delimiter)
    lines = path.read_text().split("\n")
    lines[2:2] = ['"2099-01-01', "cut off,2099-01-01 00:00:00"]
    path.write_text("\n".join(lines))
    day, passed_over = newest(online_retail_home, path)
    assert day == date(2011, 10, 9)
    assert passed_over.startswith("1 of 4 order times")


def test_it_is_found_in_every_format_and_over_several_files(online_retail_home, tmp_path):
    columns = {header: ["x"] for header in HEADERS}
    columns |= {"InvoiceDate": [datetime(2011, 9, 1, 8)]}
    pq.write_table(pa.table(columns), tmp_path / "9.parquet")
    write(tmp_path / "8.csv", "2011-08-01 08:00:00")
    assert newest(online_retail_home, tmp_path)[0] == date(2011, 9, 1)
    line = dict(zip(HEADERS, record("2011-10-01T00:30:00+02:00"), strict=True))
    (tmp_path / "10.jsonl.gz").write_bytes(gzip.compress(json.dumps(line).encode()))
    assert newest(online_retail_home, tmp_path)[0] == date(2011, 9, 30)


def test_more_values_than_are_sent_at_once_are_counted_all(
    online_retail_home, tmp_path, monkeypatch
):
    monkeypatch.setattr("ingest.newest.VALUES_AT_ONCE", 2)
    moments = [
        "2011-01-03",
        "2030-01-01",
        "2011-01-05",
        "x",
        "2011-01-04",
        "2011-01-05",
        "2040-01-01",
    ]
    day, passed_over = newest(online_retail_home, write(tmp_path / "a.csv", *moments))
    assert day == date(2011, 1, 5)
    assert passed_over.startswith("3 of 7 order times are passed over, the latest of 2040-01-01")


@pytest.mark.parametrize(
    ("moments", "message"),
    [
        (["9/10/2011 8:00"], "1 of 1 order times are passed over"),
        ([], "column 'InvoiceDate' is empty, or has no rows"),
    ],
)
def test_without_any_the_date_must_be_given(online_retail_home, tmp_path, moments, message):
    with pytest.raises(LandingError, match=rf"{message}.*AS_OF=2011-09-10"):
        newest(online_retail_home, write(tmp_path / "a.csv", *moments))


def test_tables_of_the_warehouse_are_read_by_the_same_rule(canonical_home):
    with connect(canonical_home, "perennial") as connection:
        connection.execute("create schema newest_shop")
        connection.execute("grant usage on schema newest_shop to loader")
        connection.execute(
            "create table newest_shop.orders as select * from (values"
            " (timestamptz '2024-05-31 23:30-07'), ('9999-12-31 00:00+00')) as t (ordered_at)"
        )
        connection.execute("grant select on newest_shop.orders to loader")
    try:
        day, passed_over = newest(canonical_home, "table:newest_shop")
    finally:
        with connect(canonical_home, "perennial") as connection:
            connection.execute("drop schema newest_shop cascade")
    assert day == date(2024, 6, 1)
    assert passed_over.startswith("1 of 2 order times are passed over, the latest of 9999-12-31")
