"""Campaigns: rows by hand, reasons, planted effects recovered, no false alarms."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from ingest.sample_shop import Shop, generate
from ml_tasks.campaigns import run
from ml_tasks.evaluation.held_out import CANNOT_TELL, HARMS, HELPS

DAY = pd.Timestamp("2024-01-10")


def customers(held_out: list[bool], **columns: Any) -> pd.DataFrame:
    usual = {
        "contacted_date": DAY,
        "last_contacted_date": DAY,
        "count_orders_365d_before": 1,
        "net_spend_amount_365d_before": 20.0,
        "count_orders_90d": 1.0,
        "net_spend_amount_90d": 10.0,
    }
    frame = pd.DataFrame(usual, index=range(len(held_out)))
    return frame.assign(is_held_out=held_out, **columns)


def row_of(campaign: str, drawn: pd.DataFrame) -> pd.Series:
    return pd.Series(run.of(campaign, drawn))


def test_a_row_by_hand() -> None:
    """Of 40 contacted 30 order, of 40 held out 20; what was before is alike and changes nothing."""
    ordered = [1.0] * 30 + [0.0] * 10 + [1.0] * 20 + [0.0] * 20
    found = row_of(
        "spring",
        customers(
            [False] * 40 + [True] * 40,
            count_orders_90d=ordered,
            net_spend_amount_90d=[10 * one for one in ordered],
            last_contacted_date=DAY + pd.Timedelta(days=3),
        ),
    )
    assert found[["campaign", "score_status", "verdict"]].tolist() == [
        "spring", "scored", CANNOT_TELL,
    ]  # fmt: skip
    assert (found["first_contacted_date"], found["last_contacted_date"]) == (
        DAY, DAY + pd.Timedelta(days=3),
    )  # fmt: skip
    assert found[["count_contacted", "count_held_out"]].tolist() == [40, 40]
    assert found["order_rate_contacted"] == pytest.approx(0.75)
    assert found["order_rate_held_out"] == pytest.approx(0.5)
    assert found["order_rate_difference"] == pytest.approx(0.25)
    half = 1.959964 * np.sqrt((0.75 * 0.25 + 0.5 * 0.5) / 39)
    assert found["order_rate_difference_upper"] == pytest.approx(0.25 + half)
    assert found["spend_difference_amount"] == pytest.approx(2.5)
    assert found["total_gain_amount"] == pytest.approx(100)


@pytest.mark.parametrize(
    ("held_out", "outcomes", "reason"),
    [
        ([False] * 80, [1.0] * 80, run.NOBODY_HELD_OUT),
        ([False] * 80, [np.nan] * 80, run.NOBODY_HELD_OUT),
        ([False, True] * 40, [np.nan] * 80, run.TOO_YOUNG),
        ([False] * 51 + [True] * 29, [1.0] * 80, run.TOO_FEW),
        ([False, True] * 40, [1.0] * 58 + [np.nan] * 22, run.TOO_FEW),
    ],
)
def test_what_cannot_be_compared_says_why(
    held_out: list[bool], outcomes: list[float], reason: str
) -> None:
    found = row_of("spring", customers(held_out, count_orders_90d=outcomes))
    assert found[["score_status", "score_reason"]].tolist() == ["not_scored", reason]
    assert found["first_contacted_date"] == DAY
    known = np.isfinite(outcomes)
    assert found["count_held_out"] == (np.array(held_out) & known).sum()
    assert found["count_contacted"] + found["count_held_out"] == known.sum()
    assert found["verdict"] is None
    assert "order_rate_difference" not in found


def simulated(seed: int, count: int, effect: float) -> pd.DataFrame:
    """Customers with rates of their own; of those who would not order, `effect` are won."""
    random = np.random.default_rng(seed)
    rate = random.gamma(1.2, 1 / 90, count)
    before = random.poisson(rate * 200)
    is_held_out = random.random(count) < 0.4
    orders = random.poisson(rate * 90)
    chance = np.where(orders > 0, -min(effect, 0), max(effect, 0))
    is_moved = ~is_held_out & (random.random(count) < chance)
    orders = np.where(is_moved, orders == 0, orders)
    return customers(
        is_held_out.tolist(),
        count_orders_365d_before=before,
        net_spend_amount_365d_before=before * random.lognormal(3, 0.5, count),
        count_orders_90d=orders.astype(float),
        net_spend_amount_90d=orders * random.lognormal(3, 0.5, count),
    )


def test_without_an_effect_a_campaign_that_grows_raises_few_false_alarms() -> None:
    """Looked at weekly while customers' 90 days pass, in 200 simulated shops."""
    alarms = plain = 0
    for seed in range(200):
        drawn = simulated(seed, 2_000, effect=0.0)
        looks = [row_of("always on", drawn[:seen]) for seen in range(200, 2_001, 200)]
        alarms += any(look["verdict"] in (HELPS, HARMS) for look in looks)
        plain += any(
            look["order_rate_difference_lower"] > 0 or look["order_rate_difference_upper"] < 0
            for look in looks
        )
    assert alarms <= 10  # 5 %
    assert plain > 20  # what the interval for one look would have raised


