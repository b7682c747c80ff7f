"""Loyalty: points and tiers by hand, and what a change of rules may and may not do."""

from __future__ import annotations

import copy
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml_tasks.engine.contract_check import checked
from ml_tasks.loyalty import programme as programmes
from ml_tasks.loyalty import run, simulate
from ml_tasks.loyalty.by_tier import tier_rows
from ml_tasks.loyalty.entries import History, history
from ml_tasks.loyalty.programme import Programme, ProgrammeError
from ml_tasks.loyalty.published import check
from ml_tasks.loyalty.run import LEDGER, NAME, QUESTION, TIERS, frames, versions_of
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
DAY = date(2024, 2, 1)
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


ENTRIES = ["points_earned", "points_taken_back", "points_expired"]


def ledger_of(found: dict[str, pd.DataFrame], customer: str) -> list[tuple]:
    rows = found[LEDGER]
    rows = rows[rows["customer_id"] == customer]
    names = ["month_date", *ENTRIES, "points_balance"]
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


def test_before_the_first_version_no_tier_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "load", lambda: programmes.parse(changed(0, valid_from=DAY), "x.yml"))
    day = DAY - timedelta(days=1)
    model = QUESTION.ruled(day)
    found = frames(past(ORDERS[:1]), versions_of(model), day)
    (joined,) = QUESTION.joined([found], day, model, None)  # type: ignore[arg-type]
    for name, rows in joined.items():
        checked(rows, contracts.load(NAME).table(name))
    assert [len(joined[name]) for name in (NAME, LEDGER, TIERS)] == [1, 1, 0]


def test_a_shop_without_customers_has_tiers_that_are_not_scored() -> None:
    found = frames(past([]), PROGRAMME.in_force(date(2024, 4, 1)), date(2024, 4, 1))
    model = QUESTION.ruled(date(2024, 4, 1))
    (joined,) = QUESTION.joined([found], date(2024, 4, 1), model, None)  # type: ignore[arg-type]
    assert joined[NAME].empty
    assert joined[LEDGER].empty
    assert set(joined[TIERS]["score_status"]) == {"not_scored"}
    checked(joined[TIERS], contracts.load(NAME).table(TIERS))


def test_what_a_tier_costs_and_brings() -> None:
    orders = [
        ("anna", "1", date(2024, 3, 5), 500.0),
        ("bert", "2", date(2024, 3, 6), 200.0),
        ("carl", "3", date(2024, 3, 7), 300.0),
        ("dora", "4", date(2024, 3, 8), 10.0),
    ]
    day = date(2024, 4, 1)
    rows = tier_rows([score(day, orders[:2]), score(day, orders[2:])], PROGRAMME.versions[-1])
    checked(rows, contracts.load(NAME).table(TIERS))
    assert rows["tier"].tolist() == ["low", "high", "top"]
    assert rows["count_customers"].tolist() == [1, 2, 1]
    assert rows["customer_share_rate"].tolist() == [0.25, 0.5, 0.25]
    assert rows["net_order_amount_per_customer_365d"].tolist() == [10, 250, 500]
    assert rows["more_than_tier_below_amount"].tolist()[1:] == [240, 250]
    assert rows["points_liability_amount"].tolist() == [0.5, 25, 25]
    assert rows["benefits_cost_365d_amount"].tolist() == [0, 50, 100]
    assert rows["cost_365d_amount"].tolist() == [0.5, 75, 125]
    # 400 is one order of 200 more for bert, and of 300 more for carl
    assert rows["count_about_to_rise"].tolist() == [0, 2, 0]


def test_rows_do_not_depend_on_the_parts() -> None:
    orders = [(f"c{n}", f"{n}", date(2024, 3, 5), 0.1 + n * 33.33) for n in range(40)]
    day, model = date(2024, 4, 1), QUESTION.ruled(date(2024, 4, 1))
    store: Any = None
    (whole,) = QUESTION.joined([score(day, orders)], day, model, store)
    parts = list(QUESTION.joined([score(day, orders[n::3]) for n in range(3)], day, model, store))
    pd.testing.assert_frame_equal(whole[TIERS], parts[0][TIERS])
    assert [TIERS in part for part in parts] == [True, False, False]
    for name in (NAME, LEDGER):
        joined = pd.concat(part[name] for part in parts)
        joined = joined.sort_values("customer_id", ignore_index=True)
        alone = whole[name].sort_values("customer_id", ignore_index=True)
        pd.testing.assert_frame_equal(alone, joined)


