"""Next order: planted rhythms, amounts and families are found; closed forms; what must not be."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np
import pandas as pd
import pytest

from ml_tasks.customers.shop_days import ShopDays
from ml_tasks.evaluation.comparison import Evaluation
from ml_tasks.evaluation.figures import Figure
from ml_tasks.next_order import amount, evaluate, families, figures, inputs, lookback, run, wait
from ml_tasks.next_order.families import Shop
from ml_tasks.next_order.fitted import Methods, NextOrder
from ml_tasks.next_order.shop_time import ShopTime
from ml_tasks.question import load
from ml_tasks.trained_model import TrainedModel
from tests.unit.planted_shop import FIRST_DAY, PlantedShop

TRAINED, SCORED = date(2021, 7, 1), date(2021, 7, 10)
SPREAD = 0.5  # standard deviation of the logarithm of an order's amount
EVEN = ShopTime(ShopDays("2021-01-01", [1.0] * 400), [1.0] * 7)


def plant(customers: int = 300, seed: int = 3) -> PlantedShop:
    """Gaps of 29 to 31 days; amounts log-normal about an own median; an own family in all orders.

    Every second order also has `c`; the families a, b, d, e are each the own one of some customers.
    """
    random = np.random.default_rng(seed)
    parts = []
    for number in range(customers):
        first = int(random.integers(0, 200))
        days = first + np.cumsum(random.integers(29, 32, 18))
        own = np.exp(random.normal(4.0, 1.0))
        amounts = own * np.exp(random.normal(0, SPREAD, len(days)))
        frame = pd.DataFrame({"day": days, "amount": amounts, "own": own})
        frame["family"] = "abde"[number % 4]
        also = frame[random.random(len(frame)) < 0.5].assign(family="c", amount=0.0)
        parts.append(pd.concat([frame, also]).assign(customer_id=f"c{number:04d}"))
    orders = pd.concat(parts, ignore_index=True)
    orders["ordered_date"] = FIRST_DAY + pd.to_timedelta(orders.pop("day"), unit="D")
    orders = orders[orders["ordered_date"] < pd.Timestamp("2021-11-01")]
    truth = orders.groupby("customer_id")[["own"]].first()
    return PlantedShop(orders, truth, np.ones(1))


@pytest.fixture(scope="module")
def shop() -> PlantedShop:
    return plant()


@pytest.fixture(scope="module")
def trained(shop: PlantedShop) -> TrainedModel:
    return load("next_order").train(TRAINED, shop, 7)


@pytest.fixture(scope="module")
def scores(shop: PlantedShop, trained: TrainedModel) -> pd.DataFrame:
    rows: pd.DataFrame = load("next_order").score_shard(SCORED, trained, shop)["next_order"]
    return rows.set_index("customer_id")


def happened(shop: PlantedShop) -> pd.DataFrame:
    """First order day from SCORED on: its date and amount by customer."""
    ahead = shop.orders[shop.orders["ordered_date"] >= pd.Timestamp(SCORED)]
    first = ahead.groupby("customer_id")["ordered_date"].transform("min")
    by = ahead[ahead["ordered_date"] == first].groupby("customer_id")
    return pd.DataFrame({"day": by["ordered_date"].min(), "amount": by["amount"].sum()})


def test_a_rhythm_of_thirty_days_is_predicted_to_the_day(
    shop: PlantedShop, scores: pd.DataFrame
) -> None:
    truth = happened(shop)
    missed = (scores["next_order_date"].reindex(truth.index) - truth["day"]).dt.days.abs()
    assert missed.median() <= 1
    assert (missed <= 3).mean() > 0.9
    width = (scores["next_order_date_upper"] - scores["next_order_date_lower"]).dt.days
    assert width.median() <= 10  # the constant's interval of 80 % is 24 days wide


def test_planted_amounts_have_known_median_mean_and_interval(
    shop: PlantedShop, scores: pd.DataFrame
) -> None:
    own = shop.customers["own"].reindex(scores.index)
    median = (scores["next_order_amount_p50"] / own).map(np.log)
    assert abs(median.median()) < 0.05
    # a customer's median is known to SPREAD / sqrt(14 to 18 orders), .13
    assert median.std() < 0.2
    total = scores["next_order_amount"].sum() / (own * np.exp(SPREAD**2 / 2)).sum()
    assert total == pytest.approx(1, abs=0.1)
    amounts = happened(shop)["amount"]
    scores = scores.reindex(amounts.index)
    lower, upper = scores["next_order_amount_lower"], scores["next_order_amount_upper"]
    assert ((lower <= amounts) & (amounts <= upper)).mean() == pytest.approx(0.8, abs=0.07)


def test_planted_families_come_first_with_their_chances(
    shop: PlantedShop, scores: pd.DataFrame
) -> None:
    own = shop.orders[shop.orders["family"] != "c"].groupby("customer_id")["family"].first()
    assert (scores["next_order_family"] == own.reindex(scores.index)).mean() > 0.97
    chances = pd.DataFrame(scores["next_order_family_probabilities"].tolist())
    assert chances[0].mean() == pytest.approx(1.0, abs=0.03)
    assert (scores["next_order_families"].str[1] == "c").mean() > 0.97
    assert chances[1].mean() == pytest.approx(0.5, abs=0.06)
    assert chances[2].mean() < 0.05


def test_no_row_is_beyond_the_horizon_or_negative_or_of_another_shop(
    scores: pd.DataFrame,
) -> None:
    low, middle, high = (scores[f"next_order_date{ending}"] for ending in ("_lower", "", "_upper"))
    first, last = pd.Timestamp(SCORED), pd.Timestamp(SCORED) + pd.Timedelta(days=89)
    assert ((first <= low) & (low <= middle) & (middle <= high) & (high <= last)).all()
    low, middle, high, mean = (
        scores[f"next_order_amount{ending}"] for ending in ("_lower", "_p50", "_upper", "")
    )
    assert ((low > 0) & (low <= middle) & (middle <= high) & (mean > 0)).all()
    assert {name for names in scores["next_order_families"] for name in names} <= set("abcde")
    assert scores["next_order_families"].str.len().eq(3).all()


def test_scores_do_not_depend_on_who_else_is_scored(
    shop: PlantedShop, trained: TrainedModel, scores: pd.DataFrame
) -> None:
    facts = inputs.facts(SCORED, shop)
    facts = facts.assign(days_watched=facts["days_since_first_order"].max())
    model = NextOrder.restored(trained.parameters, trained.artefacts)
    alone = pd.concat(
        run.as_rows(model, facts.iloc[k : k + 1], SCORED, np.array([np.nan])) for k in range(40)
    )
    columns = [name for name in scores if str(name).startswith("next_order")]
    pd.testing.assert_frame_equal(
        alone.set_index("customer_id")[columns], scores[columns].iloc[:40], check_dtype=False
    )


class ScoredShop(PlantedShop):
    """A shop whose survival question has scored, but for its last customer."""

    def scores(self, question: str, as_of_date: date) -> pd.DataFrame:
        assert (question, as_of_date) == ("survival", SCORED)
        ids = self.snapshot(as_of_date)["customer_id"].sort_values(ascending=False)[1:]
        return pd.DataFrame({"customer_id": ids, "order_probability_90d": chance_of(ids)})


def chance_of(customer_ids: pd.Series) -> pd.Series:
    return customer_ids.str[1:].astype(float) / 1_000


def test_the_chance_is_survival_s_and_null_where_survival_has_none(
    shop: PlantedShop, trained: TrainedModel
) -> None:
    scored = ScoredShop(shop.orders, shop.customers, shop.season)
    rows = load("next_order").score_shard(SCORED, trained, scored)["next_order"]
    rows = rows.sort_values("customer_id")
    found = rows["order_probability_90d"]
    assert found.iloc[:-1].tolist() == chance_of(rows["customer_id"]).iloc[:-1].tolist()
    assert pd.isna(found.iloc[-1])


def test_without_families_the_rest_stands(shop: PlantedShop) -> None:
    plain = replace(shop, orders=shop.orders.assign(family=None))
    question = load("next_order")
    rows = question.score_shard(SCORED, question.train(TRAINED, plain, 7), plain)["next_order"]
    assert (rows["next_order_families_note"] == run.NO_FAMILIES).all()
    assert rows["next_order_families"].isna().all()
    assert rows["next_order_date"].notna().all()
    assert (rows["score_status"] == "scored").all()


# Shop time ------------------------------------------------------------------------------------


def test_shop_time_is_stored_as_homes_have_it() -> None:
    stored = {"first_day": "2021-03-01", "speeds": [1.0, 2.0], "weekdays": [1.0] * 7}
    assert ShopTime.restored(stored).parameters() == stored


def test_in_an_even_shop_shop_time_is_days() -> None:
    day = pd.Timestamp("2021-03-01")
    assert EVEN.passed(day) == pytest.approx(np.arange(91))
    days = np.arange(90)
    dates = pd.Series([day] * 90)
    assert EVEN.of_days(dates, days) == pytest.approx(days + 0.5)
    assert EVEN.to_days(day, EVEN.of_days(dates, days)).tolist() == days.tolist()
    assert EVEN.to_days(day, np.array([-1.0, 90.0, 1e9])).tolist() == [0, 89, 89]


def test_a_shop_twice_as_fast_has_half_the_days() -> None:
    """45 slow days, then 45 at double speed: a third and two thirds of the shop time."""
    time = ShopTime(ShopDays("2021-03-01", [1.0] * 45 + [2.0] * 45), [1.0] * 7)
    assert time.passed(pd.Timestamp("2021-03-01"))[45] == pytest.approx(30)
    assert time.to_days(pd.Timestamp("2021-03-01"), np.array([29.9, 60.1])).tolist() == [44, 67]


def test_no_order_is_expected_on_a_day_that_the_shop_is_shut() -> None:
    time = ShopTime(ShopDays("2021-03-01", [1.0] * 90), [1.4, 1.4, 1.4, 1.4, 1.4, 0.0, 0.0])
    day = pd.Timestamp("2021-03-01")  # a Monday
    found = time.to_days(day, np.linspace(0, 89.99, 1_000))
    assert set(found % 7) == {0, 1, 2, 3, 4}


# Parts ----------------------------------------------------------------------------------------


def test_seasons_weigh_by_the_day_of_the_year() -> None:
    dates = pd.Series(pd.to_datetime(["2022-06-01", "2021-06-01", "2021-12-01", "2022-05-02"]))
    found = inputs.season_weights(dates, pd.Timestamp("2022-06-01"))
    assert found == pytest.approx([1.1, 1.1, 0.1, 0.1 + np.exp(-0.5)], abs=1e-4)


def dates_of(shop: PlantedShop, customer_id: str) -> pd.Series:
    is_own = (shop.orders["customer_id"] == customer_id) & (
        shop.orders["ordered_date"] < pd.Timestamp(SCORED)
    )
    return shop.orders.loc[is_own, "ordered_date"]


def facts_of(**columns: list[object]) -> pd.DataFrame:
    """Facts of one date, 2024-06-01, of two customers: lists of two."""
    return pd.DataFrame({"as_of_date": pd.Timestamp("2024-06-01"), **columns})


TWO = facts_of(
    count_order_days_730d=[4, 0],
    days_since_last_order=[10, 800],
    families=[["a", "c"], []],
    family_order_days=[[3, 1], []],
    family_days_since=[[10, 40], []],
    family_products=[[9, 2], []],
    family_last_products=[[5, 2], []],
)


def test_features_by_hand() -> None:
    """The second customer's last order is older than the window: no share of her own, no zero."""
    shop = Shop(["a", "b", "c"], [0.5, 0.1, 0.2], [0.6, 0.2, 0.3], [0.7, None, 0.4])
    table = families.features(TWO, shop).reshape(2, 3, families.COUNT_FEATURES)
    nan = np.nan
    first_a = [(3 + 1.5) / 7, 3, 9, 9 / 4, 5, 0, 10, 10, 4, 11 / 4, 0.5, 0.6, 0.7]
    first_b = [0.3 / 7, 0, 0, 0, 0, nan, nan, 10, 4, 11 / 4, 0.1, 0.2, nan]
    first_c = [(1 + 0.6) / 7, 1, 2, 2 / 4, 0, 30, 40, 10, 4, 11 / 4, 0.2, 0.3, 0.4]
    second_a = [0.5, 0, 0, 0, 0, nan, nan, 800, 0, 0, 0.5, 0.6, 0.7]
    assert table[0, 0] == pytest.approx(first_a)
    assert table[0, 1] == pytest.approx(first_b, nan_ok=True)
    assert table[0, 2] == pytest.approx(first_c)
    assert table[1, 0] == pytest.approx(second_a, nan_ok=True)


