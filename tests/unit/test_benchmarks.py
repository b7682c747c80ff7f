"""The benchmark's judge against figures computed by hand; peers see nothing from the cut on."""

from __future__ import annotations

import re
from datetime import date
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from benchmarks import code, data, judge, results
from benchmarks.__main__ import _without_folder
from benchmarks.code import RESULTS
from benchmarks.judge import customers, next_orders, waits
from benchmarks.judge import weeks as demand_weeks
from benchmarks.warehouse import before
from perennial import contracts

CUT = pd.Timestamp("2024-03-01")


def days_of(*rows: tuple[str, str, int, float]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["customer_id", "day_date", "count_orders", "net_amount"])
    return frame.assign(day_date=pd.to_datetime(frame["day_date"]))


@pytest.fixture
def days() -> pd.DataFrame:
    """Four known customers, of whom two order again within 90 days and one too late; one is new."""
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


def test_a_model_that_leaves_buyers_out_is_not_judged_on_the_others(days: pd.DataFrame) -> None:
    """Its figures would be those of easier rows; one that predicts none of this part has none."""
    orders = days[days["count_orders"] > 0].assign(gross_spend_amount=days["net_amount"])
    known = {"model": "m", "days_p50": [3.0, 9.0], "amount_p50": np.nan, "amount": np.nan}
    given = pd.DataFrame({"customer_id": ["a", "b"], **known})
    families = pd.DataFrame(columns=["customer_id", "day_date", "family"])
    figures = next_orders.judged(given, orders, families, CUT).figures.loc["m"]
    # a waited 1 day where 4 were predicted, b 90 where 10 were
    assert figures["log_days_error"] == pytest.approx((np.log(4) + np.log(9)) / 2)
    assert "log_amount_error" not in figures
    with pytest.raises(ValueError, match="1 of 2 buyers lack days_p50"):
        next_orders.judged(given.assign(days_p50=[3.0, np.nan]), orders, families, CUT)


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
    known = customers.known_customers(days, CUT)
    happened = customers.outcomes(days, known, CUT, 90)
    assert known.tolist() == ["a", "b", "c", "d"]
    assert happened["count_orders"].tolist() == [1, 2, 0, 0]
    assert happened["net_amount"].tolist() == [5, 0, 0, 0]


def test_churn_figures_by_hand(days: pd.DataFrame) -> None:
    predictions = pd.DataFrame(
        {
            "model": "m",
            "customer_id": ["a", "b", "c", "e"],
            "order_probability": [0.9, 0.4, 0.6, 0.99],
        }
    )
    figures = judge.churn(predictions, days, CUT).figures.loc["m"]
    # d is unscored and counts at the base rate, which is 0: the one customer known 90 days before
    # (d) did not order. Events: a, b. Pairs won: a>c, a>d, b>d; lost: b<c.
    assert figures["unscored"] == 1
    assert figures["auc"] == pytest.approx(3 / 4)
    brier = (0.1**2 + 0.6**2 + 0.6**2 + 0) / 4
    assert figures["brier"] == pytest.approx(brier)
    assert figures["calibration_error"] == pytest.approx((0.1 + 0.6 + 0.6 + 0) / 4)


def test_clv_figures_by_hand(days: pd.DataFrame) -> None:
    predictions = pd.DataFrame(
        {
            "model": "m",
            "customer_id": ["a", "b", "c", "d"],
            "spend": [8.0, 1.0, 0.0, 1.0],
            "spend_p50": [6.0, 0.0, 0.0, 0.0],
            "spend_p10": [0.0, 0.5, 0.0, 0.0],
            "spend_p90": [9.0, 2.0, 1.0, np.nan],
            "if_buying_p10": [6.0, 0.0, 0.0, 0.0],
            "if_buying_p90": [9.0, 9.0, 9.0, 9.0],
            "spend_probability": [0.9, 0.4, 0.0, 0.1],
        }
    )
    only_mean = predictions[["model", "customer_id", "spend"]].assign(model="mean")
    only_band = predictions.drop(columns="spend").assign(model="band")
    of_models = judge.clv(pd.concat([predictions, only_mean, only_band]), days, CUT, 90).figures
    figures = of_models.loc["m"]
    assert figures["gini"] == pytest.approx(1)
    assert figures["mae"] == pytest.approx(1 / 4)  # of the median
    assert figures["total_error"] == pytest.approx(10 / 5 - 1)  # of the mean
    assert figures["coverage"] == pytest.approx(2 / 3)  # b's 0 lies below .5; d has no band
    # only a spends: 5, which is below the band of spend if buying
    assert figures["coverage_if_buying"] == 0
    assert figures["spend_calibration"] == pytest.approx((0.1 + 0.4 + 0 + 0.1) / 4)
    # a model with a median is compared by it; without a mean it has no Gini
    assert of_models["mae_of"].to_dict() == {"m": "median", "mean": "mean", "band": "median"}
    assert of_models.loc["mean", "mae"] == pytest.approx((3 + 1 + 0 + 1) / 4)
    assert of_models.loc["band", "mae"] == pytest.approx(1 / 4)
    assert np.isnan(of_models.loc["band", "gini"])
    assert of_models.loc["band", "unscored"] == 0


