"""Changed columns in the shop's files: the warning, and that it comes once."""

from __future__ import annotations

import pytest

from ingest.files import LandingError, ShopFile
from ingest.rows import match_columns
from ingest.schema_change import changes, kept_names
from perennial.sources import SourceColumn, SourceTable

KNOWN = ("order_id", "ordered_at", "country", "refunded_order_id")
TABLE = SourceTable(
    "orders",
    "shop_orders",
    ("orders*",),
    "",
    tuple(SourceColumn(name, name, "", name in KNOWN[:2]) for name in KNOWN),
)
FILE = ShopFile("orders.csv", "orders.csv", "csv", False, None, "orders.csv")  # type: ignore[arg-type]


def test_the_same_columns_in_another_order_are_no_change():
    assert changes(TABLE, KNOWN, KNOWN[::-1]) == []


def test_an_added_column_warns_once_and_is_left_out():
    (warning,) = changes(TABLE, KNOWN, [*KNOWN, "colour"])
    assert "nothing reads: 'colour'" in warning
    assert "shop_orders of the source yml" in warning
    assert changes(TABLE, [*KNOWN, "colour"], [*KNOWN, "colour"]) == []


def test_a_missing_optional_column_warns_once():
    now = [name for name in KNOWN if name != "country"]
    (warning,) = changes(TABLE, KNOWN, now)
    assert "no longer has the column 'country'" in warning
    assert changes(TABLE, now, now) == []
    assert changes(TABLE, now, KNOWN) == []


def test_a_renamed_column_is_guessed():
    gone, new = changes(TABLE, KNOWN, ["order_id", "ordered_at", "Countries", "refunded_order_id"])
    assert "Perhaps it is called 'Countries' now" in gone
    assert "meta.header" in gone
    assert "'Countries'" in new


def test_records_that_leave_fields_out_say_nothing_of_what_is_gone():
    assert changes(TABLE, KNOWN, KNOWN[:2], is_sparse=True) == []


@pytest.mark.parametrize(
    ("headers", "says"),
    [
        pytest.param(
            ["order_id", "order_at", "country"], "'order_at' may be 'ordered_at'", id="renamed"
        ),
        pytest.param(["order_id", "Ordered_At"], "'Ordered_At' may be 'ordered_at'", id="case"),
        pytest.param(
            ["order_id", "country", "zeit"],
            "'zeit', the only unknown column, may be 'ordered_at'",
            id="renamed to anything",
        ),
        pytest.param(["order_id"], "lacks the column 'ordered_at'", id="dropped"),
        pytest.param(
            ["order_id", "x\x1b[31m\0", "y" * 5000], r"'x\x1b[31m\x00'", id="names of any kind"
        ),
    ],
)
def test_a_missing_required_column_is_an_error_with_its_likely_name(headers, says):
    with pytest.raises(LandingError) as caught:
        match_columns(FILE, TABLE, headers)
    message = str(caught.value)
    assert says in message
    assert "meta.header" in message
    assert message.isprintable()
    assert len(message) < 1_000


def test_names_are_kept_so_that_json_and_postgres_can_hold_them():
    (kept,) = kept_names(["a\0\ud800" + "b" * 1_000])
    assert kept.encode().startswith(b"a\\x00\\ud800b")
    assert len(kept) == 200