def test_what_a_shop_orders_by_hand() -> None:
    """Three of four order days had `a`, the last one too; of a year ago the nearest date counts."""
    past = pd.DataFrame(
        {
            "as_of_date": pd.to_datetime(["2023-06-01", "2023-06-01", "2023-05-20", "2022-06-01"]),
            "days_to_order": [3.0, 8.0, 1.0, 1.0],
            "families": [["a"], ["a", "b"], ["c"], ["c"]],
            "next_families": [["a"], ["b"], ["c"], ["c"]],
        }
    )
    found = families.shop_of(TWO, past)
    assert found.families == ["a", "c"]
    assert found.share == [0.75, 0.25]
    assert found.recent == [1.0, 0.0]
    assert found.season == [0.5, None]  # nobody had `c` then, so it is not known to have been rare
    assert families.shop_of(TWO, past[past["as_of_date"].dt.year == 2022]).season == [None, None]


def test_trees_learn_from_every_family(monkeypatch: pytest.MonkeyPatch) -> None:
    """A row is a customer and a family. A sample of the buyers keeps all of their families."""
    rows = 40
    one = {
        "families": ["a", "b"], "family_order_days": [1, 1], "family_days_since": [9, 9],
        "family_products": [1, 1], "family_last_products": [1, 1],
        "count_order_days_730d": 1, "days_since_last_order": 9, "days_to_order": 5.0,
        "next_families": ["b"],
    }  # fmt: skip
    past = pd.DataFrame([one] * rows).assign(as_of_date=pd.Timestamp("2023-06-01"))
    seen = []
    monkeypatch.setattr(families, "MAX_BUYERS", 10)
    monkeypatch.setattr(
        families.trees, "fit_rows", lambda table, happened, *_, **__: seen.append(happened) or b""
    )
    families.fit(families.TREES, past, past, 7)
    assert seen[0].reshape(-1, 2).tolist() == [[0.0, 1.0]] * 10


