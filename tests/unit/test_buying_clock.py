"""The clock on planted shops, and its process against numbers from elsewhere."""

import numpy as np
import pandas as pd
import pytest

from ml_tasks.shared import boosting, buying_clock, mbg_nbd
from ml_tasks.shared.mbg_nbd import MbgNbd
from tests.unit.planted_shop import plant

PROCESS = MbgNbd(r=0.9, alpha=40.0, a=0.8, b=2.5)


@pytest.fixture(scope="module")
def simulated():
    """Customers of the process, drawn one order after another: x, t_x, t, orders in 90 more."""
    rng = np.random.default_rng(5)
    rows = []
    for _ in range(12_000):
        age, leaves, rate = rng.uniform(30, 400), rng.beta(0.8, 2.5), rng.gamma(0.9, 1 / 40)
        x, t_x, later, now = 0, 0.0, 0, 0.0
        while rng.random() >= leaves:
            now += rng.exponential(1 / rate)
            if now > age + 90:
                break
            if now <= age:
                x, t_x = x + 1, now
            else:
                later += 1
        rows.append((x, t_x, age, later))
    return np.array(rows).T


def test_parameters_of_the_process_are_found(simulated):
    x, t_x, t, _ = simulated
    found = mbg_nbd.fit(x, t_x, t, np.ones(len(x)))
    assert found.r / found.alpha == pytest.approx(PROCESS.r / PROCESS.alpha, rel=0.1)
    assert found.a / (found.a + found.b) == pytest.approx(0.8 / 3.3, rel=0.1)


def test_expectations_are_what_happens_next(simulated):
    x, t_x, t, later = simulated
    expected = PROCESS.expected_orders(x, t_x, t, np.full(len(x), 90.0))
    chance = PROCESS.order_probability(x, t_x, t, np.full(len(x), 90.0))
    for group in (x == 0, (x > 0) & (t - t_x < 60), (x > 0) & (t - t_x >= 60)):
        assert expected[group].mean() == pytest.approx(later[group].mean(), rel=0.1)
        assert chance[group].mean() == pytest.approx((later[group] > 0).mean(), rel=0.1)


def test_one_time_buyers_fade_as_time_goes_by():
    alive = PROCESS.alive_probability(np.zeros(3), np.zeros(3), np.array([1.0, 100.0, 1000.0]))
    assert (np.diff(alive) < 0).all()
    assert alive[-1] < 0.2


def test_very_large_counts_stay_finite():
    x = np.array([300.0, 5_000.0])
    last, age = np.array([400.9, 400.999]), np.full(2, 401.0)
    expected = PROCESS.expected_orders(x, last, age, np.full(2, 90.0))
    assert expected == pytest.approx(x * 90 / (40 + 401), rel=0.1)


def test_season_that_was_planted_sets_the_pace():
    shop = plant(count_customers=2_000, count_days=830, seed=11, season_strength=0.5)
    day = pd.Timestamp("2021-10-01")
    clock = buying_clock.fit(shop.snapshot(day), shop.shop_days(day))
    n = (day - pd.Timestamp(clock.start_date)).days
    found = np.array(clock.speeds)[n - 365 : n]
    planted = shop.season[n - 365 : n]
    assert np.corrcoef(found, planted)[0, 1] > 0.9
    ahead = np.array(clock.speeds)[n : n + 180].sum() / 180
    assert ahead == pytest.approx(shop.season[n : n + 180].mean() / planted.mean(), rel=0.2)


def test_crowd_of_new_customers_in_the_first_month_were_customers_before():
    steady = np.full(360, 10.0)
    assert buying_clock._earlier_rates(steady, np.ones(360)).max() == 0
    crowd = np.concatenate([np.full(30, 40.0), np.full(330, 10.0)])
    rates = buying_clock._earlier_rates(crowd, np.ones(360))
    # 1,200 came and 300 are usual, of which chance explains 2 * sqrt(300) more
    assert rates[0] == pytest.approx((1200 - 300 - 2 * np.sqrt(300)) / 1200)
    assert rates[1:].max() == 0


def test_shop_of_a_few_days_has_a_clock_at_even_pace():
    shop = plant(count_customers=300, count_days=60, seed=2)
    day = pd.Timestamp("2020-01-12")
    clock = buying_clock.fit(shop.snapshot(day), shop.shop_days(day))
    histories = clock.histories(shop.snapshot(day), 365)
    chance = clock.order_probability(histories)
    assert ((chance > 0) & (chance < 1)).all()
    assert len(set(clock.speeds[11:])) == 1


def test_old_champion_still_knows_how_far_the_clock_goes():
    shop = plant(count_customers=300, count_days=830, seed=2)
    clock = buying_clock.fit(shop.snapshot("2021-01-01"), shop.shop_days("2021-01-01"))
    late = clock.histories(shop.snapshot("2022-03-01"), 365)
    assert late["ahead"].iloc[0] > 200


@pytest.mark.parametrize(("missed", "within"), [([0.4] * 9, 0.1), ([0.4, -0.4] * 6, 0.05)])
def test_level_is_corrected_only_where_dates_agree(missed, within):
    rng = np.random.default_rng(1)
    frames, happened = [], []
    for number, miss in enumerate(missed):
        day = pd.Timestamp("2021-01-01") + pd.DateOffset(months=number)
        frames.append(pd.DataFrame({"as_of_date": day, "days_since_first_order": [400] * 2_000}))
        happened.append(rng.random(2_000) < 1 / (1 + np.exp(-miss)))
    snapshots = pd.concat(frames, ignore_index=True)
    found = boosting.missed_level(
        snapshots, np.zeros(len(snapshots)), np.concatenate(happened).astype(float)
    )
    assert found == pytest.approx(max(np.mean(missed), 0), abs=within)
