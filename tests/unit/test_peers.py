"""Inputs and computations of the benchmark's peers, as far as they need no extra library."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.special import betaln, gammaln
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score

from benchmarks import judge
from benchmarks.peers import buying, history, lags, segments

PARAMETERS = {"r": 0.243, "alpha": 4.414, "a": 0.793, "b": 2.426}  # CDNOW, in weeks


def bg_nbd_log_likelihood(repeats: np.ndarray, last: np.ndarray, age: np.ndarray) -> np.ndarray:
    """Fader, Hardie and Lee (2005), Marketing Science 24:275-284, equation 6."""
    r, alpha, a, b = PARAMETERS.values()
    begin = gammaln(r + repeats) - gammaln(r) + r * np.log(alpha)
    alive = betaln(a, b + repeats) - betaln(a, b) - (r + repeats) * np.log(alpha + age)
    gone = betaln(a + 1, b + repeats - 1) - betaln(a, b) - (r + repeats) * np.log(alpha + last)
    return begin + np.logaddexp(alive, np.where(repeats > 0, gone, -np.inf))


def test_no_order_is_the_likelihood_of_a_longer_silence() -> None:
    repeats = np.array([1.0, 2, 5, 20])
    last, age = np.array([3.0, 30, 30, 20]), np.array([38.0, 39, 31, 38])
    r, alpha, a, b = PARAMETERS.values()
    odds = a / (b + repeats - 1) * ((alpha + age) / (alpha + last)) ** (r + repeats)
    chance = buying.bg_nbd_no_order(PARAMETERS, 1 / (1 + odds), (repeats, last, age), 13.0)
    apart = bg_nbd_log_likelihood(repeats, last, age + 13) - bg_nbd_log_likelihood(
        repeats, last, age
    )
    assert chance == pytest.approx(np.exp(apart))
    # a customer without a repeat is alive: gamma-mixed exponential waits
    never = (np.zeros(1), np.zeros(1), np.array([10.0]))
    alone = buying.bg_nbd_no_order(PARAMETERS, np.ones(1), never, 13.0)
    assert alone == pytest.approx([((4.414 + 10) / (4.414 + 23)) ** 0.243])


def test_equal_histories_are_one_row_with_a_weight() -> None:
    seen = {}

    class Fitter:
        def __init__(self, penalizer_coef: float) -> None:
            pass

        def fit(self, *arrays: np.ndarray, weights: np.ndarray) -> Fitter:
            seen.update(rows=np.column_stack(arrays).tolist(), weights=weights.tolist())
            return self

    same = np.array([0.0, 1.0, 0.0])
    buying.fitted_to((same, same, same), Fitter)
    assert seen == {"rows": [[0, 0, 0], [1, 1, 1]], "weights": [2, 1]}


def test_lags_see_nothing_of_their_weeks() -> None:
    random = np.random.default_rng(3)
    units = random.poisson(9, (4, 80)).astype(float)
    units[1, :70] = np.nan  # began late
    first = pd.Timestamp("2022-01-03")
    rows, scale, actual = lags._rows(units, 60, 3, 52, first)
    changed = units.copy()
    changed[:, 60:] = 1e6
    again, scale_again, came = lags._rows(changed, 60, 3, 52, first)
    np.testing.assert_array_equal(rows, again)
    np.testing.assert_array_equal(scale, scale_again)
    assert actual[[0, 2, 3]].tolist() == units[[0, 2, 3], 63].tolist()
    assert np.isnan(actual[1])
    assert np.isnan(came[1])


def test_trees_find_the_season_of_last_year() -> None:
    weeks = pd.date_range("2021-01-04", periods=160, freq="W-MON")
    season = 10 + 8 * np.cos(2 * np.pi * np.arange(168) / 52)
    series = pd.concat(
        pd.DataFrame({"unique_id": f"p{n}", "ds": weeks, "y": (n + 1) * season[:160]})
        for n in range(10)
    )
    series.loc[series.sample(frac=0.05, random_state=1).index, "y"] = np.nan  # not known
    forecast = lags.forecast_by_trees(series, 8, 52)
    assert forecast["week_start_date"].min() == weeks[-1] + pd.Timedelta(weeks=1)
    expected = np.concatenate([(n + 1) * season[160:] for n in range(10)])
    assert np.abs(forecast["p50"] / expected - 1).mean() < 0.1
    assert (forecast["p10"] <= forecast["p90"]).all()


def test_bands_of_recency_are_by_days() -> None:
    assert history.band_of_recency(pd.Series([1, 30, 31, 400])).tolist() == [0, 0, 1, 5]


def test_segments_of_peers_are_those_of_plain_scikit_learn(tmp_path) -> None:
    random = np.random.default_rng(5)
    dates = pd.Timestamp("2022-01-01") + pd.to_timedelta(random.integers(0, 500, 900), unit="D")
    names = random.choice([f"c{number:03d}" for number in range(150)], 900)
    days = pd.DataFrame({"customer_id": names, "day_date": dates, "count_orders": 1})
    days = days.drop_duplicates(["customer_id", "day_date"])
    days["net_amount"] = random.lognormal(3, 1, len(days)).round(2)
    days.to_parquet(tmp_path / "customer_days.parquet")
    cut = pd.Timestamp("2023-04-01")
    rows = pd.concat(segments.predict(tmp_path, cut).frames)
    plain = days[days["day_date"] < cut - pd.Timedelta(days=90)].groupby("customer_id")
    last = (cut - pd.Timedelta(days=90) - plain["day_date"].max()).dt.days
    points = np.log1p(np.column_stack([last, plain.size() - 1, plain["net_amount"].sum()]))
    points = (points - points.mean(axis=0)) / points.std(axis=0)
    fitted = KMeans(4, n_init=10, random_state=1).fit_predict(points)
    found = rows[(rows["model"] == "kmeans_4") & (rows["moment"] == "before")]
    assert found["customer_id"].tolist() == list(last.index)
    assert adjusted_rand_score(found["label"], fitted) > 0.95
    assert set(rows["model"]) == {"one_segment", *segments.METHODS}
    judged = judge.segments(rows, days, cut).figures
    assert judged.loc["one_segment", "spend_r2"] < 0.05
    assert judged.loc[list(segments.METHODS), "stability"].between(0, 1).all()
