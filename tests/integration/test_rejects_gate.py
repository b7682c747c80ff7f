"""The gate of rejects on a small shop: sound it passes, spoilt it is held for a person."""

from __future__ import annotations

from pathlib import Path

import pytest

from expectations.gate import GateFailed
from expectations.reject_reasons import REDUCED
from expectations.rejects import gate_rejects
from ingest import batches
from perennial.warehouse import connect
from tests.conftest import StartHome
from tests.sql.shops import CUSTOMERS, DAY, INVOICES, ITEMS, ORDERS, Teller

REASON = "unit_price_amount is no number"


def files(name: str, ids: range, unpriced: range = range(0)) -> dict[str, str]:
    """Orders of two lines at 10.00, of which some have no price, and one order without a line."""
    orders = "".join(
        f"order-{n:07},c{n % 9},2024-05-{1 + n % 28:02}T10:00:00,France,sale,\n" for n in ids
    )
    items = "".join(
        f"{line},order-{n:07},p{line},1,{'n/a' if n in unpriced else '10.00'},product\n"
        for n in ids
        for line in (1, 2)
    )
    return {
        f"customers_{name}": CUSTOMERS + "".join(f"c{n},,\n" for n in range(9)) + f"x{name},,\n",
        f"orders_{name}": ORDERS + orders,
        f"order_items_{name}": ITEMS + items,
    }


class Shop(Teller):
    """A shop whose batches pass the gate at the door, and are judged once they are built."""

    def bring(self, name: str, ids: range, unpriced: range = range(0)) -> int:
        self.land(name, **files(name, ids, unpriced))
        batches.accept(self.settings, self.batches[name], "passed the gate in a test")
        self.build()
        return self.batches[name]

    def judge(self) -> list[str]:
        return gate_rejects(self.settings, DAY, "test")["warnings"]

    def ask(self, query: str) -> list[tuple]:
        with connect(self.settings, "transformer") as connection:
            return connection.execute(query).fetchall()


