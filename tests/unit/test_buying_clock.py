"""The clock on planted shops."""

import numpy as np
import pandas as pd
import pytest

from ml_tasks.customers import buying_clock, margins, pace
from tests.unit.planted_shop import plant


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
    assert pace.earlier_rates(steady, np.ones(360)).max() == 0
    crowd = np.concatenate([np.full(30, 40.0), np.full(330, 10.0)])
    rates = pace.earlier_rates(crowd, np.ones(360))
    # 1,200 came; 300 are usual, and chance explains 2 * sqrt(300) more
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


def test_a_sample_of_customers_gives_the_same_clock():
    shop = plant(count_customers=3_000, count_days=830, seed=12, season_strength=0.5)
    day = pd.Timestamp("2021-10-01")
    snapshot, shop_days = shop.snapshot(day), shop.shop_days(day)
    of_all = buying_clock.fit(snapshot, shop_days)
    half = snapshot[snapshot["customer_id"].str[-1].isin(list("02468"))]
    of_half = buying_clock.fit(half, shop_days)
    assert of_half.start_date == of_all.start_date
    assert np.corrcoef(of_half.speeds, of_all.speeds)[0, 1] > 0.98
    chances = [clock.order_probability(clock.histories(half, 90)) for clock in (of_all, of_half)]
    assert chances[1] == pytest.approx(chances[0], abs=0.03)


def test_days_of_the_year_that_nobody_saw_go_at_the_pace_of_those_seen():
    # 200 days, then the 165 not seen yet, then the 200 again; the base does not grow
    speeds = np.r_[np.full(100, 1.5), np.full(100, 0.5)]
    ahead = pace.projected(speeds, np.full(200, 50.0), np.zeros(0))[200:]
    assert ahead[:165] == pytest.approx(1.0)
    assert ahead[165:365] == pytest.approx(speeds)
    # a shop older than its data only seems to double its base: half as fast
    base = np.full(200, 50.0)
    base[100:] = 100.0
    ahead = pace.projected(speeds, base, np.array([0.6]))[200:]
    assert ahead[165 + 20] == pytest.approx(1.5 / 2)
    assert ahead[165 + 180] == pytest.approx(0.5)


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
    found = margins.missed_level(
        snapshots, np.zeros(len(snapshots)), np.concatenate(happened).astype(float)
    )
    assert found == pytest.approx(max(np.mean(missed), 0), abs=within)
