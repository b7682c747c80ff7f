"""One shop in the forms of real exports, from public bug reports, gives one set of orders.

The base shop and its figures (tests/cases/00-base) are sound; each form here imitates a system's
export of it. Ambiguous forms are held by the raw gate.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from expectations.raw import gate_raw
from expectations.results import GateFailed
from ingest.batches import accept, close_build
from ingest.land import land
from perennial.settings import Settings
from perennial.warehouse import connect
from tests.conftest import StartHome
from tests.steps import dbt

BASE = Path(__file__).resolve().parent.parent / "cases" / "00-base"
AS_OF = date(2025, 1, 1)
MADE = ("+fct_orders", "+fct_order_items", "int_changed_files")
Row = dict[str, str]
FACTS = """
select
    (select count(*) from marts.fct_orders)::integer,
    (select count(*) from marts.fct_orders where is_guest)::integer,
    (select count(distinct customer_id) from marts.fct_orders)::integer,
    (select count(*) from marts.fct_order_items)::integer,
    (select sum(line_amount) from marts.fct_order_items)
"""


def base(table: str) -> list[Row]:
    with (BASE / f"{table}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def write(folder: Path, **changed: Callable[[Row], Row | None]) -> None:
    """Write the base shop's files with a function per table applied to its rows; None drops one."""
    for table in ("customers", "orders", "order_items", "products"):
        rows = [changed.get(table, dict)(dict(row)) for row in base(table)]
        kept = [row for row in rows if row is not None]
        with (folder / f"{table}.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, list(kept[0]))
            writer.writeheader()
            writer.writerows(kept)


def number(text: str) -> str:
    """An id as a number: C0000017 becomes 117, so that 0 is no customer."""
    return str(int("".join(sign for sign in text if sign.isdigit())) + 100)


def as_floats(row: Row) -> Row:
    """Customer ids as floats; guests are 0, -1 or a word for "no value"."""
    guest = ("0", "-1", "NULL", "\\N", "nan", "0.0")[int(number(row["order_id"])) % 6]
    row["customer_id"] = f"{number(row['customer_id'])}.0" if row["customer_id"] else guest
    row["ordered_at"] = row["ordered_at"].replace("T", " ") + " UTC"
    return row


def as_decimals(row: Row) -> Row:
    """Prices as decimal(38,18), and from 100 on with groups of thousands; quantities of floats."""
    price = Decimal(row["unit_price_amount"])
    row["unit_price_amount"] = f"{price:,.2f}" if price >= 100 else f"{price:.18f}"
    row["quantity"] += ".0"
    return row


@pytest.fixture(scope="module")
def shop(start_home: StartHome) -> Settings:
    return start_home("canonical")


def build(shop: Settings, folder: Path) -> tuple[int, int, int, int, Decimal]:
    """Land and build; return the marts' orders, guests' orders, customers, lines and money."""
    landing = land(shop, AS_OF, str(folder), "test")
    assert gate_raw(shop, landing.batch_id, AS_OF, "test")["warnings"] == []
    dbt(shop, AS_OF, "run", "--select", *MADE)
    close_build(shop)
    with connect(shop, "transformer") as connection:
        (facts,) = connection.execute(FACTS).fetchall()
    return facts


def test_the_same_shop_in_other_forms_has_the_same_orders_and_money(
    shop: Settings, tmp_path: Path
) -> None:
    """woocommerce/woocommerce#25992, pandas-dev/pandas#20717, apache/spark#26697,
    bxparks/bigquery-schema-generator#19, madbob/GASdottoNG#253.
    """
    write(
        tmp_path,
        customers=lambda row: row | {"customer_id": number(row["customer_id"])},
        orders=as_floats,
        order_items=as_decimals,
    )
    assert build(shop, tmp_path) == (1_942, 217, 394, 3_833, Decimal("93936.94"))


def test_quotients_and_goods_by_weight_are_read_to_the_last_digit(
    shop: Settings, tmp_path: Path
) -> None:
    """ury-erp/ury#254 (prices net of VAT), medusajs/medusa#13734 (sold by weight)."""

    def by_weight(row: Row) -> Row:
        row["unit_price_amount"] = repr(float(row["unit_price_amount"]) / 1.2)
        if row["product_id"].endswith("7"):
            row["quantity"] = f"{row['quantity']}.250"
        return row

    write(tmp_path, order_items=by_weight)
    # the base shop has orders of unlisted customers, duplicate lines, and lines at price 0
    known = {"", *(row["customer_id"] for row in base("customers"))}
    sales = {
        row["order_id"]
        for row in base("orders")
        if row["order_type"] == "sale" and row["customer_id"] in known
    }
    lines_once = {row["order_item_id"]: row for row in base("order_items")}
    sold = [
        by_weight(row)
        for row in lines_once.values()
        if row["order_id"] in sales and float(row["unit_price_amount"]) > 0
    ]
    expected = sum(
        Decimal(row["quantity"]) * Decimal(row["unit_price_amount"])
        for row in sold
        if row["line_type"] == "product"
    )
    orders, guests, customers, lines, money = build(shop, tmp_path)
    assert (orders, guests, customers, lines) == (1_942, 217, 394, 3_833)
    assert money == expected
    with connect(shop, "transformer") as connection:
        (units,) = connection.execute(
            "select sum(units) from marts.fct_order_items where right(product_id, 1) = '7'"
        ).fetchone() or (None,)
    assert units == sum(
        Decimal(row["quantity"])
        for row in sold
        if row["product_id"].endswith("7") and row["line_type"] == "product"
    )


def rounded(row: Row) -> Row:
    """A spreadsheet's 12 digits: 450001000017 becomes 4.50001E+11."""
    return row | {"order_id": f"4.50{number(row['order_id'])[4:6]}1E+11"}


def every_fiftieth(row: Row) -> Row:
    """Give fifty orders one id that looks sound."""
    return row | {"order_id": "O1" if int(number(row["order_id"])) % 50 == 0 else row["order_id"]}


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        pytest.param(rounded, "4.50..1E.11 .[0-9]+ rows", id="ids that a spreadsheet rounded"),
        pytest.param(every_fiftieth, "O1 .[0-9]+ rows", id="orders that share an id"),
    ],
)
def test_a_file_that_replaces_its_own_orders_is_held(
    shop: Settings, tmp_path: Path, spoil: Callable[[Row], Row], named: str
) -> None:
    write(tmp_path, orders=spoil, order_items=spoil)
    landing = land(shop, AS_OF, str(tmp_path), "test")
    with pytest.raises(
        GateFailed, match=f"rows of canonical_orders .*replaced by a later row .*{named}"
    ):
        gate_raw(shop, landing.batch_id, AS_OF, "test")


