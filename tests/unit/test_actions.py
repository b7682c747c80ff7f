"""Actions: gains by hand, budget and turns, planted effects recovered, no false alarms."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from ml_tasks.actions import catalogue as catalogues
from ml_tasks.actions import effects, gains, run
from ml_tasks.actions.catalogue import ANY, LEAVE_ALONE, CatalogueError
from ml_tasks.evaluation.held_out import CANNOT_TELL, HELPS

CATALOGUE = catalogues.load()
PRIORS = {action.action: action.effect for action in CATALOGUE.actions}


def customers(**columns: Any) -> pd.DataFrame:
    usual = {
        "stage": "at_risk",
        "count_orders": 3,
        "days_since_last_order": 120,
        "avg_order_amount": 50.0,
        "order_probability": 0.4,
        "expected_spend_amount": 100.0,
    }
    count = len(next(iter(columns.values())))
    frame = pd.DataFrame(usual, index=range(count)).assign(**columns)
    return frame.assign(customer_id=[f"c{number:05d}" for number in range(count)])


def test_a_gain_by_hand() -> None:
    found = gains.best(customers(stage=["at_risk"]), CATALOGUE, PRIORS).iloc[0]
    # save: spend 100 x .6 x effect .2 x margin .35, less .05 and 5 % of 50 with a chance of .4
    assert found["best_action"] == "save"
    assert found["cost_amount"] == pytest.approx(0.05 + 0.05 * 50 * 0.4)
    assert found["expected_gain_amount"] == pytest.approx(100 * 0.6 * 0.2 * 0.35 - 1.05)
    half = stats.norm.ppf(0.9) * 0.2 * 100 * 0.6 * 0.35
    assert found["expected_gain_amount_upper"] == pytest.approx(
        found["expected_gain_amount"] + half, rel=1e-5
    )


def test_the_gain_is_what_a_shift_of_the_log_odds_adds() -> None:
    """The same from the logistic function itself, for small effects."""
    chance, spend, effect = 0.3, 80.0, 0.01
    raised = 1 / (1 + np.exp(-(np.log(chance / (1 - chance)) + effect)))
    frame = customers(order_probability=[chance], expected_spend_amount=[spend])
    added = gains._changeable(frame)[0] * effect
    assert added == pytest.approx(spend / chance * (raised - chance), rel=0.01)


def test_who_is_sure_or_gone_is_left_alone() -> None:
    frame = customers(
        stage=["loyal", "lost", "lost", "new"],
        order_probability=[0.9999, 0.001, 0.2, 0.3],
        expected_spend_amount=[500.0, 0.02, 60.0, 40.0],
        days_since_last_order=[5, 400, 900, 10],
        count_orders=[30, 2, 2, 1],
    )
    found = gains.best(frame, CATALOGUE, PRIORS)
    assert found["best_action"].tolist() == [LEAVE_ALONE] * 3 + ["second_order_nudge"]
    assert found["why_not"].tolist() == [
        gains.COSTS_MORE, gains.COSTS_MORE, gains.NO_ACTION_FITS, None,
    ]  # fmt: skip


def test_of_the_first_hundred_nobody_is_long_gone() -> None:
    """Customers as a probability model sees them: the longer silent, the smaller the chance."""
    random = np.random.default_rng(1)
    count = 5_000
    silent = random.exponential(250, count).astype(int) + 1
    chance = np.clip(random.beta(2, 2, count) * np.exp(-silent / 150), 1e-4, 1)
    stage = np.select([silent <= 90, silent <= 180], ["active", "at_risk"], "lost")
    amount = random.lognormal(3.5, 1, count)
    frame = customers(
        stage=stage,
        days_since_last_order=silent,
        order_probability=chance,
        avg_order_amount=amount,
        expected_spend_amount=amount * chance * 1.5,
    )
    found = gains.best(frame, CATALOGUE, PRIORS)
    first = found.sort_values("expected_gain_amount", ascending=False).head(100).index
    assert frame.loc[first, "days_since_last_order"].max() <= 365
    assert (silent > 540).sum() > 500


def test_a_turn_comes_once_in_28_days_for_everybody() -> None:
    ids = pd.Series([f"c{number}" for number in range(3_000)])
    days = np.array([gains.turn_in_days(ids, day, 28) for day in range(20_000, 20_056)])
    assert ((days == 0).sum(axis=0) == 2).all()
    assert (days >= 0).all()
    assert (days[1:] == (days[:-1] - 1) % 28).all()
    per_day = (days == 0).sum(axis=1)[:28]
    assert stats.chisquare(per_day).pvalue > 0.001


def test_a_tenth_is_held_out_on_every_date() -> None:
    ids = pd.Series([f"c{number}" for number in range(20_000)])
    held_out = gains.is_held_out(ids, 0.1)
    assert stats.binomtest(int(held_out.sum()), len(ids), 0.1).pvalue > 0.001
    due = held_out[gains.turn_in_days(ids, 20_000, 28) == 0]
    assert stats.binomtest(int(due.sum()), len(due), 0.1).pvalue > 0.001


def test_the_budget_goes_to_the_largest_gains_and_held_out_cost_nothing() -> None:
    turns = pd.DataFrame(
        {
            "customer_id": ["a", "b", "c", "d"],
            "expected_gain_amount": [1.0, 9.0, 5.0, 5.0],
            "cost_amount": [2.0, 2.0, 2.0, 2.0],
            "is_held_out": [False, False, True, False],
        }
    )
    assert run.within_budget(turns, 4.0).to_dict() == {"b": 1, "c": 2, "d": 3}
    assert run.within_budget(turns, 1.0).empty


def test_rows_say_what_to_do_or_why_not() -> None:
    rows = pd.DataFrame(
        {
            "customer_id": ["chosen", "held", "poor", "later", "none", "unknown"],
            "best_action": ["save"] * 4 + [LEAVE_ALONE, None],
            "why_not": [None] * 4 + [gains.NO_ACTION_FITS, None],
            "days_to_turn": [0, 0, 0, 3, 0, -1],
            "is_held_out": [False, True, False, False, False, False],
            "score_status": ["scored"] * 5 + ["not_scored"],
        }
    )
    found = run.assigned(rows, pd.Series({"chosen": 1, "held": 2}))
    assert found["action"].tolist() == ["save", "save"] + [LEAVE_ALONE] * 3 + [None]
    assert found["assignment"].tolist() == ["contact", "held_out"] + ["none"] * 3 + [None]
    assert found["why_not"].tolist() == [
        None, None, run.OVER_BUDGET, run.NOT_DUE, gains.NO_ACTION_FITS, None,
    ]  # fmt: skip
    assert found["contact_rank"].tolist()[:2] == [1, 2]


def simulated(seed: int, count: int, effect: float, name: str = "save") -> pd.DataFrame:
    """Turns of a shop: each customer orders with a chance of their own, a contact shifts it."""
    random = np.random.default_rng(seed)
    chance = random.beta(1.2, 2.5, count)
    held_out = random.random(count) < 0.1
    log_odds = np.log(chance / (1 - chance)) + np.where(held_out, 0.0, effect)
    has_ordered = random.random(count) < 1 / (1 + np.exp(-log_odds))
    amount = random.lognormal(3, 0.9, count)
    return pd.DataFrame(
        {
            "customer_id": [f"c{number}" for number in range(count)],
            "action": name,
            "as_of_date": pd.Timestamp("2024-01-01") + pd.to_timedelta(np.arange(count) % 84, "D"),
            "is_held_out": held_out,
            "order_probability": chance,
            "expected_spend_amount": chance * 30,
            "happened_orders": has_ordered.astype(int),
            "happened_spend_amount": has_ordered * amount,
        }
    )


def row_of(turns: pd.DataFrame, name: str = "save") -> Any:
    return effects.measured(turns, CATALOGUE).set_index("action").loc[name]


def test_without_an_effect_looking_every_week_raises_few_false_alarms() -> None:
    alarms = plain = 0
    for seed in range(200):
        turns = simulated(seed, 3_000, effect=0.0)
        weeks = [turns[turns["as_of_date"] < pd.Timestamp("2024-01-01") + timedelta(days=7 * week)]
                 for week in range(2, 13)]  # fmt: skip
        looks = [row_of(week) for week in weeks]
        alarms += any(look["verdict"] in ("helps", "harms") for look in looks)
        plain += any(
            look["order_rate_difference_lower"] > 0 or look["order_rate_difference_upper"] < 0
            for look in looks
        )
    assert alarms <= 10  # 5 %
    assert plain > 20  # what the interval for one look would have raised


@pytest.mark.parametrize("effect", [0.0, 0.4, -0.4])
def test_a_planted_effect_is_in_its_interval_and_less_noise_is_left(effect: float) -> None:
    inside, saved = 0, []
    for seed in range(100):
        turns = simulated(seed, 6_000, effect)
        chance = turns["order_probability"].to_numpy()
        raised = 1 / (1 + np.exp(-(np.log(chance / (1 - chance)) + effect)))
        true = (raised - chance).mean()
        row = row_of(turns)
        inside += row["order_rate_difference_lower"] <= true <= row["order_rate_difference_upper"]
        parts = [turns.loc[turns["is_held_out"] == one, "happened_orders"] for one in (True, False)]
        plain = np.sqrt(sum(part.var() / len(part) for part in parts))
        saved.append(1 - (row["order_rate_error"] / plain) ** 2)
    assert stats.binomtest(int(inside), 100, 0.95).pvalue > 0.001
    assert np.mean(saved) > 0.1


def test_a_large_effect_is_found_and_a_small_shop_cannot_tell() -> None:
    assert row_of(simulated(1, 40_000, effect=0.6))["verdict"] == HELPS
    assert row_of(simulated(1, 1_000, effect=0.1))["verdict"] == CANNOT_TELL
    few = row_of(simulated(1, 100, effect=0.6))
    assert few["count_contacted"] + few["count_held_out"] == 100
    assert "verdict" not in few


def test_plans_move_to_what_was_measured_as_far_as_it_is_certain() -> None:
    truth = 0.5
    planned = effects.updated(
        effects.measured(simulated(2, 60_000, effect=truth), CATALOGUE), CATALOGUE
    )
    assert abs(planned["save"].mean - truth) < 0.15
    assert planned["save"].sd < PRIORS["save"].sd / 2
    assert planned["thank"] == PRIORS["thank"]
    nothing = effects.updated(effects.measured(simulated(2, 40, 0.0), CATALOGUE), CATALOGUE)
    assert nothing == PRIORS


def test_a_customer_counts_once_in_any() -> None:
    both = pd.concat([simulated(1, 400, 0.0), simulated(2, 400, 0.0, "win_back")])
    found = effects.measured(both, CATALOGUE).set_index("action")
    assert found.loc[ANY, ["count_contacted", "count_held_out"]].sum() == 400
    assert found.loc["save", ["count_contacted", "count_held_out"]].sum() == 400


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"margin_share": 2}, "margin_share: Input should be less than 1"),
        ({"turn_every_days": 0}, "turn_every_days: Input should be greater than or equal to 1"),
        ({"actions": []}, "actions: Tuple should have at least 1 item"),
        ({"colour": "red"}, "colour: Extra inputs are not permitted"),
    ],
)
def test_a_catalogue_without_meaning_is_refused(change: dict[str, Any], message: str) -> None:
    content = {"version": "1", "margin_share": 0.3, "turn_every_days": 28, "held_out_share": 0.1,
               "budget_share_of_spend": 0.1, "actions": [ACTION]}  # fmt: skip
    assert catalogues.parse(content).names == ["save"]
    with pytest.raises(CatalogueError, match=f"catalogue.yml.*{message}"):
        catalogues.parse(content | change)


ACTION = {
    "action": "save",
    "text": "An offer.",
    "stages": ["at_risk"],
    "contact_cost_amount": 0.1,
    "offer_share_of_order": 0,
    "effect": {"mean": 0.1, "sd": 0.1},
}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stages": ["asleep"]}, "unknown stage asleep"),
        ({"effect": {"mean": 0.1, "sd": 0}}, "actions.0.effect.sd: Input should be greater than 0"),
        ({"action": LEAVE_ALONE}, "action leave_alone: not in the contract, add it"),
        ({"action": "call"}, "action call: not in the contract, add it to the values in dbt_proj"),
        (
            {"contact_cost_amount": -1},
            "contact_cost_amount: Input should be greater than or equal",
        ),
        ({"effect": {"mean": 0.1}}, "actions.0.effect.sd: Field required"),
    ],
)
def test_an_action_without_meaning_is_refused(change: dict[str, Any], message: str) -> None:
    content = {"version": "1", "margin_share": 0.3, "turn_every_days": 28, "held_out_share": 0.1,
               "budget_share_of_spend": 0.1, "actions": [ACTION | change]}  # fmt: skip
    with pytest.raises(CatalogueError, match=message):
        catalogues.parse(content)


def test_the_contract_has_the_actions_of_the_catalogue() -> None:
    from perennial import contracts

    column = next(c for c in contracts.load("actions").table("actions").columns
                  if c.name == "best_action")  # fmt: skip
    assert column.values == (*CATALOGUE.names, LEAVE_ALONE)
    assert run.QUESTION.ruled(date(2024, 1, 1)).version == CATALOGUE.version
