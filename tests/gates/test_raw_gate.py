"""The gate after landing: a good batch is accepted, a broken batch is held."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import date

import pytest

from expectations.raw import gate_raw
from expectations.results import GateFailed
from ingest import batches
from perennial.settings import Settings
from perennial.warehouse import connect

AS_OF = date(2011, 9, 10)

FILE = """
insert into ops.landed_files
    (file_id, batch_id, source, table_name, file_name, content_sha256, byte_count, record_count,
     landed_count, rejected_count, first_line, status, run_id)
    overriding system value
    values ({file_id}, {batch_id}, 'online_retail', 'online_retail_invoice_lines', 'f{file_id}.csv',
     'sha{file_id}', 1, {rows} + {rejected}, {rows}, {rejected}, 1, '{status}', 'r')
"""
ROWS = """
insert into raw.online_retail_invoice_lines
    (invoice, stock_code, description, quantity, invoice_date, price, customer_id, country,
     _batch_id, _file_id, _line, _loaded_at)
    select '5' || n, '85048', 'a light', '-3', '2011-09-09 08:45:00', '6.95',
        case when n % 4 > 0 then '13085.0' end, 'United Kingdom', {batch_id}, {file_id}, n, now()
    from generate_series(1, {rows}) as n
"""
LINES = "raw.online_retail_invoice_lines"


@pytest.fixture(autouse=True)
def landed(gate_home: Settings) -> None:
    """Batch 1: file 1 with 200 good lines, held. File 9 of batch 9 is broken and refused."""
    run_as_owner(gate_home, f"truncate {LINES}; truncate ops.landed_files cascade")
    land(gate_home, batch_id=1, file_id=1)
    land(gate_home, batch_id=9, file_id=9, status="refused")
    run_as_owner(gate_home, f"update {LINES} set quantity = 'x', price = null where _file_id = 9")


def land(settings: Settings, batch_id: int, file_id: int, rows=200, rejected=0, status="held"):
    fields = dict(
        batch_id=batch_id, file_id=file_id, rows=rows, rejected=rejected, status=status
    )  # fmt: skip
    run_as_owner(settings, FILE.format(**fields))
    run_as_owner(settings, ROWS.format(**fields))


def run_as_owner(settings: Settings, statements: str) -> None:
    with connect(settings, "perennial") as connection:
        connection.execute(statements)  # type: ignore[arg-type]


def test_a_good_batch_is_accepted(gate_home, results):
    summary = gate_raw(gate_home, 1, AS_OF, "good batch")
    assert (summary["batch_ids"], summary["warnings"]) == ([1], [])
    assert results("good batch", "gate", "success") == [("raw", True)] * summary["rule_count"]
    assert batches.status(gate_home, 1) == "accepted"


@pytest.mark.parametrize(
    ("fault", "rule"),
    [
        (f"delete from {LINES} where _file_id = 1", "row_count"),
        (f"update {LINES} set quantity = 'three' where _line <= 11",
         "quantity_is_number.*11 of 200"),
        (f"update {LINES} set invoice_date = '31.31.2011' where _line <= 11",
         "invoice_date_is_timestamp"),
        (f"update {LINES} set price = stock_code || 'A' where _line <= 11", "price_is_number"),
        (f"update {LINES} set quantity = ''", "quantity_filled.*200 of 200"),
        (f"update {LINES} set price = null", "price_filled"),
        (f"update {LINES} set price = '0.00' where _line > 90", "price_is_zero"),
        (f"update {LINES} set price = '6,950' where _line <= 11",
         "Of 200 values of online_retail_invoice_lines.price, 11 .5.5%. are no number that "
         "staging reads; their forms: '9,999' .11."),
        (f"update {LINES} set invoice_date = '09/21/2011 10:00' where _line <= 11",
         "invoice_date, 11 .5.5%. are no timestamp that .*their forms: '99/99/9999 99:99' .11."),
        (f"update {LINES} set quantity = 'jane@x.org' where _line <= 11", "'aaaa.a.aaa' .11."),
        ("update ops.landed_files set rejected_count = 11, record_count = 211 where file_id = 1",
         "rejected_rate"),
        (f"delete from {LINES} where _file_id = 1; update ops.landed_files"
         " set landed_count = 0, record_count = 0 where file_id = 1",
         "records_so_far.*The files hold headers only"),
    ],
)  # fmt: skip
def test_a_planted_fault_holds_the_batch(gate_home, fault, rule):
    run_as_owner(gate_home, fault)
    with pytest.raises(GateFailed, match=rf"batch 1 is held.*{rule}.*make accept BATCH=1"):
        gate_raw(gate_home, 1, AS_OF, "fault")
    assert batches.status(gate_home, 1) == "held"


def test_a_missing_column_holds_the_batch(gate_home):
    run_as_owner(gate_home, f"alter table {LINES} rename country to land")
    try:
        with pytest.raises(GateFailed, match="country"):
            gate_raw(gate_home, 1, AS_OF, "no column")
    finally:
        run_as_owner(gate_home, f"alter table {LINES} rename land to country")
    assert batches.status(gate_home, 1) == "held"


@pytest.mark.parametrize(
    ("fault", "rule"),
    [
        (f"update {LINES} set quantity = 'three' where _line = 7", "quantity_is_number"),
        (f"update {LINES} set customer_id = ' '", "customer_id_filled"),
        ("update ops.landed_files set rejected_count = 1, record_count = 201 where file_id = 1",
         "rejected_rate"),
    ],
)  # fmt: skip
def test_a_few_odd_lines_warn_and_are_accepted(gate_home, fault, rule):
    run_as_owner(gate_home, fault)
    warning, *forms = gate_raw(gate_home, 1, AS_OF, "odd")["warnings"]
    assert rule in warning
    assert len(forms) == (rule == "quantity_is_number")
    assert batches.status(gate_home, 1) == "accepted"


@pytest.mark.parametrize(("bad", "status"), [(2, "accepted"), (3, "held")])
def test_one_or_two_bad_lines_hold_no_batch_however_small(gate_home, bad, status):
    land(gate_home, batch_id=2, file_id=2, rows=10)
    run_as_owner(
        gate_home, f"update {LINES} set price = 'n/a' where _file_id = 2 and _line <= {bad}"
    )
    land(gate_home, batch_id=3, file_id=3, rows=10, rejected=bad)
    for batch_id in (2, 3):
        with nullcontext() if status == "accepted" else pytest.raises(GateFailed):
            gate_raw(gate_home, batch_id, AS_OF, "small")
        assert batches.status(gate_home, batch_id) == status


def test_a_batch_much_smaller_than_usual_warns(gate_home):
    for number in (11, 12, 13):
        land(gate_home, batch_id=number, file_id=number, rows=210, status="accepted")
    land(gate_home, batch_id=14, file_id=14, rows=20)
    (warning,) = gate_raw(gate_home, 14, AS_OF, "small")["warnings"]
    assert "volume_ratio" in warning


@pytest.mark.parametrize(("usual", "words"), [(5, []), (400, ["volume_ratio", "headers only"])])
def test_a_day_without_orders_passes_once_the_shop_has_some(gate_home, usual, words):
    """StarRocks/starrocks#70225, microsoft/finops-toolkit#2042: a file with a header only."""
    for number in (11, 12, 13):
        land(gate_home, batch_id=number, file_id=number, rows=usual, status="accepted")
    land(gate_home, batch_id=14, file_id=14, rows=0)
    warnings = gate_raw(gate_home, 14, AS_OF, "no orders")["warnings"]
    assert batches.status(gate_home, 14) == "accepted"
    assert len(warnings) == len(words)
    assert all(word in warning for word, warning in zip(words, warnings, strict=True))