def test_own_share_and_features_are_those_of_a_naive_count(shop: PlantedShop) -> None:
    facts = inputs.facts(SCORED, shop).iloc[:60]
    all_of = Shop(list("abcdxyz"), [0.25, 0.25, 0.5, 0.25, 0, 0, 0], [0.1] * 7, [None] * 7)
    table = families.features(facts, all_of).reshape(60, 7, families.COUNT_FEATURES)
    for row, (_, one) in enumerate(facts.iterrows()):
        for column, name in enumerate(all_of.families):
            place = one["families"].index(name) if name in one["families"] else None
            count = one["family_order_days"][place] if place is not None else 0
            days = len(set(dates_of(shop, one["customer_id"])))
            share = (count + 3 * all_of.share[column]) / (days + 3)
            assert table[row, column, 0] == pytest.approx(min(share, 1))
            assert table[row, column, 1] == count


def test_figures_by_hand() -> None:
    predicted = pd.DataFrame({"days_p50": [0, 9], "days_lower": [0, 10], "days_upper": [5, 20]})
    found = figures.of_wait(np.array([3.0, 9.0]), predicted)
    assert found["log_days_error"] == pytest.approx(np.log(4) / 2)
    assert found["date_coverage"] == 0.5
    of_amount = pd.DataFrame(
        {
            "amount": [30.0, 10.0],
            "amount_p50": [20.0, 5.0],
            "amount_lower": 1.0,
            "amount_upper": 15.0,
        }
    )
    found = figures.of_amount(np.array([10.0, 10.0]), of_amount)
    assert found["log_amount_error"] == pytest.approx(np.log(2))
    assert found["total_error"] == pytest.approx(1.0)
    assert found["amount_coverage"] == 1.0
    assert figures.of_wait(np.empty(0), predicted[:0]) == {}
    chances, happened_ = np.array([[0.9, 0.1, 0.5, 0.2]]), np.array([[1.0, 1.0, 0.0, 1.0]])
    assert families.precision(chances, happened_).tolist() == pytest.approx([2 / 3])


