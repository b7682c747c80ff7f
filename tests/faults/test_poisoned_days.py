"""The gate of days: a shop's own days pass; a poisoned day is held, and the message says why."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest

from expectations.days import gate_days
from expectations.results import GateFailed
from ingest import batches
from ingest.sample_shop import START, Shop, generate, write
from perennial.settings import Settings
from perennial.warehouse import connect
from tests.conftest import StartHome
from tests.steps import dbt, land_files

FIRST_DAYS, MORE_DAYS = 100, 3
MARTS = ("run", "--select", "staging", "+marts", "int_changed_files")
POISONED = START + timedelta(days=FIRST_DAYS + MORE_DAYS)
ORDERS = "order_id,customer_id,ordered_at,country,order_type,refunded_order_id\n"
ITEMS = "order_item_id,order_id,product_id,quantity,unit_price_amount,line_type\n"


class GatedShop:
    """A shop that is landed, built and checked by the gate of days."""

    def __init__(self, settings: Settings, shop: Shop, folder: Path) -> None:
        self.settings, self.shop, self.folder = settings, shop, folder

    def land(self, as_of_date: date) -> int:
        """Land and build what is new."""
        landing = land_files(self.settings, as_of_date, self.folder)
        self.build(as_of_date)
        return landing["batch_id"]

    def build(self, as_of_date: date) -> None:
        dbt(self.settings, as_of_date, *MARTS)
        batches.close_build(self.settings)

    def judge(self, as_of_date: date) -> dict:
        return gate_days(self.settings, as_of_date, "test")

    def forget(self) -> None:
        with connect(self.settings, "perennial") as connection:
            connection.execute("truncate ops.judged_days")

    def query(self, query: str) -> list[tuple]:
        with connect(self.settings, "transformer") as connection:
            return connection.execute(query).fetchall()

    def orders_of(self, day: date) -> int:
        return self.query(f"select count(*) from marts.fct_orders where ordered_date = '{day}'")[0][
            0
        ]


@pytest.fixture(scope="module")
def gated(start_home: StartHome, tmp_path_factory: pytest.TempPathFactory) -> GatedShop:
    """The shop's first days, landed at once and checked: they define what is usual."""
    shop = generate(seed=7, customers=5_000, days=FIRST_DAYS + MORE_DAYS + 1)
    first = GatedShop(start_home("canonical"), shop, tmp_path_factory.mktemp("shop"))
    write(shop, first.folder, POISONED)
    first.land(POISONED)
    # as of a date, the gate ignores later days
    result = first.judge(START + timedelta(days=FIRST_DAYS))
    assert result == {"judged_days": 0, "judged": [], "rule_count": 18, "warnings": []}
    return first


def test_a_retry_of_the_first_check_checks_nothing(gated: GatedShop) -> None:
    """The shop's newest order is four days old, and these are its first days."""
    first_days, four_days_later = START + timedelta(days=FIRST_DAYS), POISONED + timedelta(days=4)
    gated.forget()
    for _ in range(2):
        assert gated.judge(four_days_later)["judged_days"] == 0
        quiet = "select count(*) from ops.judged_days where count_orders = 0"
        assert gated.query(quiet) == [(4,)]
    gated.forget()
    gated.judge(first_days)


def test_the_shops_next_days_pass_and_are_remembered(gated: GatedShop) -> None:
    result = gated.judge(POISONED)
    assert (result["judged_days"], result["warnings"]) == (MORE_DAYS, [])
    known = gated.query("select day_date, count_orders from ops.judged_days order by 1")
    assert known == gated.query(
        "select ordered_date, count(*) from marts.fct_orders group by 1 order by 1"
    )
    assert gated.judge(POISONED)["judged_days"] == 0


def poisoned_day(times: int) -> tuple[str, str]:
    """Orders of one day, `times` times forty, with one line each."""
    orders = "".join(f"x{n},,{POISONED}T10:00:00,GB,sale,\n" for n in range(40 * times))
    items = "".join(f"1,x{n},p{n % 97},1,{1 + n % 31}.00,product\n" for n in range(40 * times))
    return ORDERS + orders, ITEMS + items


