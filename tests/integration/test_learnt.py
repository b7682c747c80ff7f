"""What was learnt about the shop, in sentences: each figure is one of the reporting views'."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from local.learnt import learnt
from perennial.settings import Settings
from perennial.warehouse import connect
from tests.conftest import StartHome

VIEWS = ("customer_360", "clv", "demand", "churn", "survival")


@pytest.fixture(scope="module")
def started(start_home: StartHome) -> Settings:
    return start_home("canonical", currency="EUR")


@pytest.fixture
def home(started: Settings) -> Iterator[Settings]:
    yield started
    for view in VIEWS:
        write(started, f"drop view if exists reporting.{view}")


def write(settings: Settings, statement: str) -> None:
    with connect(settings, "transformer") as connection:
        connection.execute(statement)


def view(settings: Settings, name: str, columns: str, *rows: str) -> None:
    """A reporting view of these rows; `... limit 0` stands for none."""
    write(
        settings,
        f"create view reporting.{name} as"
        f" select * from (values {', '.join(rows)}) as given ({columns})",
    )


def scored(settings: Settings, name: str, key: str, *rows: str) -> None:
    view(settings, name, f"{key}, score_status, score_reason", *rows)


def test_each_sentence_has_the_figures_of_the_views(home: Settings) -> None:
    columns = "as_of_date, days_since_last_order, count_orders, churn_probability_90d,"
    columns += " churn_risk_band, net_spend_amount_365d"
    view(
        *(home, "customer_360", columns),
        "(date '2024-03-01', 10, 3, 0.2, 'low', 3000.00)",
        "(date '2024-03-01', 90, 1, 0.9, 'high', 800.50)",
        "(date '2024-03-01', 91, 2, 0.9, 'high', 199.50)",
        "(date '2024-03-01', 400, 1, null, null, 0.00)",
    )
    view(
        *(home, "clv", "customer_id, predicted_spend_amount_365d, score_status, score_reason"),
        "('a', 900.0, 'scored', null)",
        *(f"('c{number}', 100.0, 'scored', null)" for number in range(9)),
    )
    columns = "product_id, horizon_weeks, demand_units_mean, score_status, score_reason"
    view(
        *(home, "demand", columns),
        "('p', 1, 1200.4, 'scored', null)",
        "('p', 2, 34.4, 'scored', null)",
        "('q', 1, 0.0, 'scored', null)",
        "('r', 1, null, 'not_scored', 'too young')",
        "('s', 1, null, 'not_scored', 'too young')",
        "('t', 1, null, 'not_scored', 'too few sales')",
    )
    scored(home, "churn", "customer_id", "('a', 'scored', null)", "('b', 'not_scored', 'guest')")
    scored(home, "survival", "customer_id", "('a', 'scored', null::text)")
    assert learnt(home) == [
        "On 2024-03-01 the shop knows 4 customers: 2 ordered in the last 90 days, 2 more than"
        " once.",
        "2 customers (67 %) are at high risk of no order in 90 days; they spent 1,000 EUR in the"
        " last 365 days, 25 % of all.",
        "1,800 EUR are expected in the next 365 days; 50 % of it from the best 10 % of customers.",
        "1,235 units of 2 products are expected to be sold in the next 2 weeks.",
        "Not scored, with the most frequent reason: churn 1 of 2 customers (guest); demand 3 of 5"
        " products (too young).",
    ]


def test_what_a_shop_does_not_have_is_left_out(home: Settings) -> None:
    assert learnt(home) == []
    view(home, "customer_360", "as_of_date, customer_id", "(date '2024-03-01', 'a')")
    scored(home, "clv", "customer_id", "('a', 'scored', null::text)")
    assert learnt(home) == ["Every customer and product has all its scores."]


def test_a_shop_without_scored_customers_says_why_and_divides_by_nothing(home: Settings) -> None:
    columns = "as_of_date, days_since_last_order, count_orders, churn_probability_90d,"
    columns += " churn_risk_band, net_spend_amount_365d"
    view(
        *(home, "customer_360", columns),
        "(date '2024-03-01', 10, 1, null::float, null::text, 0.00)",
    )
    columns = "customer_id, predicted_spend_amount_365d, score_status, score_reason"
    view(home, "clv", columns, "('a', null::float, 'not_scored', 'too little data')")
    assert learnt(home) == [
        "On 2024-03-01 the shop knows 1 customers: 1 ordered in the last 90 days, 0 more than"
        " once.",
        "Not scored, with the most frequent reason: clv 1 of 1 customers (too little data).",
    ]
