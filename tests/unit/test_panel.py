"""The panel of shops: disjoint sets, windows side by side, shops with known truth."""

from __future__ import annotations

import tomllib
from datetime import date, timedelta
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks.panel import generators, looks, sets, shops
from perennial.settings import REPOSITORY
from tests.conftest import REAL_DATA

DAY = date(2026, 11, 30)


def test_no_shop_is_in_two_sets_and_none_is_forgotten() -> None:
    parts = {name: {*sum(sets.members(name), ())} for name in sets.SETS}
    for one, other in combinations(parts.values(), 2):
        assert not one & other
    apart = tomllib.loads(sets.FILE.read_text())["apart"]
    known = {"online_retail", *shops.ORDERS, *shops.WEEKS, *shops.ROSSMANN, *generators.FAMILIES}
    assert set().union(*parts.values()) == known - set(apart)
    with pytest.raises(ValueError, match="tuning, validation, final"):
        sets.members("open")


def test_no_code_names_a_validation_or_final_shop() -> None:
    """Code may name the shops that it was tuned on, never validation or final shops."""
    judges = {shop for name in ("validation", "final") for shop in sets.members(name)[0]}
    assert len(judges) >= 8
    files = [
        path
        for folder in ("ml_tasks", "dbt_project", "perennial", "ingest", "expectations", "dags")
        for path in (REPOSITORY / folder).rglob("*")
        if path.suffix in {".py", ".sql", ".yml", ".toml", ".json"} and "target" not in path.parts
    ]
    assert len(files) > 200
    for path in files:
        text = path.read_text()
        assert not [shop for shop in judges if shop in text], path


def test_windows_lie_side_by_side_and_end_with_the_data() -> None:
    cuts = shops.cuts(date(2020, 1, 1), date(2022, 12, 31))
    assert [later - one for one, later in pairwise(cuts)] == [timedelta(days=90)] * 3
    assert cuts[-1] + timedelta(days=90) == date(2023, 1, 1)
    # 300 days: two windows would leave less than 180 days before the first
    assert shops.cuts(date(2022, 1, 1), date(2022, 10, 27)) == (date(2022, 7, 30),)
    assert shops.cuts(date(2022, 1, 1), date(2022, 6, 1)) == ()
    assert shops.year_cuts(date(2020, 1, 1), date(2021, 12, 31)) == (date(2021, 1, 1),)
    assert shops.year_cuts(date(2021, 1, 1), date(2021, 12, 31)) == ()
    mondays = shops.origins(date(2020, 1, 6), date(2021, 12, 27))
    assert [later - one for one, later in pairwise(mondays)] == [timedelta(weeks=8)] * 3
    assert mondays[-1] + timedelta(weeks=8) == date(2022, 1, 3)


def test_orders_are_written_to_the_cent(tmp_path: Path) -> None:
    lines = pd.DataFrame(
        {
            "customer_id": ["b", "a", "a", "a"],
            "order_id": ["1", "2", "2", "3"],
            "ordered_at": pd.to_datetime(["2024-01-01", *["2024-01-02"] * 2, "2024-02-01"]),
            "product_id": ["x", "x", "y", "y"],
            "quantity": [1, 2, 3, 1],
            "unit_price_amount": [1.5, 2.25, 0.1, 0.0],  # the last was given away
        }
    )
    shops.write_orders(lines, tmp_path / "shop")
    written = {path.stem: pd.read_csv(path) for path in (tmp_path / "shop").iterdir()}
    items = written["order_items"]
    assert (items["quantity"] * items["unit_price_amount"]).sum() == pytest.approx(6.3)
    assert items["order_item_id"].tolist() == ["1-0", "2-0", "2-1"]
    assert written["orders"]["order_id"].tolist() == [1, 2]
    assert written["orders"]["ordered_at"].tolist() == [
        "2024-01-01T00:00:00",
        "2024-01-02T00:00:00",
    ]
    assert written["customers"]["customer_id"].tolist() == ["a", "b"]
    assert written["products"]["product_id"].tolist() == ["x", "y"]


def test_weeks_are_written_as_orders_of_their_monday(tmp_path: Path) -> None:
    weekly = pd.DataFrame(
        {
            "product_id": ["x", "x", "y"],
            "week_start_date": pd.to_datetime(["2024-01-01", "2024-01-08", "2024-01-08"]),
            "units": [3.0, 0.0, 2.5],
            "unit_price_amount": [2.0, 2.0, 4.0],
        }
    )
    shops.write_weeks(weekly, tmp_path / "shop")
    written = {path.stem: pd.read_csv(path) for path in (tmp_path / "shop").iterdir()}
    assert written["orders"]["ordered_at"].tolist() == [
        "2024-01-01T12:00:00",
        "2024-01-08T12:00:00",
    ]
    assert written["order_items"][["product_id", "quantity"]].to_numpy().tolist() == [
        ["x", 3.0],
        ["y", 2.5],
    ]
    assert len(written["customers"]) == 1


