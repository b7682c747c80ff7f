"""All that is sent is in the marts or rejected: rows, orders and money, to the cent."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from expectations.reconciliation import Flow, as_table, kept_flows, reconcile, reconciliation
from expectations.results import GateFailed
from ingest.batches import accept, refuse
from ingest.land import land
from perennial.warehouse import connect
from tests.conftest import StartHome
from tests.sql import spoilt_shops
from tests.sql.shops import DAY, ShopBuilder
from tests.sql.spoilt_shops import Sent


def land_spoilt(shop: ShopBuilder, name: str, sent: Sent) -> None:
    for file, text in sent.texts.items():
        (shop.folder / f"{file}.csv").write_bytes(text)
    landing = land(shop.settings, DAY, str(shop.folder), "test")
    assert landing.batch_id is not None
    shop.batches[name] = landing.batch_id
    accept(shop.settings, landing.batch_id, "test")


def sums(flows: list[Flow]) -> dict[str, tuple[int, int, Decimal]]:
    """Rows, orders and money of each place, summed over reasons."""
    found: dict[str, tuple[int, int, Decimal]] = {}
    for flow in flows:
        rows, orders, amount = found.get(flow.place, (0, 0, Decimal(0)))
        found[flow.place] = (
            rows + flow.count_rows,
            orders + flow.count_orders,
            amount + flow.amount,
        )
    return found


@pytest.mark.parametrize(
    ("source", "make"),
    [("canonical", spoilt_shops.canonical), ("online_retail", spoilt_shops.online_retail)],
)
def test_what_is_sent_is_counted_and_found_again(
    start_home: StartHome, tmp_path: Path, source: str, make: Callable[[int, range], Sent]
) -> None:
    shop = ShopBuilder(start_home(source), tmp_path)
    first, second = make(1, range(200)), make(2, range(150, 300))  # 50 orders in both
    nothing = (0, 0, Decimal(0))

    def check(expected: Sent) -> list[Flow]:
        flows = reconciliation(shop.settings)
        found = sums(flows)
        assert found["in raw"] == (expected.rows, len(expected.orders), expected.amount)
        assert found["not accounted for"] == nothing
        places = [found.get(place, nothing) for place in ("customers", "rejected", "charges")]
        assert all(rows and amount for rows, _, amount in places), "the shop lacks one: say more"
        return flows

    land_spoilt(shop, "first", first)
    shop.build()
    check(first)
    land_spoilt(shop, "second", second)
    shop.build()
    both = check(first + second)
    refuse(shop.settings, shop.batches["first"], "test")
    shop.build()
    check(second)
    accept(shop.settings, shop.batches["first"], "test")
    shop.rebuild()
    assert check(first + second) == both

    assert reconcile(shop.settings, DAY, "a run") == both == kept_flows(shop.settings, DAY)
    lines = as_table(both)
    assert len({len(line) for line in lines}) == 1
    assert len(lines) == len(both) + 1
    assert f"{both[0].amount:,.2f}" in lines[1]
    lose(shop, both[0])


FIRST_ITEM = "select min(order_item_id) from marts.fct_order_items"
CHANGE_ITEM = "update marts.fct_order_items set line_amount = line_amount {} where order_item_id ="
FIRST_CHARGE = "select min(charge_id) from marts.fct_charges"


def lose(shop: ShopBuilder, raw: Flow) -> None:
    """Change a line's money, and drop a line: each error names the difference."""
    for change, says in {
        f"{CHANGE_ITEM.format('+ 7.25')} ({FIRST_ITEM})": r"0 rows, 0 orders and -7.25 of",
        f"{CHANGE_ITEM.format('- 7.25')} ({FIRST_ITEM})": "",
        f"delete from marts.fct_charges where charge_id = ({FIRST_CHARGE})": r" 1 rows, \d orders",
    }.items():
        with connect(shop.settings, "transformer") as connection:
            connection.execute(change)
        if says:
            with pytest.raises(GateFailed, match=says):
                reconcile(shop.settings, DAY, "another run")
        else:
            reconcile(shop.settings, DAY, "another run")
    with connect(shop.settings, "transformer") as connection:
        kept = connection.execute(
            "select amount from ops.reconciliations where run_id = 'another run'"
            " and place = 'in raw'"
        ).fetchall()
        results = connection.execute(
            "select success from ops.gate_results where gate = 'rejects' order by gate_result_id"
        ).fetchall()
    assert kept == [(raw.amount,)]
    assert [success for (success,) in results] == [True, False, True, False]
