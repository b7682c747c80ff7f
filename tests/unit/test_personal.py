"""Personal values: hashed before they land, and detected in untagged columns."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from expectations.personal import is_card, is_iban, is_phone, looks_personal
from ingest.csv_records import Reject
from ingest.personal import Screen, field_bounds, field_text, hashed, hashed_id, keyed_hash
from ingest.rows import Trace, csv_field
from local.home import prepare
from perennial import sources
from perennial.settings import PII_KEY, Settings, SettingsError

KEY = b"a key of the test's own"
STAMP = Trace(1, 2).stamp(b",")
CUSTOMERS = next(t for t in sources.load("canonical").tables if t.name == "customers")
ORDERS = next(t for t in sources.load("canonical").tables if t.name == "orders")


def rows(*values: tuple[str | None, ...]) -> bytes:
    lines = [",".join(map(csv_field, row)).encode() for row in values]
    return b"".join(STAMP % (number, line) for number, line in enumerate(lines, start=2))


def screen(table: sources.SourceTable, columns: list[str], *erased: str) -> Screen:
    known = frozenset(keyed_hash(KEY, customer.encode()) for customer in erased)
    return Screen(KEY, table, columns, b",", known)


def values(data: bytes, n_columns: int) -> list[tuple[bytes, ...]]:
    """Fields after the trace columns, as COPY gets them."""
    starts, ends = field_bounds(data, b",", n_columns + len(Trace.columns))
    return [
        tuple(data[s:e] for s, e in zip(*pair, strict=True))[len(Trace.columns) :]
        for pair in zip(starts.tolist(), ends.tolist(), strict=True)
    ]


# The hash -----------------------------------------------------------------------------------------


def test_the_hash_is_hmac_sha256_and_knows_no_blanks_nor_case() -> None:
    expected = hmac.new(KEY, b"ann@example.org", hashlib.sha256).hexdigest()[:32]
    for written in ("ann@example.org", "Ann@Example.ORG", "  ann@example.org\t"):
        assert hashed(KEY, written) == expected
    assert hashed(b"another key", "ann@example.org") != expected
    assert [hashed(KEY, blank) for blank in ("", "  ")] == ["", "  "]


def test_the_key_is_a_file_of_its_owner_alone_and_stays(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home")
    prepare(settings)
    path = settings.secrets_dir / PII_KEY
    assert path.stat().st_mode & 0o777 == 0o600
    first = settings.pii_key
    prepare(settings)
    assert settings.pii_key == first
    assert len(first) >= 32


# Rows on their way to COPY ------------------------------------------------------------------------


def test_only_the_tagged_field_changes_whatever_stands_in_the_others() -> None:
    odd = 'a "b", c\r\nd\n'
    data = rows(("c1", odd, "Ann@Example.org"), (odd, None, None), ("c3", "", ""), ("c4", "x", odd))
    one = screen(CUSTOMERS, ["customer_id", "country", "email"])
    before, after = values(data, 3), values(one.rows(data), 3)
    assert [row[:2] for row in after] == [row[:2] for row in before]
    assert [field_text(row[2]) for row in after] == [
        hashed(KEY, "ann@example.org"),
        "",
        "",
        hashed(KEY, odd),
    ]
    assert [row[2] for row in after][1:3] == [b"", b'""']  # missing stays missing, empty empty


@given(st.lists(st.tuples(*[st.none() | st.text(st.characters(codec="utf-8"))] * 3), min_size=1))
def test_no_row_is_lost_or_bent(given_rows: list[tuple[str | None, ...]]) -> None:
    data = rows(*given_rows)
    passed = values(screen(CUSTOMERS, ["customer_id", "email", "country"]).rows(data), 3)
    for sent, row in zip(given_rows, passed, strict=True):
        assert [row[0], row[2]] == [csv_field(sent[0]).encode(), csv_field(sent[2]).encode()]
        assert field_text(row[1]) == hashed(KEY, sent[1] or "")


def test_a_table_without_personal_columns_passes_byte_for_byte() -> None:
    data = rows(("1", "c1"), ("2", "c2"))
    assert screen(ORDERS, ["order_id", "customer_id"]).rows(data) is data


def test_an_erased_customer_stays_erased_in_what_comes_later() -> None:
    data = rows(("1", " c1 "), ("2", "c2"), ("3", None))
    orders = screen(ORDERS, ["order_id", "customer_id"], "c1")
    assert values(orders.rows(data), 2) == [
        (b'"1"', b""),
        (b'"2"', b'"c2"'),
        (b'"3"', b""),
    ]
    data = rows(("c1", "France", "ann@example.org"), ("c2", "France", "ann@example.org"))
    customers = screen(CUSTOMERS, ["customer_id", "country", "email"], "c1")
    digest = hashed(KEY, "ann@example.org").encode()
    assert values(customers.rows(data), 3) == [
        (b"", b"", b""),
        (b'"c2"', b'"France"', digest),
    ]


def test_a_customer_key_that_is_an_address_is_known_again_by_its_hash() -> None:
    tagged = tuple(replace(c, is_pii=c.name == "customer_id") for c in ORDERS.columns)
    address = hashed(KEY, "ann@example.org")
    orders = screen(replace(ORDERS, columns=tagged), ["order_id", "customer_id"], address)
    data = rows(("1", "Ann@example.org"), ("2", "bob@example.org"))
    assert values(orders.rows(data), 2) == [
        (b'"1"', b""),
        (b'"2"', hashed(KEY, "bob@example.org").encode()),
    ]


def test_an_erased_customer_is_known_however_the_key_is_written() -> None:
    data = rows(("1", "13085.0"), ("2", " 13085 "), ("3", "13085.5"), ("4", "1.3085e+04"))
    orders = screen(ORDERS, ["order_id", "customer_id"], "13085")
    assert [row[1] for row in values(orders.rows(data), 2)] == [b"", b"", b'"13085.5"', b""]


def test_a_personal_id_has_one_hash_and_a_guest_has_none() -> None:
    for written in ("17", " 17 ", "17.0", "17.", "1.7e+01"):
        assert hashed_id(KEY, written) == hashed(KEY, "17")
    for nobody in ("0", "0.0", "-1", "NULL", "\\N", "nan", "guest", ""):
        assert hashed_id(KEY, nobody) == nobody
    tagged = tuple(replace(c, is_pii=c.name == "customer_id") for c in ORDERS.columns)
    orders = screen(replace(ORDERS, columns=tagged), ["order_id", "customer_id"])
    data = rows(("1", "17.0"), ("2", "0"))
    assert [row[1] for row in values(orders.rows(data), 2)] == [
        hashed(KEY, "17").encode(),
        b'"0"',
    ]


def test_what_cannot_be_read_is_shown_as_its_hash() -> None:
    reject = Reject(7, "not UTF-8", b"c9,\xe9@example.org")
    shown = screen(CUSTOMERS, ["customer_id", "email"]).reject(reject)
    assert (shown.line, shown.reason) == (7, "not UTF-8")
    assert shown.content == b"in the vault: " + keyed_hash(KEY, reject.content).encode()
    assert screen(ORDERS, ["order_id"]).reject(reject) is reject


# The contract -------------------------------------------------------------------------------------


def table(name: str, **columns: dict[str, Any]) -> sources.SourceTable:
    made = [sources.SourceColumn(c, c, "", True, **tags) for c, tags in columns.items()]
    return sources.SourceTable(name, f"s_{name}", (), "", tuple(made))


def test_a_hash_can_be_joined_only_if_every_table_has_it() -> None:
    key, tagged = {"is_customer_key": True}, {"is_customer_key": True, "is_pii": True}
    sources.check_pii_tags("s", [table("a", id=tagged), table("b", customer=tagged, id=tagged)])
    with pytest.raises(SettingsError, match=r"customer key is tagged pii in s_a\.id and not in"):
        sources.check_pii_tags("s", [table("a", id=tagged), table("b", customer=key)])
    with pytest.raises(SettingsError, match=r"mail is tagged pii in s_b\.mail and not in s_a\."):
        sources.check_pii_tags("s", [table("a", mail={}), table("b", mail={"is_pii": True})])


def test_a_number_or_a_time_cannot_be_hashed() -> None:
    with pytest.raises(SettingsError, match=r"s_a\.born is tagged pii and is a timestamp"):
        sources.check_pii_tags("s", [table("a", born={"is_pii": True, "kind": "timestamp"})])


@pytest.mark.parametrize("source", sources.available())
def test_no_column_of_a_source_looks_personal_untagged(source: str) -> None:
    tables = sources.load(source).tables
    assert any(table.customer_key for table in tables), "nobody could be erased"
    for table in tables:
        for column in table.columns:
            personal = looks_personal(column.header, [])
            assert personal is None or column.is_pii, f"{table.raw_table}.{column.name}"


# What looks personal ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("is_detected", "is_so", "others"),
    [
        # published examples: ISO 13616's, and card companies' test numbers
        (is_iban, ["GB82 WEST 1234 5698 7654 32", "DE89370400440532013000"],
         ["GB82WEST12345698765433", "GB82", "DE8937040044053201300O"]),
        (is_card, ["4111 1111 1111 1111", "378282246310005", "5555-5555-5555-4444"],
         ["4111111111111112", "411111", "C4111111111111111"]),
        (is_phone, ["+44 20 7946 0958", "(020) 7946-0958", "020 7946 0958", "+442079460958"],
         ["2011-09-09", "0207946095800001", "536365", "01234567", "85123A", "2.55", "0 1 2"]),
    ],
)  # fmt: skip
def test_numbers_are_detected_by_form_and_check_digit(is_detected, is_so, others) -> None:
    assert [text for text in is_so if not is_detected(text)] == []
    assert [text for text in others if is_detected(text)] == []


def test_a_few_addresses_among_notes_are_enough() -> None:
    notes = ["call before delivery"] * 995 + ["write to ann@example.org please"] * 5
    found = looks_personal("Description", notes)
    assert found is not None
    assert (found.what, found.share) == ("e-mail addresses", 0.005)


def test_codes_that_fit_a_check_digit_by_chance_are_no_cards() -> None:
    codes = [str(5_012_345_000_000 + 7 * number) for number in range(1_000)]
    assert looks_personal("EAN", codes) is None
    assert sum(map(is_card, codes)) > 50


@pytest.mark.parametrize("header", ["E-Mail", "Last Name", "delivery_address", "phone_2", "IBAN"])
def test_headers_are_detected_without_a_value(header: str) -> None:
    assert looks_personal(header, []) is not None
