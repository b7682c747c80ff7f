"""Loyalty: points and tiers by hand, and what a change of rules may and may not do."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import pairwise
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_tasks.engine.contract_check import checked
from ml_tasks.loyalty import programme as programmes
from ml_tasks.loyalty.entries import History, history
from ml_tasks.loyalty.programme import Programme, ProgrammeError
from ml_tasks.loyalty.run import LEDGER, NAME, QUESTION, TIERS, frames
from perennial import contracts

# 1 point a unit until March, then 2.5; points of the old rules are valid 100 days
TWO_VERSIONS: dict[str, Any] = {
    "versions": [
        {
            "version": "a",
            "points_per_unit": 1,
            "points_valid_days": 100,
            "point_value": 0.01,
            "tiers": [
                {"name": "low", "least": 0},
                {"name": "high", "least": 100, "benefits": ["tea", "cake"]},
            ],
        },
        {
            "version": "b",
            "valid_from": date(2024, 3, 1),
            "points_per_unit": 2.5,
            "points_valid_days": 365,
            "point_value": 0.02,
            "tiers": [
                {"name": "low", "least": 0},
                {"name": "high", "least": 150, "benefits_cost_rate": 0.1},
                {"name": "top", "least": 400, "benefits_cost_rate": 0.2},
            ],
        },
    ]
}
PROGRAMME = programmes.parse(TWO_VERSIONS, "test.yml")


def past(orders: list[tuple], refunds: list[tuple] = (), customers: str = "") -> History:  # type: ignore[assignment]
    """A history of (customer, order, date, amount), as the marts hold it."""

    def frame(rows: list[tuple]) -> pd.DataFrame:
        columns = ["customer_id", "order_id", "day", "amount"]
        rows = sorted(rows, key=lambda row: (row[0], row[2]))
        table = pd.DataFrame(rows, columns=columns).astype({"order_id": object})
        table["day"] = pd.to_datetime(table["day"]).astype("datetime64[ns]")
        table["amount_e4"] = (table.pop("amount").astype(float) * 10_000).round().astype("int64")
        return table

    known = sorted({row[0] for row in orders} | set(customers))
    return history(pd.Series(known, dtype=object), frame(orders), frame(list(refunds)))


def score(
    day: date,
    orders: list[tuple],
    refunds: list[tuple] = (),
    programme: Programme = PROGRAMME,  # type: ignore[assignment]
) -> dict[str, pd.DataFrame]:
    """The frames of a date, checked against the contract."""
    seen = past([row for row in orders if row[2] < day], [row for row in refunds if row[2] < day])
    found = frames(seen, programme.in_force(day), day)
    for name, rows in found.items():
        checked(rows, contracts.load(NAME).table(name))
    return found


ORDERS = [
    ("anna", "1", date(2024, 1, 10), 120.99),
    ("anna", "2", date(2024, 3, 5), 60.5),
    ("bert", "3", date(2024, 2, 1), 50.0),
    ("bert", "4", date(2024, 4, 1), 0.0),
]
REFUNDS = [
    ("anna", "1", date(2024, 3, 10), 20.0),  # of an order under the old rules
    ("bert", None, date(2024, 2, 20), 80.0),  # more than all that was ordered
]


def ledger_of(found: dict[str, pd.DataFrame], customer: str) -> list[tuple]:
    rows = found[LEDGER]
    rows = rows[rows["customer_id"] == customer]
    names = ["month_date", "points_earned", "points_taken_back", "points_expired", "points_balance"]
    return [(f"{row[0]:%Y-%m}", *row[1:]) for row in rows[names].itertuples(index=False)]


def test_a_ledger_by_hand_over_two_versions_a_refund_and_an_expiry() -> None:
    found = score(date(2024, 5, 1), ORDERS, REFUNDS)
    assert ledger_of(found, "anna") == [
        ("2024-01", 120, 0, 0, 120),
        # 60.5 * 2.5 = 151.25; of order 1, 100.99 is left: 100 points by its own rules
        ("2024-03", 151, 20, 0, 251),
        # the 100th day of 10 January is 18 April
        ("2024-04", 0, 0, 100, 151),
    ]
    assert ledger_of(found, "bert") == [("2024-02", 50, 50, 0, 0), ("2024-04", 0, 0, 0, 0)]
    rows = found[NAME].set_index("customer_id")
    assert rows.loc["anna", "points_balance"] == 151
    assert rows.loc["bert", "net_order_amount_365d"] == 0


def test_points_are_valid_through_their_last_day() -> None:
    for day, balance in ((date(2024, 4, 18), 251), (date(2024, 4, 19), 151)):
        rows = score(day, ORDERS, REFUNDS)[NAME].set_index("customer_id")
        assert rows.loc["anna", "points_balance"] == balance
        assert rows.loc["anna", "points_expiring_30d"] == balance - 151


def test_the_tier_follows_the_rules_in_force_and_the_orders_that_are_left() -> None:
    def row(day: date) -> pd.Series:
        return score(day, ORDERS, REFUNDS)[NAME].set_index("customer_id").loc["anna"]

    assert (row(date(2024, 2, 1))["tier"], row(date(2024, 2, 1))["tier_since_date"]) == (
        "high",
        pd.Timestamp("2024-01-11"),
    )
    assert row(date(2024, 2, 1))["benefits"] == "tea; cake"
    # from March on 120.99 is not enough, until the order of 5 March
    assert row(date(2024, 3, 3))["tier"] == "low"
    assert row(date(2024, 3, 3))["tier_since_date"] == pd.Timestamp("2024-03-01")
    now = row(date(2024, 3, 20))
    assert (now["tier"], now["tier_rank"], now["next_tier"]) == ("high", 2, "top")
    assert now["tier_since_date"] == pd.Timestamp("2024-03-06")
    assert now["qualifying_amount_365d"] == pytest.approx(161.49)
    assert now["amount_to_next_tier"] == pytest.approx(238.51)
    # the order of 10 January counts for the last time on 9 January, 365 days later
    assert (now["will_fall_on_date"], now["fall_to_tier"]) == (pd.Timestamp("2025-01-10"), "low")
    assert not now["is_about_to_fall"]
    soon = row(date(2024, 10, 12))
    assert soon["is_about_to_fall"]
    assert soon["leaving_amount_90d"] == pytest.approx(100.99)
    assert soon["amount_to_keep_tier_90d"] == pytest.approx(150 - 60.5)
    assert not row(date(2024, 10, 11))["is_about_to_fall"]


def test_one_more_usual_order_lifts() -> None:
    orders = [("anna", "1", date(2024, 3, 5), 200.0), ("bert", "2", date(2024, 3, 5), 199.99)]
    rows = score(date(2024, 3, 20), orders)[NAME].set_index("customer_id")
    assert rows["is_about_to_rise"].to_dict() == {"anna": True, "bert": False}


def test_a_refund_without_its_order_takes_the_newest_orders_before_it() -> None:
    orders = [("anna", f"{n}", date(2024, 3, n), 10.0) for n in (1, 2, 3, 9)]
    refunds = [("anna", None, date(2024, 3, 5), 15.0), ("anna", "elsewhere", date(2024, 3, 6), 9.0)]
    seen = past(orders, refunds)
    assert seen.takings[["order", "amount_e4"]].to_numpy().tolist() == [[1, 50_000], [2, 100_000]]


def test_a_refund_dated_before_its_order_counts_on_the_orders_day() -> None:
    refund = [("anna", "1", date(2024, 3, 1), 10.0)]
    found = score(date(2024, 4, 1), [("anna", "1", date(2024, 3, 5), 10.0)], refund)
    assert ledger_of(found, "anna") == [("2024-03", 25, 25, 0, 0)]


def test_orders_before_the_first_version_earn_nothing() -> None:
    first = {**TWO_VERSIONS["versions"][0], "valid_from": date(2024, 2, 1)}
    late = programmes.parse({"versions": [first]}, "test.yml")
    rows = score(date(2024, 1, 20), ORDERS, (), late)[NAME]  # type: ignore[arg-type]
    assert set(rows["score_status"]) == {"not_scored"}
    found = score(date(2024, 2, 20), ORDERS, (), late)  # type: ignore[arg-type]
    assert ledger_of(found, "anna") == [("2024-01", 0, 0, 0, 0)]
    row = found[NAME].set_index("customer_id").loc["anna"]
    assert (row["tier"], row["tier_since_date"]) == ("high", pd.Timestamp("2024-02-01"))


def test_a_shop_without_customers_has_tiers_that_are_not_scored() -> None:
    found = frames(past([]), PROGRAMME.in_force(date(2024, 4, 1)), date(2024, 4, 1))
    model = QUESTION.ruled(date(2024, 4, 1))
    (joined,) = QUESTION.joined([found], date(2024, 4, 1), model, None)  # type: ignore[arg-type]
    assert joined[NAME].empty
    assert joined[LEDGER].empty
    assert set(joined[TIERS]["score_status"]) == {"not_scored"}
    checked(joined[TIERS], contracts.load(NAME).table(TIERS))


DAYS = st.integers(0, 500).map(lambda number: date(2023, 6, 1) + timedelta(days=number))
AMOUNTS = st.integers(0, 40_000).map(lambda cents: cents / 100)
PLANTED = st.lists(st.tuples(st.sampled_from("ab"), DAYS, AMOUNTS), min_size=1, max_size=12)
RETURNED = st.lists(
    st.tuples(st.sampled_from("ab"), st.sampled_from([None, 0, 1, 2]), DAYS, AMOUNTS), max_size=8
)


def planted(orders: list[tuple], refunds: list[tuple]) -> tuple[list[tuple], list[tuple]]:
    return (
        [(who, f"{n}", day, amount) for n, (who, day, amount) in enumerate(orders)],
        [(who, None if of is None else f"{of}", day, amount) for who, of, day, amount in refunds],
    )


@given(PLANTED, RETURNED)
def test_a_ledger_adds_up_and_a_later_date_changes_no_earlier_month(orders, refunds) -> None:
    sold, returned = planted(orders, refunds)
    earlier, later = date(2024, 4, 1), date(2025, 6, 1)
    whole = score(later, sold, returned)
    ledger = whole[LEDGER]
    change = ledger["points_earned"] - ledger["points_taken_back"] - ledger["points_expired"]
    assert (change.groupby(ledger["customer_id"]).cumsum() == ledger["points_balance"]).all()
    assert (ledger["points_balance"] >= 0).all()
    last = ledger.groupby("customer_id")["points_balance"].last()
    rows = whole[NAME].set_index("customer_id")
    assert last.to_dict() == rows["points_balance"].to_dict()
    if any(row[2] < earlier for row in sold):
        before = score(earlier, sold, returned)[LEDGER].reset_index(drop=True)
        still = ledger[ledger["month_date"] < pd.Timestamp(earlier)].reset_index(drop=True)
        pd.testing.assert_frame_equal(before, still)


@given(PLANTED, RETURNED, st.integers(0, 900))
def test_the_fall_that_is_foretold_comes_if_nothing_is_ordered(orders, refunds, wait) -> None:
    sold, returned = planted(orders, refunds)
    day = max(row[2] for row in [*sold, *returned]) + timedelta(days=1)
    now = score(day, sold, returned)[NAME].set_index("customer_id")
    later = day + timedelta(days=wait)
    then = score(later, sold, returned)[NAME].set_index("customer_id")
    for customer, row in now.iterrows():
        falls = row["will_fall_on_date"]
        if pd.isna(falls) or later < falls.date():
            assert then.loc[customer, "tier"] == row["tier"]
            assert then.loc[customer, "tier_since_date"] == row["tier_since_date"]
        else:
            assert then.loc[customer, "tier_rank"] < row["tier_rank"]
        if later == getattr(falls, "date", lambda: None)():
            assert then.loc[customer, "tier"] == row["fall_to_tier"]


def test_every_tier_is_held_from_the_date_it_is_said_to_be() -> None:
    """Beside a plain walk through the dates."""
    orders = [("anna", f"{n}", date(2023, 7, 1) + timedelta(days=37 * n), 45.0) for n in range(12)]
    days = [date(2023, 7, 2) + timedelta(days=n) for n in range(800)]
    rows = [score(day, orders)[NAME].iloc[0] for day in days]
    since = days[0]
    for (_, before), (day, now) in pairwise(zip(days, rows, strict=True)):
        since = since if before["tier"] == now["tier"] else day
        assert now["tier_since_date"] == pd.Timestamp(since)
    assert len({row["tier"] for row in rows}) == 3
