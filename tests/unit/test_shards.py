"""Shards: the same deal everywhere, and rows that do not depend on the number of shards."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from hashlib import md5
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from ml_tasks.churn import run as churn
from ml_tasks.clv import run as clv
from ml_tasks.demand import backtest, lstm
from ml_tasks.demand import run as demand
from ml_tasks.engine import chunks
from ml_tasks.engine.contract_check import checked
from ml_tasks.engine.parts import Scoring
from ml_tasks.evaluation.comparison import untested
from ml_tasks.features.shards import WHOLE, Shard, shard_number, shards
from ml_tasks.survival import run as survival
from ml_tasks.trained_model import TrainedModel
from perennial import contracts
from tests.unit.planted_shop import PlantedShop, plant

COUNTS = (1, 2, 7)
NOW = datetime(2021, 12, 10, tzinfo=UTC)
TRAINING_DATE, SCORED_DATE = date(2021, 3, 1), date(2021, 3, 10)


@pytest.mark.parametrize(
    ("key", "of_2", "of_7", "of_1000"),
    [  # h=$(printf %s KEY | md5sum | cut -c9-16); echo $((0x$h * COUNT >> 32))
        ("17850", 0, 2, 376),
        ("c-000001", 1, 4, 653),
        ("é-客戶", 0, 3, 447),
        ("a b", 1, 5, 821),
    ],
)
def test_a_key_has_the_shard_that_md5sum_gives_it(key, of_2, of_7, of_1000):
    assert [shard_number(key, count) for count in (1, 2, 7, 1_000)] == [0, of_2, of_7, of_1000]


@pytest.mark.parametrize("count", COUNTS)
def test_each_key_is_in_one_shard_and_shards_are_alike(count):
    keys = [f"{number}" for number in range(12_346, 32_346)]
    held = np.array([shard.holds(keys) for shard in shards(count)])
    assert (held.sum(axis=0) == 1).all()
    assert stats.chisquare(held.sum(axis=1)).pvalue > 0.01 or count == 1


def test_slices_of_a_shard_hold_what_it_holds():
    keys = [f"{number}" for number in range(2_000)]
    for shard in shards(3):
        held = np.array([part.holds(keys) for part in shard.split(4)])
        assert (held.sum(axis=0) == shard.holds(keys)).all()
        assert held.any(axis=1).all()


def test_a_sample_of_the_customers_is_dealt_as_evenly():
    keys = [f"{number}" for number in range(40_000)]
    # as features.IS_SAMPLED draws them: the first eight digits of the MD5
    sample = [key for key in keys if int(md5(key.encode()).hexdigest()[:8], 16) % 8 == 0]
    held = [int(shard.holds(sample).sum()) for shard in shards(2)]
    assert sum(held) > 4_500
    assert stats.chisquare(held).pvalue > 0.01


@dataclass(frozen=True)
class Dealt:
    """A planted shop as seen by a shard."""

    shop: Any
    shard: Shard = WHOLE

    def snapshot(self, day: date) -> pd.DataFrame:
        whole = self.shop.snapshot(day)
        own = whole[self.shard.holds(whole["customer_id"])]
        watched = whole["days_since_first_order"].max()
        return own.assign(days_watched=watched).reset_index(drop=True)

    def features(self, name: str, day: date) -> pd.DataFrame:
        whole = self.shop.features(name, day)
        return whole[self.shard.holds(whole["customer_id"])].reset_index(drop=True)

    def product_weeks(self, day: date) -> pd.DataFrame:
        return self.shop.product_weeks(day)


def require_equal_rows(module: Any, model: TrainedModel, day: date, shop: Any) -> None:
    """Assert that rows in 2 and in 7 shards equal those in one, to the last digit."""
    instance, question = module.QUESTION, contracts.load(module.NAME)
    whole = instance.score(day, model, shop)
    scoring = Scoring(instance, day, "test", model)
    for count in COUNTS[1:]:
        parts = [chunks.score_part(scoring, Dealt(shop, one), (), NOW) for one in shards(count)]
        sizes = [len(part.frames[module.NAME]) for part in parts]
        assert min(sizes) > 0
        assert max(sizes) < len(whole[module.NAME])
        joined = list(chunks.joined(scoring, parts, Dealt(shop)))
        for table in question.tables:
            order = [(name, "ascending") for name in table.key]
            frames = [one[table.name] for one in joined if table.name in one]
            here = checked(pd.concat(frames), table).sort_by(order)
            there = checked(whole[table.name], table).sort_by(order)
            assert here.equals(there), f"{table.name} in {count} shards"


@pytest.fixture(scope="module")
def shop() -> PlantedShop:
    return plant(count_customers=300, count_days=500, seed=3, season_strength=0.5)


@pytest.mark.parametrize(
    ("module", "winner"),
    [(churn, name) for name in (churn.MODEL, *churn.BASELINES)]
    + [(clv, name) for name in (clv.MODEL, *clv.BASELINES)],
    ids=lambda value: value if isinstance(value, str) else value.NAME,
)
def test_scores_of_customers_do_not_depend_on_the_shards(shop, module, winner, monkeypatch):
    monkeypatch.setattr(module, "evaluate", lambda *_: untested(winner))
    model = module.QUESTION.train(TRAINING_DATE, shop, seed=1)
    assert model.name == winner
    require_equal_rows(module, model, SCORED_DATE, shop)


@dataclass(frozen=True)
class Followed:
    """A planted shop with the time to each customer's next order."""

    shop: PlantedShop

    def sample_for(self, day: date, horizon_days: int) -> PlantedShop:
        return self.shop

    def snapshot(self, day: date) -> pd.DataFrame:
        return self.shop.snapshot(day)

    def shop_days(self, day: date) -> pd.DataFrame:
        return self.shop.shop_days(day)

    def next_orders(self, known: date, max_customers: int) -> pd.DataFrame:
        end, orders = pd.Timestamp(known), self.shop.orders
        grid = pd.date_range("2020-10-01", end - pd.Timedelta(days=30), freq="MS")
        parts = []
        for day in grid:
            frame = self.shop.snapshot(day).rename(columns={"as_of_date": "snapshot_date"})
            later = orders[orders["ordered_date"].between(day, end, inclusive="left")]
            came = later.groupby("customer_id")["ordered_date"].min().reindex(frame["customer_id"])
            waited = (came.fillna(end) - day).dt.days.to_numpy()
            is_ordered = came.notna().to_numpy()
            parts.append(frame.assign(duration_days=waited, is_ordered=is_ordered))
        return pd.concat(parts, ignore_index=True)


