"""The gate of rejects on a small shop: a sound one passes, a spoilt one is held for a person."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest

from expectations.reject_reasons import REDUCED
from expectations.rejects import TABLE, gate_rejects
from expectations.results import GateFailed
from ingest import batches
from oncall.alerts.words import cause_of
from perennial.warehouse import connect
from tests.conftest import StartHome
from tests.sql.shops import CUSTOMERS, DAY, INVOICES, ITEMS, ORDERS, ShopBuilder

REASON = "unit_price_amount is no number"
NEXT_DAY = DAY + timedelta(days=1)


def files(name: str, ids: range, unpriced: range = range(0)) -> dict[str, str]:
    """Orders of two lines at 10.00, some without a price, and one order without a line."""
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


class Shop(ShopBuilder):
    """A shop with batches that pass the raw gate and reach the gate of rejects after a build."""

    def bring(self, name: str, ids: range, unpriced: range = range(0)) -> int:
        batch_id = self.send(name, ids, unpriced)
        self.build()
        return batch_id

    def send(self, name: str, ids: range, unpriced: range = range(0)) -> int:
        self.land(name, **files(name, ids, unpriced))
        batches.accept(self.settings, self.batches[name], "passed the gate in a test")
        return self.batches[name]

    def judge(self, day: date = DAY) -> list[str]:
        return gate_rejects(self.settings, day, "test")["warnings"]

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
        rf"batch {batch_id} is held: {TABLE}: '{REASON}' rejects too much; found: 30 of 40 "
        r"orders .75.0%., 0.00 of 200.00 .*e.g. ord...110 .order_items_b.csv line 22., .*, ord.*.. "
        rf"If it is right, `make accept BATCH={batch_id}`, else `make refuse BATCH={batch_id}`"
    )
    for _ in range(2):  # a retry is stopped again
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

    shop.build()  # the next build removes it
    assert shop.ask("select count(*) from marts.fct_orders") == [(100,)]
    assert shop.judge() == []

    batches.accept(shop.settings, batch_id, "accept by somebody")
    shop.build()
    (warning,) = [warning for warning in shop.judge() if REASON in warning]
    assert warning.startswith(f"{TABLE}: '{REASON}' rejects too much; found: 30 of 40 orders")
    assert "BATCH" not in warning  # nothing is held
    # a gate that died after it stored the levels gives the same warning when retried
    assert [warning for warning in shop.judge() if REASON in warning] == [warning]
    shop.build()
    assert shop.judge() == []  # it is part of the shop's past now


def held(shop: Shop) -> set[int]:
    return {b for (b,) in shop.ask("select batch_id from ops.landed_files where status = 'held'")}


@pytest.mark.whole
def test_of_several_batches_those_with_the_rejects_are_held(shop: Shop) -> None:
    shop.send("sound", range(1000, 1040))
    bad = [
        shop.send("bad", range(1040, 1080), unpriced=range(1040, 1080)),
        shop.send("worse", range(1080, 1120), unpriced=range(1080, 1120)),
    ]
    shop.build()
    with pytest.raises(GateFailed, match=f"batch {bad[0]}, {bad[1]} is held: ") as stopped:
        shop.judge()
    assert held(shop) == set(bad)
    for batch_id in bad:
        assert f"`make accept BATCH={batch_id}`" in str(stopped.value)
    assert REASON in cause_of(stopped.value)
    assert cause_of(stopped.value).endswith("then `make run` for the date again")
    shop.build()
    assert shop.judge() == []
    for batch_id in bad:
        batches.refuse(shop.settings, batch_id, "refuse by somebody")


@pytest.mark.whole
def test_a_dump_without_customers_is_held_though_its_own_rows_are_sound(shop: Shop) -> None:
    shop.land("known", customers_k=CUSTOMERS + "".join(f"k{n},,\n" for n in range(50)))
    shop.land(
        "theirs",
        orders_k=ORDERS
        + "".join(f"k-order-{n},k{n},2024-05-02T10:00:00,France,sale,\n" for n in range(50)),
        order_items_k=ITEMS + "".join(f"1,k-order-{n},p1,1,10.00,product\n" for n in range(50)),
    )
    shop.build()
    assert shop.judge() == []
    shop.land("fewer", customers_k=CUSTOMERS + "k1,,\n")
    batches.accept(shop.settings, shop.batches["fewer"], "passed the gate in a test")
    shop.build()
    with pytest.raises(GateFailed, match=r"'customer is unknown'.*found: 49 of"):
        shop.judge()
    assert held(shop) == {shop.batches["fewer"]}
    batches.refuse(shop.settings, shop.batches["fewer"], "refuse by somebody")
    shop.build()
    assert shop.judge() == []


UPGRADES = {
    "a version from before this gate": (
        "delete from ops.reject_levels",
        "update ops.built_files set passed_at = null",
        "insert into ops.publications (question, as_of_date, publication_id, run_id, model_name,"
        " model_version, training_date, row_count, row_counts, checksum) values"
        " ('churn', '2024-05-01', 1, 'test', 'm', '1', '2024-04-01', 1, '{}', 'x')",
    ),
    "other rules of staging": ("update ops.reject_levels set rules = 'another', count_orders = 1",),
}


@pytest.mark.parametrize("statements", UPGRADES.values(), ids=UPGRADES)
def test_an_upgrade_warns_of_the_past_and_holds_none_of_it(
    shop: Shop, statements: tuple[str, ...]
) -> None:
    """A fifth of all orders has no price: in one batch of a known shop that would hold."""
    with connect(shop.settings, "perennial") as connection:
        for statement in statements:
            connection.execute(statement)
    batch_id = shop.bring("new" + statements[0][:6], range(0))
    assert any(f"'{REASON}' rejects too much" in warning for warning in shop.judge())
    assert held(shop) == set()
    assert batches.status(shop.settings, batch_id) == "accepted"
    kept = shop.ask("select distinct anchor from ops.reject_levels")
    assert {("last",), ("month",)} <= set(kept)
    assert shop.judge(NEXT_DAY) == []  # it is the shop's past now


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
    """A country in Latin-1: the lines have the country, though raw lacks their orders."""
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
    """Invoices with lines of 10.00."""
    rows = "".join(
        f"5{n:05},2{line:04},MUG,1,2024-05-{1 + n % 28:02} 10:00:00,{price},1{n % 9:04},France\n"
        for n in ids
        for line in lines
    )
    return f"{INVOICES}\n{rows}"


def test_invoices_that_come_again_in_part_are_held(start_home: StartHome, tmp_path: Path) -> None:
    """12 of 100 invoices lose half or more: the new version replaced each of them."""
    shop = Shop(start_home("online_retail"), tmp_path)
    shop.land("a", a=invoices(range(100), range(10)))
    shop.build()
    assert shop.judge() == []

    # five more lines, or a line at another price: nothing is lost
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


@pytest.mark.whole
def test_lines_that_a_later_row_takes_away_are_lost(start_home: StartHome, tmp_path: Path) -> None:
    """12 of 100 orders lose one of their two lines to a row of quantity 0."""
    shop = Shop(start_home("canonical"), tmp_path)
    shop.bring("a", range(100))
    assert shop.judge() == []
    rows = "".join(f"1,order-{n:07},p1,0,10.00,product\n" for n in range(12))
    shop.land("b", order_items_b=ITEMS + rows)
    shop.build()
    (warning,) = [warning for warning in shop.judge() if REDUCED in warning]
    assert "found: 12 of 100 orders (12.0%), 120.00 of 2,000.00 (6.0%)" in warning