def test_how_predictions_turned_out_by_hand() -> None:
    """Of four customers two ordered: on the date itself as predicted, and 9 days later."""
    rows = pd.DataFrame(
        {
            "happened_days": [1.0, 10.0, np.nan, np.nan],  # survival's count: 1 for the date itself
            "days_p50": [0, 4, 3, 3], "days_lower": [0, 1, 0, 0], "days_upper": [5, 8, 9, 9],
            "order_day_amount": [10.0, 10.0, np.nan, np.nan],
            "next_order_amount": [12.0, 14.0, 99.0, 99.0],
            "next_order_amount_p50": [10.0, 5.0, 1.0, 1.0],
            "next_order_amount_lower": 8.0, "next_order_amount_upper": 11.0,
            "order_probability_90d": [0.9, 0.5, 0.1, 0.1],
        }
    )  # fmt: skip
    found = lookback.figures(rows)
    assert found["log_days_error"] == pytest.approx((0 + np.log(10 / 5)) / 2)
    assert found["days_error"] == pytest.approx(2.5)
    assert found["date_coverage"] == 0.5
    assert found["log_amount_error"] == pytest.approx(np.log(2) / 2)
    assert found["predicted_total_amount"] == 26.0
    assert found["total_error"] == pytest.approx(26 / 20 - 1)
    assert found["bias_rate"] == pytest.approx(0.4 / 0.5 - 1)
    unknown = rows.assign(order_probability_90d=[0.9, 0.5, 0.1, np.nan])
    assert "bias_rate" not in lookback.figures(unknown)
    assert lookback.figures(rows[:0]) == {}


