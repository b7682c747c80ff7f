"""The marts add up to the generator's own frames, to the penny, at once and day by day."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pandas as pd
import pytest

from ingest.batches import close_build
from ingest.sample_shop import START, Plan, Shop, generate, write_next_day, write_plan
from perennial.dbt import BUILD
from perennial.settings import Settings
from perennial.warehouse import connect
from tests.conftest import StartHome
from tests.steps import dbt, land_files

SHOP = {"seed": 21, "customers": 1_500}
FIRST_DAYS, MORE_DAYS = 118, 4  # from 28 April across the end of the month


def generated_totals(shop: Shop) -> dict[str, tuple[int, ...]]:
    """Rows and cents of each mart, from the frames without oddities."""
    items = shop.order_items.merge(shop.orders, on="order_id")
    pence = (items.quantity * items.unit_price_amount * 100).round().astype(int)
    is_product, is_sale = items.line_type == "product", items.order_type == "sale"
    sales = items[is_product & is_sale]
    by_customer = shop.orders[shop.orders.order_type == "sale"].customer_id
    return {
        "fct_order_items": (len(sales), pence[sales.index].sum(), sales.quantity.sum()),
        "fct_orders": (sales.order_id.nunique(), by_customer.isna().sum()),
        "fct_refunds": ((is_product & ~is_sale).sum(), pence[is_product & ~is_sale].sum()),
        "fct_charges": ((~is_product).sum(), pence[~is_product].sum()),
        "dim_customers": (len(shop.customers), by_customer.nunique()),
        "dim_products": (len(shop.products),),
    }


QUERIES = {
    "fct_order_items": "select count(*), sum(line_amount) * 100, sum(units) from marts.{}",
    "fct_orders": "select count(*), count(*) filter (where is_guest) from marts.{}",
    "fct_refunds": "select count(*), sum(refund_amount) * 100 from marts.{}",
    "fct_charges": "select count(*), sum(charge_amount) * 100 from marts.{}",
    "dim_customers": "select count(*), count(first_order_date) from marts.{}",
    "dim_products": "select count(*) from marts.{}",
}


def build_marts(settings: Settings, as_of_date: date) -> None:
    dbt(settings, as_of_date, *BUILD, "--select", "staging", "intermediate", "marts")
    close_build(settings)


def found_in_the_marts(settings: Settings) -> dict[str, tuple[int, ...]]:
    with connect(settings, "transformer") as connection:
        return {
            mart: tuple(int(value) for value in connection.execute(query.format(mart)).fetchone())
            for mart, query in QUERIES.items()
        }


def rejected(settings: Settings) -> dict[str, int]:
    with connect(settings, "transformer") as connection:
        return dict(
            connection.execute(
                "select rejected_reason, count(*) from staging.stg_canonical__rows_rejected"
                " group by 1"
            ).fetchall()
        )


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shop") / "files"
    write_plan(Plan(**SHOP, days=FIRST_DAYS), folder)
    return folder


@pytest.fixture(scope="module")
def home(start_home: StartHome, files: Path) -> Settings:
    home = start_home("canonical")
    as_of_date = START + timedelta(days=FIRST_DAYS)
    landing = land_files(home, as_of_date, files)
    assert landing["warnings"] == []  # optional columns that never existed are not missing
    build_marts(home, as_of_date)
    return home


def test_marts_add_up_to_what_was_planted_first_at_once_then_day_by_day(home, files):
    expected = generated_totals(generate(**SHOP, days=FIRST_DAYS))
    assert found_in_the_marts(home) == expected
    for _ in range(MORE_DAYS):
        as_of_date = write_next_day(files, SHOP["seed"], SHOP["customers"])
        land_files(home, as_of_date, files)
    build_marts(home, as_of_date)
    assert as_of_date == date(2023, 5, 3)
    later = generated_totals(generate(**SHOP, days=FIRST_DAYS + MORE_DAYS))
    assert later["fct_orders"][0] > expected["fct_orders"][0]
    assert found_in_the_marts(home) == later


def test_each_planted_oddity_is_rejected_with_its_reason(home):
    months = 4  # the second build falls into the first days of May
    assert rejected(home) == {
        "exact duplicate": months,
        "unit_price_amount is no number": months,
        "customer is unknown": 2 * months,  # the order, and its line
        "could not be read: 1 fields, expected 6": months,
    }
    with connect(home, "transformer") as connection:
        lines = connection.execute(
            "select reason, count(*) from ops.rejected_lines group by 1"
        ).fetchall()
    assert lines == [("1 fields, expected 6", months)]


def test_demand_of_a_product_is_the_units_it_sold(home):
    with connect(home, "transformer") as connection:
        weekly = connection.execute(
            "select product_id, week_start_date, sold_units from marts.fct_demand_weekly"
            " where sold_units > 0"
        ).fetchall()
    shop = generate(**SHOP, days=FIRST_DAYS + MORE_DAYS)
    items = shop.order_items.merge(shop.orders, on="order_id")
    sales = items[(items.line_type == "product") & (items.order_type == "sale")]
    monday = sales.ordered_at.dt.to_period("W-SUN").dt.start_time.dt.date
    units = sales.groupby(["product_id", monday]).quantity.sum()
    found = pd.Series({(product, week): units for product, week, units in weekly})
    assert found.sort_index().to_dict() == units.sort_index().to_dict()
