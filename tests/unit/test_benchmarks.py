"""The benchmark's judge by hand-computed figures; peers see nothing of the cut or later."""

from __future__ import annotations

from datetime import date
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from benchmarks import data, judge, results
from benchmarks.warehouse import before

CUT = pd.Timestamp("2024-03-01")


def days_of(*rows: tuple[str, str, int, float]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["customer_id", "day_date", "count_orders", "net_amount"])
    return frame.assign(day_date=pd.to_datetime(frame["day_date"]))


@pytest.fixture
def days() -> pd.DataFrame:
    """Four known customers: two order again within 90 days; one is new; one only comes later."""
    return days_of(
        ("a", "2024-02-01", 1, 10.0),
        ("b", "2024-02-02", 1, 20.0),
        ("c", "2024-02-03", 1, 30.0),
        ("d", "2023-11-15", 1, 40.0),
        ("a", "2024-03-01", 1, 5.0),  # the cut is the first day of the horizon
        ("b", "2024-05-29", 2, 100.0),  # and this the last of the 90
        ("b", "2024-05-29", 0, -150.0),  # a refund: net spend is not below 0
        ("c", "2024-05-30", 1, 7.0),  # too late
        ("e", "2024-03-02", 1, 9.0),  # not known at the cut
    )


def test_what_peers_see_ends_before_the_cut(days: pd.DataFrame) -> None:
    weeks = pd.DataFrame(
        {
            "product_id": "p",
            "week_start_date": pd.to_datetime(["2024-02-19", "2024-02-26", "2024-03-04"]),
            "sold_units": [1, 2, 3],
        }
    )
    seen = before({"customer_days": days, "product_weeks": weeks}, date(2024, 3, 1))
    assert len(seen["customer_days"]) == 4
    assert seen["customer_days"]["day_date"].max() < CUT
    assert seen["product_weeks"]["sold_units"].tolist() == [1]  # the week of the cut is not over
    seen = before({"customer_days": days, "product_weeks": weeks}, date(2024, 3, 4))
    assert seen["product_weeks"]["sold_units"].tolist() == [1, 2]


def test_outcome_is_of_the_horizon_and_of_known_customers(days: pd.DataFrame) -> None:
    customers = judge.known_customers(days, CUT)
    happened = judge.outcomes(days, customers, CUT, 90)
    assert customers.tolist() == ["a", "b", "c", "d"]
    assert happened["count_orders"].tolist() == [1, 2, 0, 0]
    assert happened["net_amount"].tolist() == [5, 0, 0, 0]


def test_churn_figures_by_hand(days: pd.DataFrame) -> None:
    said = pd.DataFrame(
        {
            "model": "m",
            "customer_id": ["a", "b", "c", "e"],
            "order_probability": [0.9, 0.4, 0.6, 0.99],
        }
    )
    figures = judge.churn(said, days, CUT).loc["m"]
    # d is unscored and counts at the base rate: of the one customer known 90 days before, d
    # themself, none ordered, so 0. Events: a, b. Pairs won: a>c, a>d, b>d; lost: b<c.
    assert figures["unscored"] == 1
    assert figures["auc"] == pytest.approx(3 / 4)
    brier = (0.1**2 + 0.6**2 + 0.6**2 + 0) / 4
    assert figures["brier_skill"] == pytest.approx(1 - brier / 0.25)
    assert figures["calibration_error"] == pytest.approx((0.1 + 0.6 + 0.6 + 0) / 4)


def test_clv_figures_by_hand(days: pd.DataFrame) -> None:
    said = pd.DataFrame(
        {
            "model": "m",
            "customer_id": ["a", "b", "c", "d"],
            "spend": [8.0, 1.0, 0.0, 1.0],
            "spend_p50": [6.0, 0.0, 0.0, 0.0],
            "spend_p10": [0.0, 0.5, 0.0, 0.0],
            "spend_p90": [9.0, 2.0, 1.0, np.nan],
        }
    )
    figures = judge.clv(said, days, CUT, 90).loc["m"]
    assert figures["gini"] == pytest.approx(1)
    assert figures["mae"] == pytest.approx(1 / 4)  # of the median
    assert figures["total_error"] == pytest.approx(10 / 5 - 1)  # of the mean
    assert figures["coverage"] == pytest.approx(2 / 3)  # b's 0 lies below .5; d has no band


def test_survival_figures_by_hand(days: pd.DataFrame) -> None:
    constant = np.exp(-0.01 * np.array(judge.SURVIVAL_DAYS))
    said = pd.DataFrame(
        {
            "model": "m",
            "customer_id": ["a", "b", "c", "d"],
            "wait": [1.0, 3.0, 2.0, 4.0],
            **{f"s{day}": constant[i] for i, day in enumerate(judge.SURVIVAL_DAYS)},
        }
    )
    figures = judge.survival(said, days, CUT, 90).loc["m"]
    # a is back on day 1, b on day 90, c and d are censored at 90
    # comparable: a before b, c, d; b before c, d. b is ranked after c: 4 of 5
    assert figures["concordance"] == pytest.approx(4 / 5)
    t = np.arange(1, 91)
    s = np.exp(-0.01 * t)
    away = np.stack([t < 1, t < 90, t < 1_000, t < 1_000]).astype(float)
    assert figures["integrated_brier"] == pytest.approx(np.mean((away - s) ** 2))
    # ten bins of four equal chances: one customer each
    chance = 1 - constant[0]
    assert figures["error_30d"] == pytest.approx((1 - chance + 3 * chance) / 4)
    assert np.isnan(figures.get("error_180d", np.nan))