def changed(place: int, /, **keys: Any) -> dict[str, Any]:
    content = copy.deepcopy(TWO_VERSIONS)
    content["versions"][place] |= keys
    return content


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (changed(1, points_per_unit="many"), r"test.yml: version 'b', points_per_unit: "),
        (changed(1, points_per_unit=-1), r"version 'b', points_per_unit: .*greater than or equal"),
        (changed(0, points_per_unit=1.00001), r"version 'a', points_per_unit: .*4 decimal"),
        (changed(0, colour="red"), r"version 'a', colour: Extra inputs are not permitted"),
        (changed(0, tiers=[]), r"version 'a', tiers: "),
        (changed(0, tiers=[{"name": "x", "least": 5}]), r"version 'a', tiers: .*must have least 0"),
        (changed(0, tiers=[{"name": "x"}]), r"version 'a', tiers\[0\].least: Field required"),
        (
            changed(0, tiers=[{"name": "x", "least": 0}, {"name": "y", "least": 0}]),
            "version 'a', tiers: y must have a higher least than x",
        ),
        (
            changed(0, tiers=[{"name": "x", "least": 0}, {"name": "x", "least": 9}]),
            "version 'a', tiers: two tiers have the same name",
        ),
        (changed(1, valid_from="soon"), r"version 'b', valid_from: "),
        (changed(1, valid_from=None), r"version 'b': valid_from may be left out of the first"),
        (changed(0, valid_from=date(2024, 3, 1)), r"version 'b': valid_from must be later than"),
        (changed(1, version="a"), r"version 'a' stands twice"),
        (changed(1, version=2), r"version 2, version: Input should be a valid string"),
        ({}, r"test.yml: versions: Field required"),
        ({"versions": ["x"]}, r"test.yml: version 0: "),
        (None, r"test.yml: "),
    ],
)
def test_a_broken_programme_names_file_version_and_key(content: Any, message: str) -> None:
    with pytest.raises(ProgrammeError, match=message):
        programmes.parse(content, "test.yml")


def test_a_file_that_is_not_there_or_is_no_yaml_is_named(tmp_path: Path) -> None:
    with pytest.raises(ProgrammeError, match=r"missing\.yml: cannot be read"):
        programmes.load(tmp_path / "missing.yml")
    (tmp_path / "torn.yml").write_text("versions: [")
    with pytest.raises(ProgrammeError, match=r"torn\.yml: cannot be read"):
        programmes.load(tmp_path / "torn.yml")