@pytest.fixture(scope="module")
def shop(start_home: StartHome, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    return Shop(start_home("canonical"), tmp_path_factory.mktemp("shop"))


def test_a_spoilt_batch_is_held_taken_out_and_let_in_by_a_person(shop: Shop) -> None:
    shop.bring("a", range(100))
    assert shop.judge() == []
    sent = "select anchor, count_orders, amount from ops.reject_levels where dimension = 'all'"
    assert sorted(shop.ask(sent)) == [("last", 100, 2000), ("month", 100, 2000)]

    batch_id = shop.bring("b", range(100, 140), unpriced=range(110, 140))
    says = (
        rf"batch {batch_id} is held: '{REASON}' rejects 30 of 40 orders .75.0%., "
        rf"0.00 of 200.00 .*`make accept BATCH={batch_id}` or `make refuse BATCH={batch_id}`; "
        r"e.g. ord...110 .order_items_b.csv line 22., .*, ord"
    )
    for _ in range(2):  # a second try is stopped again
        with pytest.raises(GateFailed, match=says) as stopped:
            shop.judge()
        assert "order-00001" not in str(stopped.value)
        assert batches.status(shop.settings, batch_id) == "held"
    results = shop.ask(
        "select severity, unexpected_count, element_count from ops.gate_results"
        f" where gate = 'rejects' and expectation like '%few: {REASON}' and not success"
    )
    assert results == [("critical", 30, 40)] * 2
    assert sorted(shop.ask(sent)) == [("last", 100, 2000), ("month", 100, 2000)]

    shop.build()  # the next build takes it out
    assert shop.ask("select count(*) from marts.fct_orders") == [(100,)]
    assert shop.judge() == []

    batches.accept(shop.settings, batch_id, "accept by somebody")
    shop.build()
    assert any(f"'{REASON}' rejects 30 of 40 orders" in warning for warning in shop.judge())
    shop.build()
    assert shop.judge() == []  # it is part of the shop's past now


@pytest.mark.parametrize(
    ("order_id", "reason"),
    [
        ("order-0000110", REASON),
        ("order-0000200", "order without a line"),
    ],
)
def test_an_order_without_a_line_that_counts_is_a_reject(
    shop: Shop, order_id: str, reason: str
) -> None:
    if not shop.ask("select from staging.stg_canonical__orders where order_id = 'order-0000200'"):
        shop.land("c", orders_c=ORDERS + "order-0000200,,2024-05-09T10:00:00,France,sale,\n")
        shop.build()
    found = shop.ask(
        "select rejected_reason from intermediate.int_rejected_rows"
        f" where table_name = 'orders' and order_id = '{order_id}'"
    )
    assert found == [(reason,)]


def test_a_record_that_landing_cannot_read_has_its_group_and_money(
    shop: Shop, tmp_path: Path
) -> None:
    """Latin-1 in a country: the lines have it, though raw lacks their orders."""
    order = b"order-0000300,,2024-04-09T10:00:00,C\xf4te d'Ivoire,sale,\n"
    (shop.folder / "orders_d.csv").write_bytes(ORDERS.encode() + order)
    shop.land("d", order_items_d=ITEMS + '1,order-0000300,p7,2,"1,899.00",product\n')
    shop.build()
    found = shop.ask(
        "select table_name, country, ordered_date::text, sent_amount, is_unread"
        " from intermediate.int_rejected_rows where order_id = 'order-0000300' order by 1"
    )
    where = (r"C\364te d'Ivoire", "2024-04-09")
    reasons = shop.ask(
        "select distinct left(rejected_reason, 17) from intermediate.int_rejected_rows"
        " where order_id = 'order-0000300'"
    )
    assert found == [("order_items", *where, 3798, False), ("orders", *where, None, True)]
    assert ("could not be read",) in reasons


def invoices(ids: range, lines: range, price: int = 10) -> str:
    """Invoices at 10.00 a line."""
    rows = "".join(
        f"5{n:05},2{line:04},MUG,1,2024-05-{1 + n % 28:02} 10:00:00,{price},1{n % 9:04},France\n"
        for n in ids
        for line in lines
    )
    return f"{INVOICES}\n{rows}"


def test_invoices_that_come_again_in_part_are_held(start_home: StartHome, tmp_path: Path) -> None:
    """Half or more of 12 of 100 invoices is gone: what came again replaced them whole."""
    shop = Shop(start_home("online_retail"), tmp_path)
    shop.land("a", a=invoices(range(100), range(10)))
    shop.build()
    assert shop.judge() == []

    # five more lines, or a line at another price: nothing is lost that was not there
    shop.land("b", b=invoices(range(50, 60), range(15)))
    shop.build()
    assert not [warning for warning in shop.judge() if REDUCED in warning]

    # 6 invoices with half of their lines as they were, 6 with one line that has a lower price
    again = invoices(range(6), range(5)) + invoices(range(6, 12), range(1), 4).split("\n", 1)[1]
    shop.land("c", c=again)
    batches.accept(shop.settings, shop.batches["c"], "passed the gate in a test")
    shop.build()
    amount = 6 * 50 + 6 * (100 - 4)
    with pytest.raises(GateFailed, match=rf"'{REDUCED}' .* 12 of .*, {amount}\.00 of ") as stopped:
        shop.judge()
    assert "e.g. 50...06 (96.00 less)" in str(stopped.value)
    assert batches.status(shop.settings, shop.batches["c"]) == "held"


def test_lines_that_a_later_row_takes_away_are_lost(start_home: StartHome, tmp_path: Path) -> None:
    """12 of 100 orders lose one of their two lines to a row of quantity 0."""
    shop = Shop(start_home("canonical"), tmp_path)
    shop.bring("a", range(100))
    assert shop.judge() == []
    rows = "".join(f"1,order-{n:07},p1,0,10.00,product\n" for n in range(12))
    shop.land("b", order_items_b=ITEMS + rows)
    shop.build()
    (told,) = [warning for warning in shop.judge() if REDUCED in warning]
    assert f"'{REDUCED}' rejects 12 of 100 orders (12.0%), 120.00 of 2,000.00 (6.0%)" in told