def weeks_of(product: str, units: list[float], price: float) -> pd.DataFrame:
    calendar = pd.date_range("2024-01-01", periods=len(units), freq="W-MON")
    return pd.DataFrame(
        {
            "product_id": product,
            "week_start_date": calendar,
            "sold_units": units,
            "sold_amount": np.array(units) * price,
        }
    )


def test_demand_figures_by_hand() -> None:
    origin = pd.Timestamp("2024-01-29")
    weeks = pd.concat(
        [
            weeks_of("big", [0, 2, 4, 2, *[3] * 8], 30.0),  # steps from the first sale: 2, -2
            weeks_of("small", [1, 2, 1, 2, *[2] * 8], 10.0),  # steps: 1, -1, 1
            weeks_of("rare", [9, 0, 0, 0, *[9] * 8], 90.0),  # sold in 1 of the 4 weeks known
        ]
    )
    calendar = pd.date_range(origin, periods=8, freq="7D")
    said = pd.concat(
        pd.DataFrame(
            {"model": "m", "product_id": product, "week_start_date": calendar,
             "mean": mean, "p10": mean - 1.5, "p50": mean, "p90": mean + 0.5}
        )
        for product, mean in (("big", 4.0), ("small", 2.0), ("rare", 9.0))
    )  # fmt: skip
    judged = judge.panel(weeks, origin)
    assert judged.product_ids.tolist() == ["big", "small"]
    assert judged.weight == pytest.approx([240 / 300, 60 / 300])
    figures = judge.demand(said, weeks, origin).loc["m"]
    assert figures["wrmsse"] == pytest.approx(0.8 * np.sqrt(1 / 4) + 0)
    assert figures["mase"] == pytest.approx((1 / 2 + 0) / 2)
    assert figures["bias"] == pytest.approx(6 / 5 - 1)
    assert figures["coverage"] == pytest.approx(1)  # 3 in [2.5, 4.5], 2 in [.5, 2.5]
    big = (0.1 * 0.5 + 0.5 * 1 + 0.1 * 1.5) / 3
    small = (0.1 * 1.5 + 0 + 0.1 * 0.5) / 3
    assert figures["pinball"] == pytest.approx((big / 2 + small) / 2)
    nothing = judge.demand(said[said["product_id"] == "big"], weeks, origin).loc["m"]
    assert nothing["unscored"] == 1
    assert nothing["mase"] == pytest.approx((1 / 2 + 2) / 2)  # no forecast counts as 0 units


def test_difference_smaller_than_its_spread_is_a_tie() -> None:
    ours = {"x": 0.80, "y": 0.82, "z": 0.84}
    tied = judge.compare(ours, {"x": 0.78, "y": 0.83, "z": 0.83}, "high")
    # differences .02, -.01, .01: mean .0067 under a standard deviation of .0153
    assert (tied.wins, tied.losses, tied.verdict) == (2, 1, "tie")
    assert tied.spread == pytest.approx(0.0153, abs=1e-4)
    steady = judge.compare(ours, {"x": 0.78, "y": 0.805, "z": 0.82}, "high")
    assert (steady.wins, steady.losses, steady.verdict) == (3, 0, "win")
    assert judge.compare(ours, {"x": 0.7, "y": 0.8, "z": 0.8}, "low").verdict == "loss"
    near = judge.compare({"x": -0.1, "y": 0.1}, {"x": 0.3, "y": -0.3}, "near 0")
    assert (near.wins, near.difference, near.verdict) == (2, pytest.approx(0.2), "win")
    one = judge.compare({"x": 0.8}, {"x": 0.7, "y": 0.9}, "high")
    assert (one.wins, one.losses, one.verdict) == (1, 0, "win")


def test_best_peer_of_each_cut_decides_on_auc() -> None:
    rows = pd.DataFrame(
        [
            {"cut": cut, "model": model, "auc": auc, "calibration_error": 0.02, "brier_skill": 0.3}
            for cut, aucs in {
                "1": {"perennial": 0.80, "p": 0.79, "q": 0.70},
                "2": {"perennial": 0.80, "p": 0.79, "q": 0.804},
                "3": {"perennial": 0.80, "p": 0.79, "q": 0.70},
            }.items()
            for model, auc in aucs.items()
        ]
    )
    assert not results.churn_wants(rows)[0].is_met  # .004 below at one cut
    rows.loc[rows["auc"] == 0.804, "auc"] = 0.802
    assert results.churn_wants(rows)[0].is_met


def test_reserved_dates_and_seeds_are_nowhere_else() -> None:
    assert not {*data.CUTS, *data.YEAR_CUTS} & set(data.RESERVED_CUTS)
    assert not set(data.ORIGINS) & set(data.RESERVED_ORIGINS)
    assert not set(data.SAMPLE_SEEDS) & set(data.RESERVED_SEEDS)
    assert all(origin.weekday() == 0 for origin in (*data.ORIGINS, *data.RESERVED_ORIGINS))


def test_own_shop_is_judged_on_what_is_known(tmp_path) -> None:
    own = data.dated(tmp_path, date(2022, 1, 1), date(2024, 3, 7))
    assert len(own.cuts) == data.MAX_CUTS
    assert own.cuts[-1] == date(2023, 12, 8)  # its 90 days end on 2024-03-06
    assert own.origins[-1] == date(2024, 1, 8)  # the week of 2024-03-04 is not over
    assert all((later - earlier).days == 56 for earlier, later in pairwise(own.origins))
    assert all((date(2024, 3, 7) - cut).days >= 365 for cut in own.year_cuts)
