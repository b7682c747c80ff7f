"""Stages: rules by brute force, planted rates that are recovered, figures by hand."""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from ml_tasks.customers import chance
from ml_tasks.customers.known import Known
from ml_tasks.stages import baselines, evaluate, figures, model, of_the_shop, rules
from ml_tasks.stages.rules import ACTIVE, AT_RISK, LOST, LOYAL, NEW, STAGES, WON_BACK, Rules
from tests.unit.planted_features import customer_stages
from tests.unit.planted_shop import PlantedShop, plant

RULES = rules.load()
START = date(2020, 1, 1)


def stage_of(order_days: list[int], day: int) -> int:
    """The stage on a day, a place in STAGES, from the days alone."""
    days_ago = sorted({day - one for one in order_days if one < day})
    return STAGES.index(customer_stages.stage_of(days_ago))


@pytest.fixture(scope="module")
def histories() -> list[list[int]]:
    random = np.random.default_rng(5)
    return [
        np.cumsum(random.exponential(scale, 12).astype(int) + 1).tolist()
        for scale in random.choice([5, 30, 90, 200, 400], 400)
    ]


def facts_of(order_days: list[int], day: int) -> dict[str, Any]:
    days = [d for d in sorted(set(order_days)) if d < day]
    gaps = np.diff(days)
    counts = {f"count_orders_{n}d": sum(d >= day - n for d in days) for n in (90, 180)}
    return {
        **counts,
        "days_since_last_order": day - days[-1],
        "days_since_first_order": day - days[0],
        "count_order_days": len(days),
        "count_order_days_275d": sum(d >= day - 275 for d in days),
        "avg_days_between_orders": gaps.mean() if len(gaps) else np.nan,
        "stage": STAGES[stage_of(order_days, day)],
        "stage_after": STAGES[stage_of(order_days, day + 90)],
        "outcome_count_orders": sum(day <= d < day + 90 for d in order_days),
    }


@pytest.fixture(scope="module")
def labelled(histories: list[list[int]]) -> pd.DataFrame:
    found = [
        facts_of(days, day)
        for days in histories
        for day in range(40, 900, 30)
        if min(days) < day < max(days) + 400
    ]
    return pd.DataFrame(found)


def test_every_stage_is_in_the_histories(labelled: pd.DataFrame) -> None:
    assert set(labelled["stage"]) == set(STAGES)
    assert len(labelled) > 3_000


def test_who_does_not_order_goes_where_the_rules_say(labelled: pd.DataFrame) -> None:
    silent = labelled[labelled["outcome_count_orders"] == 0]
    found = rules.without_order(silent, RULES)
    assert [STAGES[number] for number in found] == silent["stage_after"].tolist()


def test_what_the_rules_forbid_never_happens_and_what_happens_is_allowed(
    labelled: pd.DataFrame,
) -> None:
    allowed, moves = rules.possible(RULES), baselines.count_moves(labelled)
    assert not moves[~allowed].any()
    # as measured at a real shop: nobody is new again, at risk stays, or goes from lost to active
    assert not allowed[:, NEW].any()
    assert not allowed[AT_RISK, AT_RISK]
    assert np.flatnonzero(allowed[LOST]).tolist() == [LOST, WON_BACK]
    assert (moves[allowed] > 0).all()


def test_certain_stages_after_an_order_are_certain(labelled: pd.DataFrame) -> None:
    ordered = labelled[labelled["outcome_count_orders"] > 0]
    after = baselines.numbers(ordered["stage_after"])
    can_return, must_return = rules.return_after_order(ordered, RULES)
    assert (after[must_return] == WON_BACK).all()
    assert (after[~can_return] != WON_BACK).all()
    loyal = rules.loyal_after_order(ordered, RULES)
    assert set(after[loyal & ~can_return]) == {LOYAL}


