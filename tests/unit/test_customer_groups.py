"""Groups of customers, the noise of their figures, and gaps between them."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd
import pytest

from ml_tasks.evaluation import customer_groups


def customers(count: int) -> pd.DataFrame:
    """Every second customer is new; every fourth ordered once; countries of a third and less."""
    number = np.arange(count)
    names = np.array(["A", "A", "A", "B", "B", "C", "C", "D", "E", "F"], dtype=object)
    return pd.DataFrame(
        {
            "country": names[number % 10],
            "days_since_first_order": np.where(number % 2, 90, 91),
            "count_order_days": np.where(number % 4, 2, 1),
        }
    )


def test_groups_by_hand():
    masks = customer_groups.groups(customers(2_000))
    sizes = {name: int(mask.sum()) for name, mask in masks.items()}
    assert sizes == {
        "country: A": 600,
        "country: B": 400,
        "country: C": 400,
        "country: rest": 600,
        "customers: new": 1_000,
        "customers: old": 1_000,
        "orders: one": 500,
        "orders: several": 1_500,
    }


def test_groups_of_equal_size_do_not_depend_on_the_order_of_rows():
    frame = pd.DataFrame(
        {
            "country": np.repeat(["D", "C", "B", "A"], 150),
            "days_since_first_order": 400,
            "count_order_days": 2,
        }
    )
    expected = ["country: A", "country: B", "country: C", "country: rest"]
    for part in (frame, frame.iloc[::-1]):
        assert list(customer_groups.groups(part)) == expected


def test_small_groups_and_those_that_are_nearly_everybody_are_left_out():
    frame = customers(2_000).assign(country="A", count_order_days=2)
    frame.loc[:98, "count_order_days"] = 1
    assert set(customer_groups.groups(frame)) == {"customers: new", "customers: old"}


def test_error_of_a_mean_is_the_textbook_one():
    rows = pd.DataFrame({"x": np.random.default_rng(0).normal(0, 3, 30_000)})
    found = customer_groups.standard_errors(rows, lambda part: {"mean": part["x"].mean()})["mean"]
    assert found == pytest.approx(3 / np.sqrt(30_000), rel=0.35)  # 20 groups: 16 % noise


def test_error_of_a_sample_is_that_of_all_rows():
    rows = pd.DataFrame(
        {"x": np.random.default_rng(1).normal(0, 3, 10 * customer_groups.MAX_ERROR_ROWS)}
    )
    found = customer_groups.standard_errors(rows, lambda part: {"mean": part["x"].mean()})["mean"]
    assert found == pytest.approx(3 / np.sqrt(len(rows)), rel=0.35)


def test_too_few_rows_have_no_error():
    rows = pd.DataFrame({"x": np.arange(30.0)})
    assert np.isnan(
        customer_groups.standard_errors(rows, lambda p: {"mean": p["x"].mean()})["mean"]
    )


def calibrated(seed: int, count: int = 2_000) -> pd.DataFrame:
    """Customers with calibrated probabilities in every group."""
    random = np.random.default_rng(seed)
    p = random.uniform(0.1, 0.9, count)
    return customers(count).assign(p=p, event=random.random(count) < p)


def level(rows: pd.DataFrame) -> dict[str, float]:
    return {"mean_error": float((rows["p"] - rows["event"]).mean())}


def test_a_planted_gap_is_found_in_its_group_alone():
    rows = calibrated(2)
    rows["p"] = np.where(rows["country"] == "B", rows["p"] + 0.2, rows["p"])
    gaps = {part.name: part.gaps for part in customer_groups.by_group(rows, level) if part.gaps}
    assert list(gaps) == ["country: B"]
    (line,) = next(part for part in customer_groups.by_group(rows, level) if part.gaps).warnings()
    assert line.startswith("mean_error is 0.")
    assert "country: B" in line


def test_chance_is_no_gap():
    parts = [customer_groups.by_group(calibrated(seed), level) for seed in range(30)]
    found = [part.name for found in parts for part in found if part.gaps]
    assert found == []


def test_a_gap_within_the_noise_of_a_group_is_none():
    """Far beyond the bound, but within two standard errors in 19 of 20 cases."""
    count_compared = count_found = 0
    for seed in range(40):
        wild = customers(400).assign(x=np.random.default_rng(seed).normal(0, 10, 400))
        parts = customer_groups.by_group(wild, lambda rows: {"mean_error": float(rows["x"].mean())})
        again = ("customers: old", "orders: several")
        compared = [part for part in parts if part.name not in (customer_groups.ALL, *again)]
        count_compared += len(compared)
        count_found += sum(bool(part.gaps) for part in compared)
    assert count_compared >= 100
    assert count_found <= 0.12 * count_compared


def test_figures_of_groups_hold_no_nan_and_gaps_are_reported():
    rows = calibrated(2)
    rows["p"] = np.where(rows["country"] == "B", rows["p"] + 0.2, rows["p"])
    found = customer_groups.by_group(rows, lambda part: {**level(part), "auc": float("nan")})
    figures, gaps = customer_groups.served(
        date(2021, 6, 1), {"m": rows}, lambda part: {**level(part), "auc": float("nan")}, "{}_90d"
    )
    groups = [(part.name, part.count) for part in found if part.name != customer_groups.ALL]
    assert [(row.group, row.n) for row in figures if row.metric == "mean_error_90d"] == groups
    assert {row.value for row in figures if row.metric == "auc_90d"} == {None}
    assert {(row.cut, row.model) for row in figures} == {("2021-06-01", "m")}
    (warning,) = gaps["m"]
    assert "country: B" in warning