@pytest.mark.parametrize("name", [*shops.ORDERS, *shops.WEEKS, *shops.ROSSMANN])
def test_a_public_shop_is_read_as_its_description_says(name: str) -> None:
    if not REAL_DATA.exists():
        pytest.skip(f"the public data sets are not at {REAL_DATA}")
    if name in shops.ORDERS:
        lines = shops.orders(name, REAL_DATA)
        customers = {
            "complete_journey": 2_469,
            "essec_purchases": 18_417,
            "afisha_tickets": 36_523,
            "superstore_us": 793,
        }
        assert lines["customer_id"].nunique() == customers[name]
        assert lines["ordered_at"].is_monotonic_increasing
    else:
        weekly = shops.weeks(name, REAL_DATA)
        assert set(weekly["week_start_date"].dt.dayofweek) == {0}
        assert not weekly.duplicated(["product_id", "week_start_date"]).any()
        assert 30 < weekly["product_id"].nunique() <= shops.EVERY_PRODUCT_UP_TO
        assert weekly["unit_price_amount"].gt(0).all()


# Generated shops ------------------------------------------------------------------------------


@pytest.mark.parametrize("family", generators.FAMILIES)
def test_a_made_shop_keeps_to_its_truth(family: str) -> None:
    made = generators.generate(family, 3, customers=400, days=730)
    pd.testing.assert_frame_equal(
        made.orders, generators.generate(family, 3, customers=400, days=730).orders
    )
    assert not made.orders.equals(generators.generate(family, 4, customers=400, days=730).orders)
    assert made.orders["order_id"].is_unique
    assert made.orders["ordered_at"].is_monotonic_increasing
    with_truth = made.orders.merge(made.customers, on="customer_id", validate="many_to_one")
    assert len(with_truth) == len(made.orders)
    second = pd.Timedelta(seconds=1)  # times are written to the second
    assert (with_truth["ordered_at"] >= with_truth["began_at"] - second).all()
    is_first = ~with_truth["customer_id"].duplicated()
    later = with_truth[~is_first]
    assert (later["ordered_at"] <= later["ended_at"] + second).all()


def gaps_in_days(family: str) -> pd.Series:
    orders = generators.generate(family, 5).orders
    return orders.groupby("customer_id")["ordered_at"].diff().dt.total_seconds().dropna() / 86_400


def test_a_family_has_what_it_is_named_after() -> None:
    launch = generators.generate("launch", 5).customers["began_at"]
    assert launch.max() - launch.min() <= pd.Timedelta(days=90)
    counts = generators.generate("one_time", 5).orders["customer_id"].value_counts()
    # nineteen of twenty, and who would come again after the end
    assert 0.94 < (counts == 1).mean() < 0.99
    by_year = generators.generate("growing", 5).customers["began_at"].dt.year.value_counts()
    assert by_year[2024] / by_year[2023] == pytest.approx(4, rel=0.2)
    months = generators.generate("holiday", 5).orders["ordered_at"].dt.month
    assert months.isin([11, 12]).mean() > 0.7
    assert gaps_in_days("subscription").median() == pytest.approx(30.4, rel=0.02)
    whole_weeks = gaps_in_days("steady") / 7
    assert np.abs(whole_weeks - whole_weeks.round()).max() < 1e-4
    amounts = generators.generate("wholesale", 5).orders["unit_price_amount"]
    # a tenth of a Pareto of shape 1.6 has .1 ** (1 - 1 / 1.6) = 42 %, and orders spread around it
    assert amounts.nlargest(len(amounts) // 10).sum() / amounts.sum() > 0.42


def test_regular_buyers_are_twice_as_regular_as_chance() -> None:
    """Erlang gaps of shape 4 have a coefficient of variation of 1/2."""
    random = np.random.default_rng(1)
    plan = generators.Plan(
        np.zeros(50), np.full(50, 1e6), np.full(50, 20.0), np.full(50, 1.0), shape=4.0
    )
    times = [generators._orders_of(random, plan, number, 20_000) for number in range(50)]
    gaps = np.concatenate([np.diff(row) for row in times])
    assert gaps.mean() == pytest.approx(20, rel=0.01)
    assert gaps.std() / gaps.mean() == pytest.approx(0.5, rel=0.02)


def test_seeds_of_final_shops_follow_from_the_commit() -> None:
    assert generators.seed_of("subscription", "abc") == generators.seed_of("subscription", "abc")
    assert generators.seed_of("subscription", "abc") != generators.seed_of("subscription", "abd")
    assert generators.seed_of("subscription", "abc") != generators.seed_of("no_christmas", "abc")


# Looks ----------------------------------------------------------------------------------------


def test_a_look_is_kept_and_the_final_shops_open_once(tmp_path: Path) -> None:
    log = tmp_path / "looks.md"
    log.write_text(looks.FILE.read_text().split("| 2")[0])

    def look(panel: str, why: str, commit: str = "abc") -> None:
        looks.note(panel, ["churn"], ["all"], why, on=DAY, commit=commit, file=log)

    look("tuning", "")
    assert looks.looks(log) == []
    with pytest.raises(looks.SecondLookError, match="needs a reason"):
        look("validation", "")
    look("validation", "combine | or choose")
    look("final", "")
    with pytest.raises(looks.SecondLookError, match="opened on 2026-11-30 at abc"):
        look("final", "", commit="abd")
    look("final", "a fault in the judge", commit="abd")
    assert [row[2:3] + row[5:] for row in looks.looks(log)] == [
        ["validation", "combine / or choose"],
        ["final", "first opening"],
        ["final", "a fault in the judge"],
    ]
