"""The example in staging/README.md: a marketplace's tables, mapped by the SQL on that page."""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal

import pytest

from local.answerable import summary
from perennial.bootstrap import OWNER
from perennial.settings import DBT_PROJECT, Settings
from perennial.warehouse import connect
from tests.conftest import StartHome
from tests.sql.shops import MARTS
from tests.steps import dbt, land_files

DAY = date(2018, 3, 1)
README = DBT_PROJECT / "models" / "staging" / "README.md"

# Ana ordered twice, each time under another customer_id; Bruno's order was cancelled, Caio's has
# no items, Davi bought two of a kind shortly before midnight in Sao Paulo.
MARKETPLACE = """
    create schema shop;
    create table shop.customers (customer_id text, customer_unique_id text, customer_city text);
    insert into shop.customers values
        ('a1', 'ana', 'recife'), ('a2', 'ana', 'natal'), ('b1', 'bruno', 'belem'),
        ('c1', 'caio', 'manaus'), ('d1', 'davi', 'santos');
    create table shop.orders (
        order_id text, customer_id text, order_status text, order_purchase_timestamp timestamp,
        order_approved_at timestamp, order_delivered_customer_date timestamp
    );
    insert into shop.orders values
        ('o1', 'a1', 'delivered', '2018-01-10 10:00:00', '2018-01-12 09:00', '2018-02-01 10:00'),
        ('o2', 'a2', 'shipped', '2018-02-20 11:00:00', '2018-02-20 12:00', null),
        ('o3', 'b1', 'canceled', '2018-02-01 12:00:00', null, null),
        ('o4', 'c1', 'delivered', '2018-02-02 12:00:00', '2018-02-02 13:00', null),
        ('o5', 'd1', 'delivered', '2018-01-31 23:59:00', '2018-02-05 13:00', null);
    create table shop.order_items (
        order_id text, order_item_id integer, product_id text, price numeric, freight_value numeric
    );
    insert into shop.order_items values
        ('o1', 1, 'p1', 30.00, 7.50), ('o2', 1, 'p2', 12.90, 0.00), ('o3', 1, 'p1', 30.00, 7.50),
        ('o5', 1, 'p1', 28.00, 5.00), ('o5', 2, 'p1', 28.00, 5.00);
    create table shop.products (product_id text, product_category_name text);
    insert into shop.products values ('p1', 'moveis'), ('p2', null);
"""


@pytest.fixture(scope="module")
def home(start_home: StartHome) -> Settings:
    home = start_home("canonical", time_zone="America/Sao_Paulo", currency="BRL")
    (views,) = re.findall(r"```sql\n(.*?)```", README.read_text(), re.DOTALL)
    with connect(home, OWNER) as connection:
        connection.execute(MARKETPLACE)
        connection.execute(views)
    land_files(home, DAY, "table:canonical_shop")
    dbt(home, DAY, "run", *MARTS)
    return home


def test_the_example_counts_people_orders_money_and_days_as_its_tables_say(home: Settings) -> None:
    found = summary(home)
    assert (found.count_orders, found.count_customers, found.count_guest_orders) == (3, 2, 0)
    assert (found.product_amount, found.charge_amount) == (Decimal("98.90"), Decimal("17.50"))
    assert (found.first_date, found.last_date) == (date(2018, 1, 10), date(2018, 2, 20))
    with connect(home, "transformer") as connection:
        days = connection.execute(
            "select order_id, customer_id, ordered_date::text, units::text from marts.fct_orders"
            " order by 1"
        ).fetchall()
        rejected = connection.execute(
            "select count(*) from staging.stg_canonical__rows_rejected"
        ).fetchone()
    assert [row[:3] for row in days] == [
        ("o1", "ana", "2018-01-10"),
        ("o2", "ana", "2018-02-20"),
        ("o5", "davi", "2018-01-31"),
    ]
    assert [Decimal(row[3]) for row in days] == [1, 1, 2]
    assert rejected == (0,)


def test_a_person_is_found_in_all_tables_by_their_own_key(home: Settings) -> None:
    """Neither of Ana's two ids is stored: a request for her data uses `ana`."""
    with connect(home, "loader") as connection:
        assert connection.execute(
            "select order_id from raw.canonical_orders where customer_id = 'ana' order by 1"
        ).fetchall() == [("o1",), ("o2",)]
        assert connection.execute(
            "select count(*) from raw.canonical_orders where customer_id in ('a1', 'a2')"
        ).fetchone() == (0,)