def test_survival_figures_by_hand(days: pd.DataFrame) -> None:
    constant = np.exp(-0.01 * np.array(waits.DAYS))
    predictions = pd.DataFrame(
        {
            "model": "m",
            "customer_id": ["a", "b", "c", "d"],
            "wait": [1.0, 3.0, 2.0, 4.0],
            **{f"s{day}": constant[i] for i, day in enumerate(waits.DAYS)},
        }
    )
    figures = judge.survival(predictions, days, CUT, 90).figures.loc["m"]
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
    predictions = pd.concat(
        pd.DataFrame(
            {"model": "m", "product_id": product, "week_start_date": calendar,
             "mean": mean, "p10": mean - 1.5, "p50": mean, "p90": mean + 0.5}
        )
        for product, mean in (("big", 4.0), ("small", 2.0), ("rare", 9.0))
    )  # fmt: skip
    products = demand_weeks.judged(weeks, origin)
    assert products.product_ids.tolist() == ["big", "small"]
    assert products.weight == pytest.approx([240 / 300, 60 / 300])
    figures = judge.demand(predictions, weeks, origin).figures.loc["m"]
    assert figures["wrmsse"] == pytest.approx(0.8 * np.sqrt(1 / 4) + 0)
    assert figures["mase"] == pytest.approx((1 / 2 + 0) / 2)
    assert figures["total_error"] == pytest.approx(6 / 5 - 1)
    assert figures["mean_above_p90"] == 0
    assert figures["coverage"] == pytest.approx(1)  # 3 in [2.5, 4.5], 2 in [.5, 2.5]
    big = (0.1 * 0.5 + 0.5 * 1 + 0.1 * 1.5) / 3
    small = (0.1 * 1.5 + 0 + 0.1 * 0.5) / 3
    assert figures["pinball"] == pytest.approx((big / 2 + small) / 2)
    nothing = judge.demand(
        predictions[predictions["product_id"] == "big"], weeks, origin
    ).figures.loc["m"]
    assert nothing["unscored"] == 1
    assert nothing["mase"] == pytest.approx((1 / 2 + 2) / 2)  # no forecast counts as 0 units


def test_an_unknown_week_is_left_out() -> None:
    origin = pd.Timestamp("2024-01-29")
    weeks = weeks_of("p", [1, 2, 0, 2, 2, 0, *[2] * 6], 10.0)
    calendar = pd.date_range("2024-01-01", periods=12, freq="W-MON")
    predictions = pd.DataFrame(
        {"model": "m", "product_id": "p", "week_start_date": calendar[4:], "mean": 2.0,
         "p10": 2.0, "p50": 2.0, "p90": 2.0}
    )  # fmt: skip
    counted = judge.demand(predictions, weeks, origin).figures.loc["m"]
    assert counted["mase"] == pytest.approx((2 / 8) / (5 / 3))  # steps 1, -2, 2
    assert counted["coverage"] == pytest.approx(7 / 8)
    known = weeks.drop(index=[2, 5])[["product_id", "week_start_date"]]
    left_out = judge.demand(predictions, weeks, origin, known).figures.loc["m"]
    assert left_out["mase"] == 0
    assert left_out["total_error"] == pytest.approx(0)
    assert left_out["coverage"] == 1
    # the only step between two known weeks is 1
    assert demand_weeks.judged(weeks, origin, known).mean_step == pytest.approx([1.0])
    # a product with eight unknown weeks is not compared at all
    assert demand_weeks.judged(weeks, origin, known[:3]).product_ids.empty


def test_reserved_dates_and_seeds_are_nowhere_else() -> None:
    assert not {*data.CUTS, *data.YEAR_CUTS} & set(data.RESERVED_CUTS)
    assert not set(data.ORIGINS) & set(data.RESERVED_ORIGINS)
    assert not set(data.SAMPLE_SEEDS) & set(data.RESERVED_SEEDS)
    assert all(origin.weekday() == 0 for origin in (*data.ORIGINS, *data.RESERVED_ORIGINS))


def test_own_shop_is_compared_on_known_dates(tmp_path) -> None:
    own = data.dated(tmp_path, date(2022, 1, 1), date(2024, 3, 7))
    assert len(own.cuts) == data.MAX_CUTS
    assert own.cuts[-1] == date(2023, 12, 8)  # its 90 days end on 2024-03-06
    assert own.origins[-1] == date(2024, 1, 8)  # the week of 2024-03-04 is not over
    assert all((later - earlier).days == 56 for earlier, later in pairwise(own.origins))
    assert all((date(2024, 3, 7) - cut).days >= 365 for cut in own.year_cuts)


