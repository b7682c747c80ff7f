"""Metamorphic relations of the customers' models: irrelevant changes, and small ones.

Value is trained; it includes the probability of an order, which churn and survival share. The tests
compare its predictions for the same customers of a shop after a change of input or training.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest

from ml_tasks.clv import run
from tests.unit.planted_shop import PlantedShop, plant

SCORED, TRAINED = date(2021, 11, 20), date(2021, 11, 1)
SPEND, CHANCE = "predicted_spend_amount_90d", "spend_probability_90d"
MONEY = 1_000.0
# Bounds on the mean move of a customer's probability, and on the move of a total. One more week of
# data, or a twentieth of the customers, carries about as much information as the sampling error of
# a share of 400 customers, .025.
MEAN_MOVE, TOTAL_MOVE = 0.025, 0.1


@pytest.fixture(scope="module")
def shop() -> PlantedShop:
    return plant(400, 710, seed=31, season_strength=0.4)


def predicted(shop: PlantedShop, training_date: date = TRAINED) -> pd.DataFrame:
    """Predictions for SCORED, by customer."""
    model = run.QUESTION.train(training_date, shop, seed=1)
    assert model.name == run.MODEL
    return run.QUESTION.score(SCORED, model, shop)[run.NAME].set_index("customer_id")


@pytest.fixture(scope="module")
def plain(shop: PlantedShop) -> pd.DataFrame:
    return predicted(shop)


def renamed(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:10]


def changed(shop: PlantedShop, change: Callable[[pd.DataFrame], pd.DataFrame]) -> PlantedShop:
    return replace(shop, orders=change(shop.orders))


def test_what_customers_are_called_does_not_matter(shop, plain):
    other = predicted(
        changed(shop, lambda orders: orders.assign(customer_id=orders.customer_id.map(renamed)))
    )
    theirs = other.loc[plain.index.map(renamed)].set_axis(plain.index)
    pd.testing.assert_frame_equal(plain, theirs, rtol=1e-9)


@pytest.mark.parametrize("factor", [MONEY, 1 / MONEY])
def test_the_unit_of_money_does_not_matter(shop, plain, factor):
    other = predicted(changed(shop, lambda orders: orders.assign(amount=orders.amount * factor)))
    theirs = other.loc[plain.index]
    # trees read 24-bit floats: a rounded value may fall on the other side of a split
    assert (plain[CHANCE] - theirs[CHANCE]).abs().mean() < 1e-4
    assert theirs[SPEND].sum() == pytest.approx(factor * plain[SPEND].sum(), rel=1e-3)
    assert (theirs["value_tier"] == plain["value_tier"]).mean() > 0.995


def test_without_a_twentieth_of_the_customers_the_others_move_little(shop, plain):
    kept = [key for key in plain.index if int(renamed(key), 16) % 20]
    other = predicted(changed(shop, lambda orders: orders[orders.customer_id.isin(kept)]))
    ours, theirs = plain.loc[kept], other.loc[kept]
    assert (ours[CHANCE] - theirs[CHANCE]).abs().mean() < MEAN_MOVE
    assert theirs[SPEND].sum() == pytest.approx(ours[SPEND].sum(), rel=TOTAL_MOVE)


def test_a_week_more_to_learn_from_moves_little(shop, plain):
    theirs = predicted(shop, TRAINED + timedelta(weeks=1)).loc[plain.index]
    assert (plain[CHANCE] - theirs[CHANCE]).abs().mean() < MEAN_MOVE
    assert theirs[SPEND].sum() == pytest.approx(plain[SPEND].sum(), rel=TOTAL_MOVE)
    ranks = np.corrcoef(plain[SPEND].rank(), theirs[SPEND].rank())[0, 1]
    assert ranks > 0.98