def test_unread_records_are_reported_by_file_line_and_reason(gate_home):
    run_as_owner(
        gate_home,
        "update ops.landed_files set rejected_count = 3, record_count = 203 where file_id = 1;"
        "insert into ops.rejected_lines (file_id, line_number, reason, content) values"
        " (1, 7, 'not UTF-8', ''), (1, 5, 'not UTF-8', ''), (1, 2, '7 fields, expected 8', '')",
    )
    _, warning = gate_raw(gate_home, 1, AS_OF, "unread")["warnings"]
    assert warning == (
        "Of 203 records of f1.csv, 3 can't be read: not UTF-8 (2, first on line 5); 7 fields, "
        "expected 8 (1, first on line 2): have the file written in UTF-8"
    )


def test_an_unreadable_value_is_reported_with_its_file_and_line(gate_home):
    run_as_owner(gate_home, f"update {LINES} set price = '£6.95' where _line in (77, 9)")
    _, warning = gate_raw(gate_home, 1, AS_OF, "pounds")["warnings"]
    assert warning == (
        "Of 200 values of online_retail_invoice_lines.price, 2 (1.0%) are no number that staging "
        "reads; their forms: '£9.99' (2); the first is on line 9 of f1.csv: have numbers as "
        "1234.50 (1,234.50 is read, 1,234 may be two numbers) written"
    )


def test_other_batches_are_not_looked_at(gate_home):
    land(gate_home, batch_id=2, file_id=2)
    run_as_owner(gate_home, f"update {LINES} set quantity = 'x' where _file_id = 2")
    assert gate_raw(gate_home, 1, AS_OF, "one of two")["batch_ids"] == [1]
    assert batches.status(gate_home, 2) == "held"


def test_a_second_try_is_stopped_again_though_nothing_new_was_landed(gate_home):
    run_as_owner(gate_home, f"update {LINES} set quantity = 'x' where _file_id = 1")
    for batch_id in (1, None):
        with pytest.raises(GateFailed, match="batch 1 is held"):
            gate_raw(gate_home, batch_id, AS_OF, "again")


@pytest.mark.parametrize("decision", [batches.accept, batches.refuse])
def test_what_a_person_decided_stays(gate_home, decision):
    run_as_owner(gate_home, f"update {LINES} set quantity = 'x' where _file_id = 1")
    decision(gate_home, 1, "a person said so")
    before = batches.status(gate_home, 1)
    assert gate_raw(gate_home, 1, AS_OF, "decided")["batch_ids"] == []
    assert batches.status(gate_home, 1) == before
