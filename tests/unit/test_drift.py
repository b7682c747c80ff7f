"""Distances by hand, no alarm on noise or on an ordinary month, an alarm on a planted shift."""

from __future__ import annotations

import json
from datetime import date

import numpy as np
import pandas as pd
import pytest

from ml_tasks.drift import distance
from ml_tasks.drift.comparison import Tally, compare
from ml_tasks.trained_model import canonical_json

COLUMNS = [f"x{number}" for number in range(12)]


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ([5, 5], [1, 1], 0.0),
        ([1, 0], [0, 7], 1.0),
        # 0.75 log2(4/3) + 0.25 log2(... ): the textbook's 0.311278 bits
        ([1, 1], [4, 0], np.sqrt(0.311278)),
    ],
)
def test_distance_by_hand(a, b, expected):
    assert distance.distance(np.array(a), np.array(b)) == pytest.approx(expected, abs=1e-6)


def test_bins_by_hand():
    """An edge belongs to the bin below it; missing values have a bin of their own."""
    values = np.array([0.0, 1.0, 1.5, 2.0, 9.0, np.nan])
    assert distance.counts(values, [1.0, 2.0]).tolist() == [2, 2, 1, 1]
    assert distance.counts(np.array([np.nan]), []).tolist() == [0, 1]


def sample(random: np.random.Generator, count: int = 1_500, season: float = 0.0) -> pd.DataFrame:
    """Skewed, heaped and missing values, as in customers' features."""
    frame = pd.DataFrame(random.lognormal(season, 1, (count, len(COLUMNS))), columns=COLUMNS)
    frame["x0"] = random.poisson(1.0, count)
    frame["x1"] = frame["x1"].where(random.random(count) < 0.6)
    return frame.assign(customer_id="somebody", country="A")


def stored(random: np.random.Generator, seasons: tuple[float, ...] = (0.0,) * 5) -> dict:
    months = [sample(random, season=season) for season in seasons]
    kept = {"features": distance.reference(months[-1], months[:-1])}
    kept["scores"] = distance.reference(months[-1][["x2"]].rename(columns={"x2": "score"}))
    return kept


def tallies(kept: dict, features: pd.DataFrame, scores: pd.DataFrame) -> dict[str, Tally]:
    """Features counted in two parts, one of them by somebody else; scores at once."""
    counted = {kind: Tally(stored) for kind, stored in kept.items()}
    elsewhere = Tally(kept["features"])
    elsewhere.add(features[::3])
    counted["features"].add_json(json.loads(json.dumps(elsewhere.as_json())))
    counted["features"].add(features.drop(index=features.index[::3]))
    counted["scores"].add(scores)
    return counted


def alarms(kept: dict, now: pd.DataFrame, age_days: int = 9) -> list[str]:
    scores = now[["x2"]].rename(columns={"x2": "score"})
    found = compare(kept, tallies(kept, now, scores), age_days)
    assert len(found) == len(COLUMNS) + 1
    return [one.column_name for one in found if one.value > one.threshold]


def test_noise_is_no_drift():
    random = np.random.default_rng(0)
    assert sum(len(alarms(stored(random), sample(random))) for _ in range(40)) == 0


def test_noise_alone_keeps_its_level():
    """Without the months' tolerance, at most one of 4,000 comparisons exceeds the noise limit."""
    random = np.random.default_rng(1)
    limit = distance.noise(11, 1_000, 2_000)
    edges = np.quantile(random.normal(size=100_000), np.arange(1, 11) / 11)
    distances = [
        distance.distance(*(np.bincount(np.searchsorted(edges, random.normal(size=n)), minlength=11)
                         for n in (1_000, 2_000)))
        for _ in range(4_000)
    ]  # fmt: skip
    assert np.mean(np.array(distances) > limit) <= 0.001
    assert np.quantile(distances, 0.999) > 0.8 * limit  # and the limit is not too wide


def test_a_planted_shift_is_reported_for_its_column_only():
    random = np.random.default_rng(2)
    now = sample(random)
    assert alarms(stored(random), now.assign(x5=now["x5"] * 2)) == ["x5"]
    assert alarms(stored(random), now.assign(x1=np.nan)) == ["x1"]
    assert set(alarms(stored(random), now.assign(x2=now["x2"] * 3))) == {"x2", "score"}


def test_a_month_that_differs_as_months_do_is_no_drift():
    random = np.random.default_rng(3)
    restless = stored(random, (0.0, 0.4, 0.0, 0.4, 0.0))
    assert alarms(restless, sample(random, season=0.3)) == []
    assert alarms(stored(random), sample(random, season=0.4)) != []
    assert alarms(restless, sample(random, season=1.5)) != []


def test_an_old_model_is_given_more_room():
    random = np.random.default_rng(4)
    kept = stored(random, (0.0, 0.2, 0.4, 0.6, 0.8))  # a steady trend
    next_quarter = sample(random, season=1.3)
    assert alarms(kept, next_quarter, age_days=80) == []
    assert alarms(kept, next_quarter, age_days=5) != []


def test_a_young_shop_has_no_threshold_and_a_small_one_no_rows():
    random = np.random.default_rng(5)
    young = {
        "features": distance.reference(sample(random)),
        "scores": distance.reference(sample(random)),
    }
    now = tallies(young, sample(random), sample(random))
    found = compare(young, now, 9)
    assert len(found) == 2 * len(COLUMNS)
    assert all(np.isnan(one.threshold) for one in found)
    small = sample(random, count=distance.MIN_ROWS - 1)
    assert compare(young, tallies(young, small, small), 9) == []


def test_reference_is_json_and_does_not_depend_on_the_order_of_rows():
    frame = sample(np.random.default_rng(6))
    turned = frame.iloc[::-1]
    assert canonical_json(distance.reference(frame)) == canonical_json(distance.reference(turned))


def test_months_before_a_training_date():
    months = distance.month_starts(date(2011, 3, 1))
    assert (len(months), months[0], months[-1]) == (12, date(2010, 3, 1), date(2011, 2, 1))
