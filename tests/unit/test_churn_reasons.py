"""Reasons for churn agree with a person's: properties, and twenty customers by hand."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd
import pytest

from ml_tasks.churn import profile, reasons, run, words
from ml_tasks.churn.baselines import BASELINES
from ml_tasks.churn.evaluate import MODEL
from ml_tasks.customers import chance
from ml_tasks.customers.known import Known
from ml_tasks.engine.contract_check import checked
from perennial import contracts
from tests.unit.planted_shop import PlantedShop, plant, snapshot

TRAINING_DATE = date(2021, 12, 1)
SCORED_DATE = pd.Timestamp("2021-12-10")
TABLE = contracts.load("churn").table("churn_reasons")
MODELS = (MODEL, *BASELINES)


@pytest.fixture(scope="module")
def shop():
    return plant(count_customers=900, count_days=830, seed=3, season_strength=0.5)


@pytest.fixture(scope="module")
def fitted(shop):
    """Each model that may be published, and its usual customer."""
    labelled, now = shop.labelled_snapshots(TRAINING_DATE, 90), shop.snapshot(TRAINING_DATE)
    known = Known.of(labelled, now, shop.shop_days(TRAINING_DATE))
    models = {name: fit(known) for name, fit in BASELINES.items()}
    models[MODEL] = chance.fit(known, chance.predict_past(known, 1), 1)[0]
    return {name: (model, reasons.usual_of(model, now)) for name, model in models.items()}


def with_customers(shop: PlantedShop, days_ago: dict[str, list[int]]) -> pd.DataFrame:
    """The shop's snapshot with invented customers, given by their orders' days before the date."""
    orders = [
        {"customer_id": key, "amount": 20.0, "ordered_date": SCORED_DATE - pd.Timedelta(days=day)}
        for key, days in days_ago.items()
        for day in days
    ]
    return snapshot(pd.concat([shop.orders, pd.DataFrame(orders)]), SCORED_DATE)


def codes_of(fitted, name: str, frame: pd.DataFrame, keys) -> dict[str, list[str]]:
    """Reason codes of each customer, by rank."""
    why = reasons.reasons(*fitted[name], frame)
    return {key: list(why.loc[why["customer_id"] == key, "reason_code"]) for key in keys}


# Customers of this shop stay 300 days and order every 33. Each entry: the orders' days before the
# date, and the reasons that a person would give, the first one first.
TWENTY = {
    "weekly, for two years, last week": (range(5, 700, 7), ["orders_often", "recent_order"]),
    "weekly, and gone half a year": (range(180, 700, 7), ["long_silence", "orders_often"]),
    "weekly, and gone for a year": (range(365, 700, 7), ["long_silence", "orders_often"]),
    "fortnightly, last week": (range(6, 500, 14), ["orders_often", "recent_order"]),
    "fortnightly, gone three months": (range(95, 500, 14), ["long_silence", "orders_often"]),
    "monthly, last week": (range(4, 600, 30), ["orders_often", "recent_order"]),
    "monthly, gone half a year": (range(190, 600, 30), ["long_silence", "orders_often"]),
    "monthly, gone for a year": (range(380, 600, 30), ["long_silence", "orders_often"]),
    "every two months, three weeks ago": (range(20, 500, 60), ["recent_order", "orders_often"]),
    "every two months, gone for a year": (range(380, 700, 60), ["long_silence", "orders_often"]),
    "once, yesterday": ([1], ["one_order_only", "recent_order"]),
    "once, last week": ([7], ["one_order_only", "recent_order"]),
    "once, half a year ago": ([180], ["long_silence", "one_order_only"]),
    "once, a year ago": ([365], ["long_silence", "one_order_only"]),
    "once, two years ago": ([700], ["long_silence", "one_order_only"]),
    "twice, far apart, the second a year ago": ([365, 600], ["long_silence", "orders_rarely"]),
    "twice, far apart, the second last week": ([7, 300], ["recent_order", "orders_rarely"]),
    "three orders in a month, two years ago": ([680, 690, 700], ["long_silence"]),
    "five orders in a month, last week": ([5, 12, 20, 28, 33], ["orders_often", "recent_order"]),
    "thirty orders, the last of them 100 days ago": (
        range(100, 700, 20), ["long_silence", "orders_often"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_twenty_customers_have_the_reasons_that_a_person_would_give(shop, fitted, name):
    days = {key: list(days) for key, (days, _) in TWENTY.items()}
    found = codes_of(fitted, name, with_customers(shop, days), days)
    wrong = {
        key: (found[key], expected)
        for key, (_, expected) in TWENTY.items()
        if not set(found[key]) <= {*expected, words.AS_USUAL} or expected[0] not in found[key]
    }
    if name == MODEL:
        assert wrong == {}
    # the baselines know less: their reasons must be among these, but need not include the first
    contradicted = {key: two for key, two in wrong.items() if not set(two[0]) <= set(two[1])}
    assert {k: v for k, v in contradicted.items() if v[0] != [words.AS_USUAL]} == {}


@pytest.mark.parametrize("name", MODELS)
def test_a_longer_silence_never_reads_as_lowering_the_risk(shop, fitted, name):
    patterns = {"once": [0], "weekly": [*range(0, 140, 7)], "rare": [0, 90, 180], "burst": [0, 3]}
    delays = range(1, 400, 8)
    days = {
        f"{kind}, {delay} days": [day + delay for day in pattern]
        for kind, pattern in patterns.items()
        for delay in delays
    }
    found = codes_of(fitted, name, with_customers(shop, days), days)
    for kind in patterns:
        series = [found[f"{kind}, {delay} days"] for delay in delays]
        first_raised = next(i for i, codes in enumerate(series) if "long_silence" in codes)
        assert not any("recent_order" in codes for codes in series[first_raised:]), kind
        assert "long_silence" in series[-1], kind


@pytest.mark.parametrize("name", MODELS)
def test_more_and_more_recent_orders_never_read_as_raising_the_risk(shop, fitted, name):
    draw = np.random.default_rng(5)
    patterns = {
        f"customer {number}": sorted(set(draw.integers(20, 700, draw.integers(1, 15)).tolist()))
        for number in range(120)
    }
    again = {f"{key} again": [1, *days] for key, days in patterns.items()}
    found = codes_of(fitted, name, with_customers(shop, patterns | again), patterns | again)
    of_orders = {c for c, code in words.CODES.items() if code.group in ("silence", "frequency")}
    raising = {code for code in of_orders if words.CODES[code].is_raising}
    usual = fitted[name][1]["count_order_days"]
    for key, days in patterns.items():
        before, after = (raising & set(found[k]) for k in (key, f"{key} again"))
        assert "long_silence" not in after, key
        if len(days) + 1 > usual:
            assert not after, (key, after)
        # a customer with fewer orders than usual may get even fewer, and had that reason before
        assert after <= {"one_order_only", "orders_rarely"}, (key, before, after)


def test_no_order_above_the_usual_count_is_a_reason_against_a_customer(shop, fitted):
    for name in MODELS:
        frame = shop.snapshot(SCORED_DATE)
        model, usual = fitted[name]
        why = reasons.reasons(model, usual, frame).merge(
            frame[["customer_id", "count_orders", "days_since_last_order"]], on="customer_id"
        )
        against = why[why["reason_code"].isin(["one_order_only", "orders_rarely"])]
        assert (against["count_orders"] <= usual["count_order_days"]).all()
        is_raising = why["reason"].str.endswith("raises the risk")
        is_lowering = why["reason"].str.endswith("lowers the risk")
        assert (why.loc[is_raising, "contribution_log_odds"] >= reasons.MIN_CONTRIBUTION).all()
        assert (why.loc[is_lowering, "contribution_log_odds"] <= -reasons.MIN_CONTRIBUTION).all()
        assert (is_raising | is_lowering | (why["reason_code"] == words.AS_USUAL)).all()


@pytest.mark.parametrize("name", MODELS)
def test_contributions_add_up_to_the_published_log_odds(shop, fitted, name):
    model, usual = fitted[name]
    frame = shop.snapshot(SCORED_DATE)
    frame = frame.assign(days_watched=frame["days_since_first_order"].max())
    ((_, by_group),) = reasons.contributions(model, usual, frame)
    assert list(by_group) == list(profile.GROUPS)
    chance = np.clip(model.predict(frame), 1e-5, 1 - 1e-5)
    rest = np.log((1 - chance) / chance) - by_group.sum(axis=1).to_numpy()
    assert np.ptp(rest) < 1e-6
    # the rest is the usual customer's part, and what most customers share
    shared = sum(value for key, value in usual.items() if key.startswith("shared_"))
    nobody = model.predict(profile.mixed(frame.head(1), usual, ()))
    assert rest[0] == pytest.approx(float(np.log((1 - nobody) / nobody)[0]) + shared)


def test_a_usual_customer_has_the_reason_as_usual():
    """A model of orders only: equal customers have no reason."""

    class Flat:
        def predict(self, frame):
            return np.full(len(frame), 0.3)

    days = pd.DataFrame({"customer_id": ["a", "b"], "amount": 5.0, "ordered_date": SCORED_DATE})
    days["ordered_date"] -= pd.Timedelta(days=9)
    frame = snapshot(days, SCORED_DATE)
    why = reasons.reasons(Flat(), reasons.usual_of(Flat(), frame), frame)
    assert list(why["reason_code"]) == [words.AS_USUAL] * 2
    assert list(why["contribution_log_odds"]) == [0.0, 0.0]
    assert why[["feature", "feature_value", "usual_value"]].isna().all(axis=None)


def test_what_three_in_four_share_is_no_reason():
    """Most customers ordered once, long ago, so that is no reason for any of them."""

    class SilenceAlone:
        def predict(self, frame):
            return 1 / (1 + np.exp(0.01 * frame["days_since_last_order"].to_numpy(dtype=float)))

    ago = [400] * 90 + [10] * 10
    orders = pd.DataFrame({"customer_id": [f"c{n:03d}" for n in range(100)], "amount": 5.0})
    orders["ordered_date"] = [SCORED_DATE - pd.Timedelta(days=day) for day in ago]
    frame = snapshot(orders, SCORED_DATE)
    model = SilenceAlone()
    why = reasons.reasons(model, reasons.usual_of(model, frame), frame)
    assert list(why["reason_code"]) == [words.AS_USUAL] * 90 + ["recent_order"] * 10


def test_a_group_that_is_all_own_is_the_customer_and_one_that_is_all_usual_is_the_same(shop):
    frame = shop.snapshot(SCORED_DATE)
    frame = frame.assign(days_watched=frame["days_since_first_order"].max())
    usual = profile.usual_of(frame)
    own = profile.mixed(frame, usual, profile.GROUPS)
    pd.testing.assert_frame_equal(own, frame)
    nobody = profile.mixed(frame, usual, ()).drop(columns=["customer_id", "country"])
    read = [c for c in nobody if c not in ("gross_spend_amount",)]
    assert (nobody[read].nunique() <= 1).all()
    on_rhythm = profile.mixed(frame, usual, set(profile.GROUPS) - {"silence"})
    expected = profile.rhythm_days(frame, usual)
    assert on_rhythm["days_since_last_order"].to_numpy() == pytest.approx(expected)
    for short, long in ((30, 90), (90, 180), (180, 365)):
        counts = on_rhythm[f"count_orders_{short}d"], on_rhythm[f"count_orders_{long}d"]
        assert (counts[0] <= counts[1] + 1e-9).mean() > 0.95


@pytest.mark.parametrize(
    ("days_ago", "code", "reason", "usual_value"),
    [
        ([140], "long_silence",
         "only order 140 days ago, a second one usually takes 40 days: raises the risk", 40),
        ([120, 150, 180], "long_silence",
         "last order 120 days ago, the next one usually takes them 35 days: raises the risk", 35),
        ([1], "recent_order",
         "only order 1 day ago, a second one usually takes 40 days: lowers the risk", 40),
        ([5], "one_order_only", "1 order so far (3 usual in the shop): raises the risk", 3),
        ([5, 300], "orders_rarely",
         "2 orders so far (3 usual in the shop), about one in 125 days (40 usual in the shop): "
         "raises the risk", 3),
        ([1, 11, 21, 31, 41], "orders_often",
         "5 orders so far (3 usual in the shop), about one in 20 days (40 usual in the shop): "
         "lowers the risk", 3),
        ([1], "spends_little", "20.00 an order (30.00 usual in the shop): raises the risk", 30),
        ([1], "returns_much", "7.50 refunded in the last year: raises the risk", 0),
        ([1], "first_order_of_stayers",
         "first order of 20.00 (25.00 usual in the shop): lowers the risk", 25),
        ([1, 400], "not_in_this_season",
         "no order in the same 90 days last year: raises the risk", 0),
        ([1, 300], "in_this_season",
         "1 order in the same 90 days last year: lowers the risk", 0),
    ],
)  # fmt: skip
def test_a_reason_in_words(shop, days_ago, code, reason, usual_value):
    frame = with_customers(shop, {"who": days_ago}).query("customer_id == 'who'")
    usual = {
        **profile.usual_of(frame), "gap_days": 40.0, "count_order_days": 3.0,
        "avg_order_amount": 30.0, "first_order_amount": 25.0, "refund_amount_365d": 0.0,
        "count_orders_season_last_year": 0.0,
    }  # fmt: skip
    facts = words.facts(frame.assign(refund_amount_365d=7.5), usual)
    known = words.CODES[code]
    raising = np.full((1, len(profile.GROUPS)), known.is_raising)
    assert words.codes(facts, raising)[0, profile.GROUPS.index(known.group)] == code
    described = words.described(facts, np.array([code], dtype=object))
    assert described["reason"].tolist() == [reason]
    assert described["usual_value"].tolist() == [usual_value]


def test_codes_are_those_of_the_contract_and_every_group_has_both_or_one_side():
    (column,) = [column for column in TABLE.columns if column.name == "reason_code"]
    assert set(column.values) == {*words.CODES, words.AS_USUAL}
    sides = {(code.group, code.is_raising) for code in words.CODES.values()}
    assert sides == {(g, s) for g in profile.GROUPS for s in (True, False)} - {("returns", False)}


def test_parts_make_the_whole_and_agree_with_the_scores(shop, fitted, monkeypatch):
    model, usual = fitted[MODEL]
    frame = shop.snapshot(SCORED_DATE)
    whole = reasons.reasons(model, usual, frame)
    checked(whole.assign(score_status="scored", score_reason=None), TABLE)
    monkeypatch.setattr(reasons, "CHUNK_ROWS", 100)
    pd.testing.assert_frame_equal(reasons.reasons(model, usual, frame), whole)
    trained = run.QUESTION.train(TRAINING_DATE, shop, seed=1)
    frames = run.QUESTION.score(SCORED_DATE.date(), trained, shop)
    first = frames["churn_reasons"].query("reason_rank == 1")
    assert list(first["reason"]) == list(frames["churn"]["reason_1"])
    assert list(first["reason_code"]) == list(frames["churn"]["reason_code_1"])
    count = frames["churn_reasons"].groupby("customer_id")["reason_rank"].agg(["size", "max"])
    assert (count["size"] == count["max"]).all()