def contest(better: str) -> Evaluation:
    """Three cuts on which one method of each part is far better than the rest."""
    rows = []
    for part, (tree, baselines, metric, _) in evaluate.PARTS.items():
        for cut in ("2024-01-01", "2024-04-01", "2024-07-01"):
            for name in (tree, *baselines):
                good = name == better
                value = (0.9 if good else 0.3) if part == "families" else (0.3 if good else 0.9)
                rows.append(Figure(cut, name, "all", metric, value, 100))
    return Evaluation(tuple(rows))


def test_a_baseline_that_is_clearly_better_is_published_and_a_tie_is_not() -> None:
    tested, methods = evaluate.decide(contest(wait.OWN_GAP))
    assert methods == Methods(wait=wait.OWN_GAP)
    assert tested.mean(evaluate.MODEL, "log_days_error") == pytest.approx(0.3)
    assert tested.mean(evaluate.MODEL, "log_amount_error") == pytest.approx(0.9)
    assert "wait_trees gives way to own_median_gap" in tested.decision
    assert evaluate.decide(contest("none"))[1] == Methods()
    assert evaluate.decide(contest(amount.OWN_MEAN))[1].amount == amount.OWN_MEAN


def test_a_part_without_a_past_date_is_said_to_be_untested() -> None:
    whole = contest("none")
    figures_ = tuple(row for row in whole.figures if row.metric != "precision_at_3")
    tested, methods = evaluate.decide(Evaluation(figures_))
    assert methods == Methods()
    assert "no past date to test family_trees on" in tested.decision
    assert "nan" not in tested.decision


@pytest.mark.parametrize("method", [wait.MEDIAN, wait.OWN_GAP])
def test_baselines_of_the_date_are_what_they_are_named_for(shop: PlantedShop, method: str) -> None:
    past = inputs.past_facts(TRAINED, shop)
    fitted = wait.fit(method, past, EVEN, 7)
    facts = inputs.facts(TRAINED, shop)
    found = fitted.predict(facts, pd.Timestamp(TRAINED))["days_p50"]
    ordered = inputs.buyers(past)
    median = float((ordered["days_to_order"] + 0.5).median())
    gap = facts["median_days_between_orders"] - facts["days_since_last_order"]
    expected = pd.Series(int(median), facts.index)
    if method == wait.OWN_GAP:
        expected = expected.where(~(gap >= 0), gap.round())
    assert (found - expected).abs().max() <= 1
