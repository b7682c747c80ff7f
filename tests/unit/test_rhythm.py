"""Curves in a customer's own time: they find planted rhythms and do not harm memoryless buyers."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from ml_tasks.survival import model, rhythm
from ml_tasks.survival.anchored import anchored
from ml_tasks.survival.curves import CAP_DAYS
from ml_tasks.trained_model import canonical_json

DAY = pd.Timestamp("2024-01-01")


def seen(count: int, seed: int, jitter: float) -> pd.DataFrame:
    """Customers with gaps of 10 to 60 days, seen at a random point of a gap, and their wait.

    Args:
        count: Number of customers.
        seed: Seed of the draws.
        jitter: Standard deviation of a gap over its mean; None for memoryless buyers.
    """
    random = np.random.default_rng(seed)
    gap = random.uniform(10, 60, count)
    if jitter:
        length = gap * random.normal(1, jitter, count)
        since = np.ceil(random.uniform(0, 1, count) * length).clip(1)
        wait = np.ceil(length - since).clip(1)
    else:
        since, wait = (np.ceil(random.exponential(gap)).clip(1) for _ in range(2))
    return pd.DataFrame(
        {
            "snapshot_date": DAY,
            "days_since_last_order": since.astype(int),
            "days_since_first_order": (since + 9 * gap).astype(int),
            "avg_days_between_orders": gap,
            "count_order_days": 10,
            "days": wait.astype(int),
            "is_ordered": True,
        }
    )


def test_regular_buyers_are_expected_when_they_are_due():
    fitted = rhythm.fit_rhythm(seen(6_000, 1, jitter=0.1))
    customers = seen(2_000, 2, jitter=0.1)
    curve = fitted.survival(customers, DAY)
    median = (curve > 0.5).sum(axis=1)
    due = (customers["avg_days_between_orders"] - customers["days_since_last_order"]).clip(lower=0)
    # customers within a band of a quarter gap are treated alike: at most some days apart
    assert np.abs(median - due).median() < 4
    assert np.abs(median - customers["days"]).median() < 5
    assert np.corrcoef(median, customers["days"])[0, 1] > 0.85


def test_memoryless_buyers_keep_their_exponential():
    fitted = rhythm.fit_rhythm(seen(20_000, 3, jitter=0.0))
    customers = seen(500, 4, jitter=0.0)
    customers = customers[
        customers["days_since_last_order"] < 2 * customers["avg_days_between_orders"]
    ]
    curve = fitted.survival(customers, DAY)
    for days in (5, 20, 60):
        # whole days: a wait above n days is one above n of the exponential
        truth = np.exp(-days / customers["avg_days_between_orders"])
        assert np.abs(curve[:, days] - truth).mean() < 0.03


def test_hazard_by_hand_and_beyond_what_was_watched():
    # two of three order after 1 gap, one is watched for 2: 1/3 + 1/2, then the mean rate
    found = rhythm.nelson_aalen(np.array([1.0, 1.0, 2.0]), np.array([True, True, False]))
    at = dict(zip(rhythm.GAPS.round(2), found, strict=True))
    assert (at[0.95], at[1.0], at[2.0]) == pytest.approx((0, 2 / 3, 2 / 3))
    assert at[4.0] == pytest.approx(2 / 3 * 2)


def test_who_has_no_rhythm_keeps_the_others_shape():
    fitted = rhythm.fit_rhythm(seen(2_000, 5, jitter=0.1))
    customers = seen(3, 6, jitter=0.1).assign(count_order_days=[1, 2, 3])
    curve = fitted.survival(customers, DAY)
    assert np.isnan(curve[:2]).all()
    assert np.isfinite(curve[2]).all()
    others = [np.exp(-0.01 * np.arange(CAP_DAYS + 1)) * np.ones((3, 1))]
    chance = np.full(3, 0.4)
    with_, without = anchored(others, chance, curve), anchored(others, chance)
    assert np.allclose(with_[:2], without[:2])
    assert not np.allclose(with_[2], without[2])
    assert with_[:, 90] == pytest.approx(0.6)


def test_too_few_orders_give_none_and_json_gives_the_same_back():
    assert rhythm.fit_rhythm(seen(rhythm.MIN_EVENTS - 1, 7, jitter=0.1)) is None
    fitted = rhythm.fit_rhythm(seen(500, 8, jitter=0.1))
    stored = json.loads(canonical_json(model.to_dict(fitted)))
    assert model.from_dict(stored) == fitted