@pytest.mark.parametrize("name", ["combined", "cox", "kaplan_meier"])
def test_survival_does_not_depend_on_the_shards(shop, name, monkeypatch):
    monkeypatch.setattr(survival, "evaluate", lambda *_: untested(name))
    monkeypatch.setattr(survival, "is_better", lambda _: name == "cox")
    if name != "combined":
        monkeypatch.setattr(survival, "_fit_chance", lambda *_: None)
    model = survival.QUESTION.train(TRAINING_DATE, Followed(shop), seed=1)
    assert model.name.startswith(name)
    require_equal_rows(survival, model, SCORED_DATE, Followed(shop))


@dataclass(frozen=True)
class Sales:
    """Weekly sales from a Monday on: steady, rare, new and dormant products, in families."""

    units: np.ndarray
    first_week = pd.Timestamp("2020-01-06")
    shard = WHOLE

    def product_weeks(self, day: date) -> pd.DataFrame:
        product, week = np.nonzero(np.cumsum(self.units, axis=1) > 0)
        units = self.units[product, week]
        frame = pd.DataFrame(
            {
                "product_id": [f"p{number:03d}" for number in product],
                "week_start_date": self.first_week + pd.to_timedelta(week * 7, "D"),
                "sold_units": units,
                "sold_amount": units * (2.0 + product % 5) * np.where(week % 9 == 4, 0.7, 1.0),
                "product_family": [f"family {number % 3}" for number in product],
            }
        )
        return frame[frame["week_start_date"] + pd.Timedelta(days=7) <= pd.Timestamp(day)]


@pytest.fixture(scope="module")
def sales() -> Sales:
    rng = np.random.default_rng(4)
    units = rng.poisson(rng.gamma(0.7, 12, 150)[:, None], (150, 110)).astype(float)
    units[::6] *= rng.random((25, 110)) < 0.2
    units[::10, :90] = 0
    units[5::30, 60:] = 0
    return Sales(units)


@pytest.mark.parametrize("is_blend", [True, False], ids=["blend", "simple"])
def test_demand_does_not_depend_on_the_shards(sales, is_blend, monkeypatch):
    monkeypatch.setattr(lstm, "TRAINING_STEPS", 20)
    monkeypatch.setattr(backtest, "COUNT_HORIZONS", 2)
    monkeypatch.setattr("ml_tasks.demand.arima.MAX_FITTED", 10)
    tuesday = date(2020, 1, 6) + timedelta(days=7 * 105 + 1)
    model = demand.QUESTION.train(tuesday, sales, seed=1)
    if not is_blend:  # as stored before the blend took the simple methods in
        model = replace(model, name="mean_8_weeks", artefacts={})
    require_equal_rows(demand, model, tuesday, sales)


def test_the_network_says_the_same_of_a_product_in_any_company(sales):
    known = demand.panel_of(sales.product_weeks(date(2022, 1, 10)), date(2022, 1, 10))
    run, order = lstm.run_of(known), np.random.default_rng(1).permutation(len(known.product_ids))
    weights = lstm.fit(known.until(30), seed=1)
    whole = lstm.forecast(known, weights, run)
    mixed = replace(known, units=known.units[order])
    assert np.array_equal(lstm.forecast(mixed, weights, run), whole[order])
    for row in (0, 77):
        alone = replace(known, units=known.units[row : row + 1])
        assert np.array_equal(lstm.forecast(alone, weights, run)[0], whole[row])
