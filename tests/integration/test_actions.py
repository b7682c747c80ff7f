"""Past turns on a real Postgres: which of them count, and what happened after them."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pandas as pd
import psycopg
import pytest

from ml_tasks.actions import past
from ml_tasks.features.store import FeatureStore
from perennial.settings import Settings
from perennial.warehouse import connect
from tests.conftest import StartHome

TODAY = date(2024, 6, 1)
NEWEST = TODAY - timedelta(days=90)


@pytest.fixture(scope="module")
def home(start_home: StartHome) -> Settings:
    settings = start_home("canonical")
    with connect(settings, "transformer") as connection:
        connection.execute(
            "create table intermediate.int_customer_days"
            " (customer_id text, day_date date, count_orders bigint, net_amount numeric)"
        )
    with connect(settings, "perennial") as connection:
        turn(connection, NEWEST, "helped", "save", "contact")
        turn(connection, NEWEST, "alone", "leave_alone", "none")
        turn(connection, NEWEST, "held", "save", "held_out")
        turn(connection, NEWEST - timedelta(days=28), "twice", "save", "contact")
        turn(connection, NEWEST, "twice", "save", "contact")
        turn(connection, NEWEST + timedelta(days=1), "too new", "save", "contact")
        turn(connection, NEWEST - timedelta(days=366), "too old", "save", "contact")
        turn(connection, NEWEST, "superseded", "save", "contact", publication_id=1)
    with connect(settings, "transformer") as connection:
        for customer, day, orders, amount in (
            ("helped", NEWEST, 1, 10),  # the first day of the horizon
            ("helped", TODAY - timedelta(days=1), 1, 5),  # the last
            ("helped", TODAY, 7, 700),  # the date itself is not known
            ("held", NEWEST - timedelta(days=1), 1, 40),  # before the turn
            ("held", NEWEST, 0, -3),  # a refund
            ("twice", NEWEST - timedelta(days=20), 2, 20),
        ):
            connection.execute(
                "insert into intermediate.int_customer_days values (%s, %s, %s, %s)",
                [customer, day, orders, amount],
            )
    return settings


def turn(
    connection: psycopg.Connection[Any],
    day: date,
    customer: str,
    action: str,
    assignment: str,
    *,
    publication_id: int = 2,
) -> None:
    connection.execute("select scores.ensure_month('actions', %s)", [day])
    connection.execute(
        "insert into scores.actions (as_of_date, publication_id, customer_id, action, assignment,"
        " order_probability_90d, expected_spend_amount_90d) values (%s, %s, %s, %s, %s, .5, 9)",
        [day, publication_id, customer, action, assignment],
    )
    connection.execute(
        "insert into ops.publications (question, as_of_date, publication_id, run_id, model_name,"
        " model_version, training_date, row_count, row_counts, checksum)"
        " values ('actions', %s, 2, 'x', 'rules', '1', %s, 1, '{}', 'x') on conflict do nothing",
        [day, day],
    )


def test_plans_read_what_the_newest_earlier_date_measured(home: Settings) -> None:
    rows = [("save", NEWEST, 0.1, 0.3), ("save", NEWEST - timedelta(days=28), 0.7, 0.9)]
    with connect(home, "perennial") as connection:
        for action, day, lower, upper in rows:
            connection.execute("select scores.ensure_month('action_effects', %s)", [day])
            connection.execute(
                "insert into scores.action_effects (as_of_date, publication_id, action,"
                " count_contacted, count_held_out, order_rate_held_out, order_rate_difference,"
                " order_rate_difference_lower, order_rate_difference_upper)"
                " values (%s, 2, %s, 900, 100, .4, %s, %s, %s)",
                [day, action, (lower + upper) / 2, lower, upper],
            )
    with connect(home, "scorer") as connection:
        found = past.newest_effects(FeatureStore(connection), NEWEST + timedelta(days=1))
        assert past.newest_effects(FeatureStore(connection), date(2000, 1, 1)).empty
    assert found["order_rate_difference"].tolist() == pytest.approx([0.2])
    assert found["order_rate_error"].tolist() == pytest.approx([0.2 / (2 * 1.959964)])


def test_the_first_turn_of_the_last_year_counts_once_its_days_have_passed(home: Settings) -> None:
    with connect(home, "scorer") as connection:
        found = past.turns(FeatureStore(connection), TODAY, NEWEST).set_index("customer_id")
    assert set(found.index) == {"helped", "held", "twice"}
    assert found["happened_orders"].to_dict() == {"helped": 2, "held": 0, "twice": 2}
    assert found["happened_spend_amount"].to_dict() == {"helped": 15, "held": 0, "twice": 20}
    assert found["is_held_out"].to_dict() == {"helped": False, "held": True, "twice": False}
    assert found.loc["twice", "as_of_date"] == pd.Timestamp(NEWEST - timedelta(days=28))