def test_probabilities_add_up_and_keep_the_rules(labelled: pd.DataFrame) -> None:
    fitted = model.fit(labelled, RULES)
    chance = np.random.default_rng(1).random(len(labelled))
    found = fitted.predict(labelled, chance, RULES)
    assert found.sum(axis=1) == pytest.approx(np.ones(len(labelled)))
    stage = baselines.numbers(labelled["stage"])
    assert (found[~rules.possible(RULES)[stage]] == 0).all()
    silent = rules.without_order(labelled, RULES)
    assert found[np.arange(len(found)), silent] == pytest.approx(1 - chance)


def test_the_questions_left_open_are_answered_as_often_as_they_happen(
    labelled: pd.DataFrame,
) -> None:
    """A logistic regression with an intercept predicts the mean of what it was fitted to."""
    ordered = labelled[labelled["outcome_count_orders"] > 0]
    found = model.fit(labelled, RULES).predict(ordered, np.ones(len(ordered)), RULES)
    share = np.bincount(baselines.numbers(ordered["stage_after"]), minlength=6) / len(ordered)
    assert found.mean(axis=0) == pytest.approx(share, abs=0.01)


def test_rates_by_hand() -> None:
    moves = pd.DataFrame(
        {
            "stage": ["new"] * 4,
            "stage_after": ["active", "at_risk", "at_risk", "at_risk"],
            "days_since_last_order": [5, 5, 65, 65],
        }
    )
    markov = baselines.fit_markov(moves, rules.possible(RULES))
    new = np.array(markov.rates)[NEW, 0]
    # half a move is added to each of the three that are possible
    assert new[[ACTIVE, LOYAL, AT_RISK]] == pytest.approx(
        [1.5 / 5.5, 0.5 / 5.5, 3.5 / 5.5], abs=1e-5
    )
    semi = baselines.fit_semi_markov(moves, rules.possible(RULES)).predict(moves)
    assert semi[0, ACTIVE] == pytest.approx((1 + 5 * 1.5 / 5.5) / 7, abs=1e-5)
    assert semi[2, ACTIVE] == pytest.approx((0 + 5 * 1.5 / 5.5) / 7, abs=1e-5)


def test_figures_by_hand() -> None:
    probability = np.zeros((2, 6))
    probability[0, [ACTIVE, AT_RISK]] = 0.5
    probability[1, LOST] = 1.0
    found = figures.figures(np.array([AT_RISK, WON_BACK]), probability)
    assert found["log_loss"] == pytest.approx(-(np.log(0.5) + np.log(1e-4)) / 2)
    assert found["brier"] == pytest.approx((0.5 + 2) / 2)
    assert figures.figures(np.array([], dtype=int), np.zeros((0, 6))) == {}


def test_past_rates_have_wilsons_interval_with_three_dates_counted_as_one() -> None:
    moves = np.zeros((6, 6))
    moves[ACTIVE, LOYAL], moves[ACTIVE, AT_RISK] = 15, 105
    none = np.zeros(6, dtype=int)
    found = of_the_shop.transitions(moves, rules.possible(RULES), none, np.zeros((6, 6)))
    row = found.set_index(["from_stage", "to_stage"]).loc[("active", "loyal")]
    expected = stats.binomtest(5, 40).proportion_ci(method="wilson")
    assert row["past_rate_90d"] == pytest.approx(15 / 120)
    ends = (row["past_rate_90d_lower"], row["past_rate_90d_upper"])
    assert ends == pytest.approx((expected.low, expected.high))
    assert found.loc[found["from_stage"] == "new", "past_rate_90d_lower"].isna().all()