@pytest.mark.whole
def test_a_tenfold_day_is_held_until_a_person_decides(gated: GatedShop) -> None:
    as_of_date = POISONED + timedelta(days=1)
    before = gated.query("select count(*), sum(product_amount) from marts.fct_orders")
    orders, items = poisoned_day(10)
    (gated.folder / "orders_x.csv").write_text(orders)
    (gated.folder / "order_items_x.csv").write_text(items)
    batch_id = gated.land(as_of_date)
    assert gated.orders_of(POISONED) == 400

    says = rf"batch {batch_id} is held: \w+days usually bring \d+ to \d+ orders .the last 8., "
    says += rf"{POISONED} has 400.*make accept BATCH={batch_id}.*make refuse BATCH={batch_id}"
    for _ in range(2):  # a retry is stopped again
        with pytest.raises(GateFailed, match=says):
            gated.judge(as_of_date)
        assert batches.status(gated.settings, batch_id) == "held"

    gated.build(as_of_date)  # the next build removes it
    assert gated.query("select count(*), sum(product_amount) from marts.fct_orders") == before
    assert "held" not in str(gated.judge(as_of_date)["warnings"])

    batches.accept(gated.settings, batch_id, "accept by somebody")
    gated.build(as_of_date)
    first = gated.judge(as_of_date)["warnings"]
    assert any(f"{POISONED} has 400" in warning for warning in first)
    assert gated.query(f"select is_usual from ops.judged_days where day_date = '{POISONED}'") == [
        (False,)
    ]

    batches.refuse(gated.settings, batch_id, "refuse by somebody")
    gated.build(as_of_date)
    assert gated.orders_of(POISONED) == 0
    gated.judge(as_of_date)
    (gated.folder / "orders_x.csv").unlink()
    (gated.folder / "order_items_x.csv").unlink()


def test_the_shops_own_totals_are_compared(gated: GatedShop) -> None:
    day = POISONED - timedelta(days=2)
    (orders, amount), = gated.query(
        "select count(*), sum(product_amount + charge_amount) from marts.fct_orders"
        f" where ordered_date = '{day}'"
    )  # fmt: skip
    totals = gated.folder / "totals_1.csv"
    totals.write_text(f"day,orders,gross_amount\n{day},{orders},{amount}\n")
    land_files(gated.settings, POISONED, gated.folder)
    assert "totals" not in str(gated.judge(POISONED)["warnings"])
    totals.write_text(f"day,orders,gross_amount\n{day},{orders},{amount}\n{day},{orders + 5},9\n")
    land_files(gated.settings, POISONED, gated.folder)
    with pytest.raises(GateFailed, match=f"own totals of {day} say {orders + 5} orders and 9.00"):
        gated.judge(POISONED)
    batches.refuse(gated.settings, _newest_batch(gated), "test")


def _newest_batch(gated: GatedShop) -> int:
    return gated.query("select max(batch_id) from ops.landed_files")[0][0]


COPY_OF_YESTERDAY = """
insert into marts.{table} select
    {columns}
from marts.{table} where ordered_date = '{day}'
"""


def plant(gated: GatedShop, price_times: str) -> None:
    """Repeat the last day on the day after it, under new ids and with other prices."""
    day = POISONED - timedelta(days=1)
    with connect(gated.settings, "transformer") as connection:
        for table in ("fct_orders", "fct_order_items"):
            columns = connection.execute(
                "select string_agg(case attname"
                " when 'ordered_date' then 'ordered_date + 1'"
                " when 'ordered_at' then $$ordered_at + interval '1 day'$$"
                " when 'order_id' then $$'again' || order_id$$"
                " when 'order_item_id' then $$'again' || order_item_id$$"
                f" when 'unit_price_amount' then 'unit_price_amount * {price_times}'"
                " else attname end, ', ' order by attnum) from pg_attribute"
                f" where attrelid = 'marts.{table}'::regclass and attnum > 0"
            ).fetchone()[0]
            connection.execute(COPY_OF_YESTERDAY.format(table=table, columns=columns, day=day))


@pytest.mark.parametrize(
    ("price_times", "says"),
    [
        pytest.param("1", "100% of the baskets of .* are those of", id="yesterday again"),
        pytest.param("1.2", "prices of .* are 1.20 times.*another currency", id="currency"),
        pytest.param("100", "prices of .* are 100.00 times.*currency or unit", id="pence"),
    ],
)
def test_a_day_like_no_other_is_stopped(gated: GatedShop, price_times: str, says: str) -> None:
    with connect(gated.settings, "transformer") as connection:
        for table in ("fct_orders", "fct_order_items"):
            connection.execute(f"delete from marts.{table} where ordered_date >= '{POISONED}'")
    with connect(gated.settings, "perennial") as connection:
        connection.execute(f"delete from ops.judged_days where day_date >= '{POISONED}'")
    plant(gated, price_times)
    with pytest.raises(GateFailed, match=says):
        gated.judge(POISONED + timedelta(days=1))
