"""Seasonal time: a planted season, and plain loops."""

import numpy as np
import pandas as pd
import pytest

from ml_tasks.shared.probability import bg_nbd, seasonal_time
from ml_tasks.shared.probability.rfm import rfm
from ml_tasks.shared.probability.seasonal_time import SeasonalTime

OPENED = pd.Timestamp("2020-01-01")
CHRISTMAS = np.array([0.7, 0.8, 0.9, 1.0, 1.0, 0.9, 0.8, 0.8, 1.0, 1.2, 1.7, 1.2])


def shop(activity: np.ndarray, count: int = 4_000, days: int = 850) -> np.ndarray:
    """Whether a customer orders on a day, shape (count, days); rates of their own, some leave."""
    rng = np.random.default_rng(9)
    month = (OPENED + pd.to_timedelta(np.arange(days), "D")).month.to_numpy() - 1
    rate = rng.gamma(1.2, 1 / 50, count)[:, None] * activity[month]
    orders = rng.random((count, days)) < 1 - np.exp(-rate)
    joined = rng.integers(0, days - 30, count)
    left = joined + rng.exponential(600, count)
    day = np.arange(days)
    orders &= (day > joined[:, None]) & (day < left[:, None])
    orders[np.arange(count), joined] = True
    return orders


def snapshots(orders: np.ndarray, *dates: pd.Timestamp) -> pd.DataFrame:
    """The columns that the models read, of all customers with an order before each date."""
    frames = []
    for date in dates:
        seen = orders[:, : (date - OPENED).days]
        seen = seen[seen.any(axis=1)]
        frames.append(
            pd.DataFrame(
                {
                    "as_of_date": date,
                    "days_since_first_order": seen.shape[1] - seen.argmax(axis=1),
                    "days_since_last_order": seen[:, ::-1].argmax(axis=1) + 1,
                    "count_order_days": seen.sum(axis=1),
                    "gross_spend_amount": 10.0,
                    "first_order_amount": 5.0,
                }
            )
        )
    return pd.concat(frames, ignore_index=True)


def grid(orders: np.ndarray, until: str) -> pd.DataFrame:
    return snapshots(orders, *pd.date_range("2020-02-01", until, freq="MS"))


def test_planted_season_is_found_and_holds_the_level():
    orders, date = shop(CHRISTMAS), pd.Timestamp("2021-10-01")
    history = grid(orders, "2021-10-01")
    season = seasonal_time.fit(history)
    year = np.average(CHRISTMAS, weights=[31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])
    found = np.array(season.activity)
    assert found == pytest.approx(CHRISTMAS / year, abs=0.12)
    assert np.corrcoef(found, CHRISTMAS)[0, 1] > 0.97

    newest = history[history["as_of_date"] == date]
    known = orders[orders[:, : (date - OPENED).days].any(axis=1)]
    begin = (date - OPENED).days
    happened = known[:, begin : begin + 90].sum()
    plain = bg_nbd.fit(rfm(newest)).expected_orders(rfm(newest), 90).sum()
    histories = season.rfm(newest)
    seasonal = bg_nbd.fit(histories).expected_orders(histories, season.horizon(date, 90)).sum()
    assert abs(seasonal / happened - 1) < 0.08 < abs(plain / happened - 1)


def test_shop_without_a_season_keeps_plain_days():
    season = seasonal_time.fit(grid(shop(np.ones(12)), "2021-10-01"))
    assert season.activity == pytest.approx([1.0] * 12, abs=0.07)


def test_order_of_rows_changes_no_bit():
    history = grid(shop(CHRISTMAS, count=800), "2021-06-01")
    assert seasonal_time.fit(history) == seasonal_time.fit(history.sample(frac=1, random_state=1))


def test_year_seen_once_is_no_season():
    orders = shop(CHRISTMAS, count=800)
    assert seasonal_time.fit(grid(orders, "2021-02-01")) is None
    assert seasonal_time.fit(grid(orders, "2021-02-01").head(0)) is None


def test_few_repeaters_are_no_season():
    orders = shop(CHRISTMAS, count=40)
    assert seasonal_time.fit(grid(orders, "2021-10-01")) is None


def test_time_is_the_sum_of_the_days_activity():
    season = SeasonalTime((CHRISTMAS / CHRISTMAS.mean()).tolist())
    date = pd.Timestamp("2021-03-10")
    frame = snapshots(shop(CHRISTMAS, count=20), date)
    table = season.rfm(frame)
    for row, history in zip(frame.itertuples(), table.itertuples(), strict=True):
        first = date - pd.Timedelta(days=row.days_since_first_order)
        last = date - pd.Timedelta(days=row.days_since_last_order)
        by_day = [season.activity[day.month - 1] for day in pd.date_range(first, date)[:-1]]
        assert history.age == pytest.approx(sum(by_day))
        assert history.recency == pytest.approx(sum(by_day[: (last - first).days]))
    ahead = [season.activity[day.month - 1] for day in pd.date_range(date, periods=90)]
    assert season.horizon(date, 90) == pytest.approx(sum(ahead))