def test_an_invoice_that_was_edited_and_sent_again_counts_once(
    start_home: StartHome, tmp_path: Path
) -> None:
    """fivetran/dbt_shopify#97, Bertverbeek4PS/bc2adls#110."""
    home = start_home("online_retail")
    header = "Invoice,StockCode,Description,Quantity,InvoiceDate,Price,Customer ID,Country\n"
    line = "500050,1000{code},MUG,{units},2024-05-01 10:00:00,{price},100000.0,France\n"
    months = {
        "2024-05": line.format(code=1, units=12, price=2.5) + line.format(code=2, units=4, price=3),
        "2024-06": line.format(code=1, units=10, price=2.5).replace("100000.0", "1e+05"),
    }
    for name, lines in months.items():
        (tmp_path / f"{name}.csv").write_text(header + lines)
        landing = land(home, AS_OF, str(tmp_path / f"{name}.csv"), "test")
        assert landing.batch_id is not None
        accept(home, landing.batch_id, "test")
        dbt(home, AS_OF, "run", "--select", *MADE)
        close_build(home)
    with connect(home, "transformer") as connection:
        found = connection.execute(
            "select customer_id, units, product_amount, count_items from marts.fct_orders"
        ).fetchall()
        replaced = connection.execute(
            "select count(*), sum(line_amount) from staging.stg_online_retail__invoice_lines"
            " where rejected_reason = 'replaced by a later landing of the same invoice'"
        ).fetchall()
    assert found == [("100000", 10, Decimal("25.00"), 1)]
    assert replaced == [(2, Decimal("42.00"))]