@pytest.mark.parametrize(("effect", "verdict"), [(0.3, HELPS), (-0.3, HARMS), (0.0, CANNOT_TELL)])
def test_a_planted_effect_is_in_its_interval_and_judged(effect: float, verdict: str) -> None:
    no_order = (1 + 90 / 90) ** -1.2  # of a gamma mixture of Poisson counts
    true = effect * (no_order if effect > 0 else 1 - no_order)
    inside, verdicts = 0, []
    for seed in range(100):
        row = row_of("once", simulated(seed, 3_000, effect))
        inside += row["order_rate_difference_lower"] <= true <= row["order_rate_difference_upper"]
        verdicts.append(row["verdict"])
    assert stats.binomtest(int(inside), 100, 0.95).pvalue > 0.001
    assert verdicts.count(verdict) >= 99


# The sample shop's campaigns --------------------------------------------------------------------


@pytest.fixture(scope="module")
def shop() -> Shop:
    return generate(seed=7, customers=5_000, days=730)


def facts(shop: Shop, campaign: str) -> pd.DataFrame:
    """features.campaign_customers of one of the shop's campaigns, and whether an order is by it."""
    contacts = shop.contacts[shop.contacts["campaign"] == campaign]
    day, who = contacts["contacted_at"].iloc[0].normalize(), contacts["customer_id"]
    items = shop.order_items[shop.order_items["line_type"] == "product"]
    amount = (items["quantity"] * items["unit_price_amount"]).groupby(items["order_id"]).sum()
    events = shop.orders[shop.orders["customer_id"].isin(who)]
    is_sale = events["order_type"] == "sale"
    amounts = amount.reindex(events["order_id"], fill_value=0.0).to_numpy()
    events = events.assign(
        age=(events["ordered_at"].dt.normalize() - day).dt.days,
        orders=is_sale.astype(int),
        amount=np.where(is_sale, amounts, -amounts),
        own=is_sale & ~events["order_id"].str.startswith("V"),
        brought=events["order_id"].str.startswith("V"),
    )
    names = ["orders", "amount", "own", "brought"]
    before, after = (
        events[events["age"].between(*span)].groupby("customer_id")[names].sum()
        .reindex(who, fill_value=0).reset_index(drop=True)
        for span in ((-365, -1), (0, 89))
    )  # fmt: skip
    return customers(
        (contacts["is_held_out"] == "true").tolist(),
        count_orders_365d_before=before["orders"],
        net_spend_amount_365d_before=before["amount"].clip(lower=0),
        count_orders_90d=after["orders"].astype(float),
        net_spend_amount_90d=after["amount"].clip(lower=0),
        is_won=(after["brought"] > 0) & (after["own"] == 0),
    )


@pytest.mark.parametrize("year", [2023, 2024])
def test_the_vouchers_effect_is_recovered(shop: Shop, year: int) -> None:
    """True: the share of the contacted who ordered by the voucher alone."""
    drawn = facts(shop, f"voucher_{year}")
    true = drawn.loc[~drawn["is_held_out"], "is_won"].mean()
    row = row_of("voucher", drawn)
    assert true > 0.25
    assert row["order_rate_difference_lower"] <= true <= row["order_rate_difference_upper"]
    assert row["order_rate_difference_lower"] > 0
    assert row["spend_difference_amount_lower"] > 0
    if year == 2024:
        assert row["verdict"] == HELPS


@pytest.mark.parametrize("year", [2023, 2024])
def test_of_the_letter_nobody_can_tell(shop: Shop, year: int) -> None:
    drawn = facts(shop, f"letter_{year}")
    row = row_of("letter", drawn)
    assert row["order_rate_difference_lower"] <= 0 <= row["order_rate_difference_upper"]
    assert row["verdict"] == CANNOT_TELL
    assert not drawn["is_won"].any()