@pytest.mark.parametrize("shared", [["--shared", "/some/folder"], ["--shared=/some/folder"], []])
def test_a_figures_command_names_no_folder_of_the_machine(shared):
    arguments = ["--panel", "final", "--only=demand"]
    assert _without_folder([*arguments[:2], *shared, *arguments[2:]]) == arguments


def test_results_name_no_folder_of_a_machine():
    assert not re.findall(r"--shared\S* |`[^`]* /\w+/", RESULTS.read_text())


def segments_days() -> pd.DataFrame:
    """Two who come back for 100 a horizon, two who never do; one returns, one joins late."""
    rows = [("a", "2023-01-01", 1, 10), ("b", "2023-01-02", 1, 10)]
    rows += [("c", "2023-01-01", 1, 10), ("d", "2023-01-02", 1, 10)]
    rows += [(name, day, 1, 99.0) for name in "ab" for day in ("2023-04-01", "2023-06-20")]
    rows += [("d", "2023-06-14", 0, -10.0), ("e", "2023-06-13", 1, 10.0)]
    return days_of(*rows)


def test_segments_figures_by_hand() -> None:
    days, cut = segments_days(), pd.Timestamp("2023-06-15")
    labels = {"good": "ab", "bad": "cd"}
    whole = [
        ("ours", name, moment, label)
        for label, names in labels.items()
        for name in names
        for moment in ("before", "week", "now")
    ]
    whole += [("ours", "e", "now", "bad")]
    moved = [(*row[:3], "bad") if row[1:3] == ("b", "now") else row for row in whole]
    predictions = pd.DataFrame(
        [*whole, *(("moved", *row[1:]) for row in moved)],
        columns=["model", "customer_id", "moment", "label"],
    )
    for number in range(10):
        predictions[f"resample_{number}"] = predictions["label"].map({"good": 1, "bad": 0})
    swapped = predictions["model"].eq("moved") & predictions["customer_id"].isin(["a", "c"])
    predictions.loc[swapped, "resample_9"] = 1 - predictions.loc[swapped, "resample_9"]
    judged = judge.segments(predictions, days, cut)
    ours, other = (judged.figures.loc[name] for name in ("ours", "moved"))
    assert ours["spend_r2"] == pytest.approx(1)
    assert ours["stability"] == ours["lowest_stability"] == 1
    assert ours["weekly_change"] == 0
    assert ours["count_segments"] == 2
    assert ours["smallest_share"] == pytest.approx(2 / 5)
    # log(100) of a and b, 0 of the others; b is predicted 0
    actual = np.log([100, 100, 1, 1, 1])
    total = ((actual - actual.mean()) ** 2).sum()
    assert other["spend_r2"] == pytest.approx(1 - np.log(100) ** 2 / total)
    # two of two pairs are torn apart: the index is -1/2 (Hubert and Arabie 1985)
    assert other["lowest_stability"] == pytest.approx(-0.5)
    assert other["weekly_change"] == pytest.approx(1 / 3)  # of a, b, c: d was refunded, e is new
    draws = np.array([[1, 1, 1, 1, 1], [2, 0, 1, 2, 0]])
    drawn = np.repeat(actual, draws[1])
    miss = 1 - 0 / ((drawn - drawn.mean()) ** 2).sum()  # b was not drawn
    assert judged.measures["spend_r2"]["moved"].of(draws) == pytest.approx(
        [other["spend_r2"], miss]
    )


@pytest.mark.parametrize("question", contracts.questions())
def test_code_of_a_questions_model_is_listed(question: str) -> None:
    names = {path.name for path in code.model_code(question)}
    assert {"run.py", "question.py"} <= names


def test_a_run_of_one_part_leaves_the_other_results_as_they_are() -> None:
    head, x = "# B\n\nold\n\n# P\n\n## Wanted\n\nall\n\n## X\n\nnote\n\n", "### X: a\n\n1\n\n"
    before = f"{head}{x}### X: b\n\n2\n\n# C\n\n## Y\n\n3\n"
    new = "# B\n\nnew\n\n# P\n\n## X\n\nnote\n\n### X: b\n\n4\n\n# C\n\n## Z\n\n5\n"
    found = results.merged(before, new)
    kept = head.replace("old", "new") + x
    assert found == f"{kept}### X: b\n\n4\n\n# C\n\n## Y\n\n3\n\n## Z\n\n5\n"
    assert results.merged(before, before) == before
    assert results.merged("", new) == new


def test_the_results_are_their_own_parts() -> None:
    text = RESULTS.read_text()
    assert results.merged(text, text) == text
