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


class Teller:
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

    def ask(self, query: str) -> list[tuple]:
        with connect(self.settings, "transformer") as connection:
            return connection.execute(query).fetchall()

    def orders_of(self, day: date) -> int:
        return self.ask(f"select count(*) from marts.fct_orders where ordered_date = '{day}'")[0][0]


@pytest.fixture(scope="module")
def teller(start_home: StartHome, tmp_path_factory: pytest.TempPathFactory) -> Teller:
    """The shop's first days, landed at once and checked: they define what is usual."""
    shop = generate(seed=7, customers=5_000, days=FIRST_DAYS + MORE_DAYS + 1)
    first = Teller(start_home("canonical"), shop, tmp_path_factory.mktemp("shop"))
    write(shop, first.folder, POISONED)
    first.land(POISONED)
    # as of a date, the gate ignores later days
    result = first.judge(START + timedelta(days=FIRST_DAYS))
    assert result == {"judged_days": 0, "judged": [], "rule_count": 18, "warnings": []}
    return first


def test_a_second_try_of_the_first_judgement_judges_nothing(teller: Teller) -> None:
    """The shop's newest order is four days old, and these are its first days."""
    first_days, four_days_later = START + timedelta(days=FIRST_DAYS), POISONED + timedelta(days=4)
    teller.forget()
    for _ in range(2):
        assert teller.judge(four_days_later)["judged_days"] == 0
        quiet = "select count(*) from ops.judged_days where count_orders = 0"
        assert teller.ask(quiet) == [(4,)]
    teller.forget()
    teller.judge(first_days)


def test_the_shops_next_days_pass_and_are_remembered(teller: Teller) -> None:
    result = teller.judge(POISONED)
    assert (result["judged_days"], result["warnings"]) == (MORE_DAYS, [])
    known = teller.ask("select day_date, count_orders from ops.judged_days order by 1")
    assert known == teller.ask(
        "select ordered_date, count(*) from marts.fct_orders group by 1 order by 1"
    )
    assert teller.judge(POISONED)["judged_days"] == 0


def poisoned_day(times: int) -> tuple[str, str]:
    """Orders of one day, `times` times forty, with one line each."""
    orders = "".join(f"x{n},,{POISONED}T10:00:00,GB,sale,\n" for n in range(40 * times))
    items = "".join(f"1,x{n},p{n % 97},1,{1 + n % 31}.00,product\n" for n in range(40 * times))
    return ORDERS + orders, ITEMS + items


@pytest.mark.whole
def test_a_tenfold_day_is_held_until_a_person_says_so(teller: Teller) -> None:
    as_of_date = POISONED + timedelta(days=1)
    before = teller.ask("select count(*), sum(product_amount) from marts.fct_orders")
    orders, items = poisoned_day(10)
    (teller.folder / "orders_x.csv").write_text(orders)
    (teller.folder / "order_items_x.csv").write_text(items)
    batch_id = teller.land(as_of_date)
    assert teller.orders_of(POISONED) == 400

    says = rf"batch {batch_id} is held: \w+days usually bring \d+ to \d+ orders .the last 8., "
    says += rf"{POISONED} has 400.*make accept BATCH={batch_id}.*make refuse BATCH={batch_id}"
    for _ in range(2):  # a retry is stopped again
        with pytest.raises(GateFailed, match=says):
            teller.judge(as_of_date)
        assert batches.status(teller.settings, batch_id) == "held"

    teller.build(as_of_date)  # the next build removes it
    assert teller.ask("select count(*), sum(product_amount) from marts.fct_orders") == before
    assert "held" not in str(teller.judge(as_of_date)["warnings"])

    batches.accept(teller.settings, batch_id, "accept by somebody")
    teller.build(as_of_date)
    first = teller.judge(as_of_date)["warnings"]
    assert any(f"{POISONED} has 400" in warning for warning in first)
    assert teller.ask(f"select is_usual from ops.judged_days where day_date = '{POISONED}'") == [
        (False,)
    ]

    batches.refuse(teller.settings, batch_id, "refuse by somebody")
    teller.build(as_of_date)
    assert teller.orders_of(POISONED) == 0
    teller.judge(as_of_date)
    (teller.folder / "orders_x.csv").unlink()
    (teller.folder / "order_items_x.csv").unlink()


def test_the_shops_own_totals_are_compared(teller: Teller) -> None:
    day = POISONED - timedelta(days=2)
    (orders, amount), = teller.ask(
        "select count(*), sum(product_amount + charge_amount) from marts.fct_orders"
        f" where ordered_date = '{day}'"
    )  # fmt: skip
    totals = teller.folder / "totals_1.csv"
    totals.write_text(f"day,orders,gross_amount\n{day},{orders},{amount}\n")
    land_files(teller.settings, POISONED, teller.folder)
    assert "totals" not in str(teller.judge(POISONED)["warnings"])
    totals.write_text(f"day,orders,gross_amount\n{day},{orders},{amount}\n{day},{orders + 5},9\n")
    land_files(teller.settings, POISONED, teller.folder)
    with pytest.raises(GateFailed, match=f"own totals of {day} say {orders + 5} orders and 9.00"):
        teller.judge(POISONED)
    batches.refuse(teller.settings, _newest_batch(teller), "test")


def _newest_batch(teller: Teller) -> int:
    return teller.ask("select max(batch_id) from ops.landed_files")[0][0]


COPY_OF_YESTERDAY = """
insert into marts.{table} select
    {columns}
from marts.{table} where ordered_date = '{day}'
"""


def plant(teller: Teller, price_times: str) -> None:
    """Repeat the last day on the day after it, under new ids and with other prices."""
    day = POISONED - timedelta(days=1)
    with connect(teller.settings, "transformer") as connection:
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
def test_a_day_like_no_other_is_stopped(teller: Teller, price_times: str, says: str) -> None:
    with connect(teller.settings, "transformer") as connection:
        for table in ("fct_orders", "fct_order_items"):
            connection.execute(f"delete from marts.{table} where ordered_date >= '{POISONED}'")
    with connect(teller.settings, "perennial") as connection:
        connection.execute(f"delete from ops.judged_days where day_date >= '{POISONED}'")
    plant(teller, price_times)
    with pytest.raises(GateFailed, match=says):
        teller.judge(POISONED + timedelta(days=1))