def test_stays_are_kaplan_meier() -> None:
    """Ten days with a chance of 1 in 20 a day: the median is 14, however many are cut."""
    random = np.random.default_rng(2)
    stay, watched = random.geometric(0.05, 6_000), random.integers(1, 60, 6_000)
    frame = pd.DataFrame({"duration_days": np.minimum(stay, watched), "is_left": stay <= watched})
    counted = frame.groupby("duration_days")["is_left"].agg(["sum", "size"]).reset_index()
    durations = pd.DataFrame(
        {
            "stage": "active",
            "duration_days": counted["duration_days"],
            "count_left": counted["sum"],
            "count_staying": counted["size"] - counted["sum"],
        }
    )
    rows = of_the_shop.stays(durations).set_index("stage")
    active = rows.loc["active"]
    assert active["median_days_lower"] <= 14 <= active["median_days_upper"]
    assert active["staying_rate_30d"] == pytest.approx(0.95**30, abs=0.02)
    assert np.isnan(active["staying_rate_90d"])
    assert active["count_stays"] == 6_000
    assert set(rows.loc[rows.index != "active", "score_status"]) == {"not_scored"}


def test_rules_that_the_features_are_not_made_for_are_refused() -> None:
    given = vars(RULES) | {"active_days": 60}
    with pytest.raises(rules.StageRulesError, match="active_days must be 90"):
        Rules(**given)
    with pytest.raises(rules.StageRulesError, match="new_days must be at most 90"):
        Rules(**vars(RULES) | {"new_days": 120})
    with pytest.raises(rules.StageRulesError, match="at_risk_days <= away_days"):
        Rules(**vars(RULES) | {"at_risk_days": 200})


def known_of(shop: PlantedShop, training: date) -> Known:
    """What is known of a planted shop on a date, with stages by the sentences alone."""
    by_customer = shop.orders.groupby("customer_id")["ordered_date"].agg(
        lambda days: [(day - pd.Timestamp(START)).days for day in days]
    )

    def staged(frame: pd.DataFrame) -> pd.DataFrame:
        numbers = (frame["as_of_date"] - pd.Timestamp(START)).dt.days
        facts = [
            facts_of(by_customer[customer], day)
            for customer, day in zip(frame["customer_id"], numbers, strict=True)
        ]
        names = ["count_order_days_275d", "stage", "stage_after"]
        return frame.reset_index(drop=True).join(pd.DataFrame(facts)[names])

    labelled, snapshot = shop.labelled_snapshots(training, 90), shop.snapshot(training)
    return Known.of(staged(labelled), staged(snapshot), shop.shop_days(training))


@pytest.mark.slow
def test_the_model_beats_transition_rates_where_customers_differ() -> None:
    """A planted shop: each customer has a rate of their own, which recency and counts tell."""
    shop = plant(count_customers=900, count_days=800, seed=4)
    known = known_of(shop, date(2022, 1, 1))
    tested = evaluate.evaluate(known, chance.predict_past(known, seed=1), RULES)
    assert tested.winner == evaluate.MODEL
    assert tested.is_clearly_better(evaluate.MODEL, "markov", "log_loss", "lower")
    assert tested.mean(evaluate.MODEL, "calibration_error") < 0.03


@pytest.mark.slow
def test_planted_rates_of_each_stage_are_recovered() -> None:
    """The true chance of no order, from each customer's own rate and last day, stage by stage."""
    shop = plant(count_customers=2_500, count_days=900, seed=6)
    training = date(2022, 3, 1)
    known = known_of(shop, training)
    predictions = chance.predict_past(known, seed=1)
    fitted, _ = chance.fit(known, predictions, seed=1)
    facts = known.snapshot
    found = model.fit(known.labelled, RULES).predict(facts, fitted.predict(facts), RULES)
    truth = 1 - shop.true_order_probability(facts, 90)
    stage, silent = baselines.numbers(facts["stage"]), rules.without_order(facts, RULES)
    predicted = found[np.arange(len(facts)), silent]
    for number, name in enumerate(STAGES):
        mine = stage == number
        if mine.sum() < 50:
            continue
        # the sampling error of the rates that it learnt from, doubled
        error = 2 * np.sqrt(truth[mine].mean() * (1 - truth[mine].mean()) / mine.sum()) + 0.02
        assert predicted[mine].mean() == pytest.approx(truth[mine].mean(), abs=error), name