def version_of(content: dict[str, Any], day: date, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(run, "load", lambda: programmes.parse(content, "test.yml"))
    return QUESTION.ruled(day).model_version


@pytest.mark.parametrize(
    ("content", "is_refused"),
    [
        pytest.param(TWO_VERSIONS, False, id="as it was"),
        pytest.param(changed(0, points_per_unit=1.0), False, id="the same number"),
        pytest.param(changed(0, points_per_unit=2), True, id="edited"),
        pytest.param(changed(0, points_valid_days=None), True, id="points for ever"),
        pytest.param(changed(1, points_per_unit=9), False, id="a version not published yet"),
        pytest.param(changed(1, valid_from=date(2024, 2, 5)), True, id="into the published past"),
        pytest.param(changed(0, points_per_unit=2) | {"corrected": ["a-"]}, False, id="on purpose"),
    ],
)
def test_rules_that_were_published_are_not_edited(
    content: dict[str, Any], is_refused: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    days = (date(2024, 2, 1), date(2024, 2, 10))
    published = version_of(TWO_VERSIONS, days[0], monkeypatch)
    found = [(published, *days)]
    corrected = [published] if "corrected" in content else []
    version_of(content, days[0], monkeypatch)  # the file is now this one
    if not is_refused:
        check(found, QUESTION._version_of, corrected)
        return
    with pytest.raises(ProgrammeError, match=r"version 'a': 2024-02-.*add a new version"):
        check(found, QUESTION._version_of, corrected)


def test_a_later_version_changes_neither_rows_nor_model_of_an_earlier_date(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    day = date(2024, 2, 20)
    alone = {"versions": TWO_VERSIONS["versions"][:1]}
    assert version_of(alone, day, monkeypatch) == version_of(TWO_VERSIONS, day, monkeypatch)
    rows = [score(day, ORDERS, REFUNDS, programmes.parse(one, "")) for one in (alone, TWO_VERSIONS)]
    for name in (NAME, LEDGER):
        pd.testing.assert_frame_equal(rows[0][name], rows[1][name])


def test_tiers_can_count_points() -> None:
    by_points = programmes.parse(changed(0, qualify_by="points"), "test.yml")
    orders = [("anna", "1", date(2024, 1, 5), 99.99), ("bert", "2", date(2024, 1, 5), 100.0)]
    rows = score(date(2024, 2, 1), orders, programme=by_points)[NAME].set_index("customer_id")
    assert rows["tier"].to_dict() == {"anna": "low", "bert": "high"}
    assert rows["qualifying_amount_365d"].to_dict() == {"anna": 99, "bert": 100}


def test_a_simulation_by_hand() -> None:
    day = date(2024, 4, 1)
    orders = [
        ("anna", "1", date(2024, 3, 5), 500.0),  # top, and still
        ("bert", "2", date(2024, 3, 6), 200.0),  # high -> low
        ("carl", "3", date(2024, 2, 7), 90.0),  # low -> the new middle; points at the rate of then
        ("dora", "4", date(2022, 3, 8), 900.0),  # not in the last year
    ]
    tried = changed(0, points_per_unit=3, version="new")
    tried["versions"][0]["tiers"] = [
        {"name": "base", "least": 0},
        {"name": "middle", "least": 80, "benefits_cost_rate": 0.5},
        {"name": "low", "least": 190},
        {"name": "top", "least": 300},
    ]
    other = programmes.parse({"versions": tried["versions"][:1]}, "test.yml")
    shards = [past(orders[:2]), past(orders[2:])]
    found = simulate.compare(shards, day, PROGRAMME, other)
    assert (found.before, found.after) == ("b", "new")
    # bert: `high` is not in the new programme and was second; `low` is third there.
    # carl and dora: `low` is third there, and they would be second and first.
    assert (found.count_customers, found.count_rise, found.count_fall) == (4, 1, 2)
    figures = found.figures.set_index(["tier", "figure"])
    assert figures.loc[("all", "customers")].tolist() == [4, 4, 0]
    assert figures.loc[("low", "customers")].tolist() == [2, 1, -1]
    assert figures.loc[("high", "customers")].tolist() == [1, 0, -1]
    # before: 1250 + 500 + 90 points of 2 cents each; after: 1500 + 600 + 270 of 1 cent
    assert figures.loc[("all", "points of these orders")].tolist() == [1840, 2370, 530]
    assert figures.loc[("all", "cost of points")].tolist() == [36.8, 23.7, -13.1]
    assert figures.loc[("all", "cost of benefits")].tolist() == [120, 45, -75]


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


@settings(deadline=None, max_examples=25, derandomize=True)
@given(PLANTED, RETURNED)
def test_a_ledger_adds_up_and_a_later_date_changes_no_earlier_month(orders, refunds) -> None:
    sold, returned = planted(orders, refunds)
    earlier, later, summed = date(2024, 4, 1), date(2024, 12, 1), pd.Timestamp("2023-12-01")
    whole = score(later, sold, returned)
    ledger = whole[LEDGER]
    change = ledger["points_earned"] - ledger["points_taken_back"] - ledger["points_expired"]
    assert (change.groupby(ledger["customer_id"]).cumsum() == ledger["points_balance"]).all()
    assert (ledger["points_balance"] >= 0).all()
    assert (ledger["month_date"] >= summed).all()
    last = ledger.groupby("customer_id")["points_balance"].last()
    rows = whole[NAME].set_index("customer_id")
    assert last.to_dict() == rows["points_balance"].to_dict()
    if any(row[2] < earlier for row in sold):
        before = score(earlier, sold, returned)[LEDGER]
        before["month_date"] = before["month_date"].clip(lower=summed)
        still = ledger[ledger["month_date"] < pd.Timestamp(earlier)]
        for entry in ("order_amount", "refund_amount", *ENTRIES):
            sums = [
                one.groupby(["customer_id", "month_date"])[entry].sum() for one in (before, still)
            ]
            pd.testing.assert_series_equal(*sums)


@settings(deadline=None, max_examples=25, derandomize=True)
@given(PLANTED, RETURNED)
def test_new_rules_change_no_points_of_orders_before_them(orders, refunds) -> None:
    sold, returned = planted(orders, refunds)
    sold = [row for row in sold if row[2] < date(2024, 3, 1)]
    old = programmes.parse({"versions": TWO_VERSIONS["versions"][:1]}, "test.yml")
    ledgers = [score(date(2024, 12, 1), sold, returned, one)[LEDGER] for one in (old, PROGRAMME)]
    pd.testing.assert_frame_equal(*ledgers)


@settings(deadline=None, max_examples=25, derandomize=True)
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
    days = [date(2023, 9, 1) + timedelta(days=6 * n) for n in range(100)]
    rows = [score(day, orders)[NAME].iloc[0] for day in days]
    for (earlier, before), (day, now) in pairwise(zip(days, rows, strict=True)):
        since = now["tier_since_date"].date()
        if before["tier"] == now["tier"]:
            assert since == before["tier_since_date"].date()
        else:
            assert earlier < since <= day
    assert len({row["tier"] for row in rows}) == 3
