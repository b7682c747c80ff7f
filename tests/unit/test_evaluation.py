"""Weights, levels and origins: against closed forms, planted models and dates by hand."""

import numpy as np
import pandas as pd
import pytest

from ml_tasks.evaluation import levels, weights
from ml_tasks.evaluation.origins import origins_of

PRIOR = np.full(2, 0.5)


def planted(count_dates: int, rows: int, seed: int = 1):
    """Two models' log odds (the first is true, the second noise), and the outcomes."""
    random = np.random.default_rng(seed)
    date = np.repeat(np.arange(count_dates), rows)
    truth, noise = random.normal(0, 1.5, (2, count_dates * rows))
    level = random.normal(0, 1.0, count_dates)[date]  # a season that neither model knows
    happened = (random.random(len(date)) < 1 / (1 + np.exp(-truth - level))).astype(float)
    return np.column_stack([truth, noise]), happened, date


def test_the_model_that_is_right_gets_the_weight_as_dates_add_up():
    found = [weights.weights(*planted(dates, 1_000), PRIOR) for dates in (1, 12, 60)]
    right, wrong = np.array(found).T
    assert right.tolist() == sorted(right)
    assert wrong[0] > 0.1 > wrong[1:].max()
    # the true model has weight 1, noise 0, whatever the levels of the dates
    assert found[-1] == pytest.approx([1.0, 0.0], abs=0.05)


def test_weights_are_those_of_a_penalised_likelihood():
    # one date, one model: the maximum of sum(log likelihood) - 200 (w - 1)**2 / 2 by brute force
    log_odds, happened, date = planted(1, 500)
    log_odds = log_odds[:, :1]
    away = log_odds[:, 0] - log_odds[:, 0].mean()

    def loss(weight: float) -> float:
        grid = np.linspace(-4, 4, 4_001)[:, None] + weight * away
        fits = (np.logaddexp(0, grid) - happened * grid).sum(axis=1)
        return float(fits.min() + 200 * (weight - 1) ** 2 / 2)

    tried = np.linspace(0, 2, 201)
    best = tried[np.argmin([loss(one) for one in tried])]
    assert weights.weights(log_odds, happened, date, np.ones(1))[0] == pytest.approx(
        best, abs=0.011
    )


def test_a_large_date_moves_no_more_than_one_of_a_thousand_customers():
    log_odds, happened, date = planted(1, 1_000)
    large = [np.repeat(values, 50, axis=0) for values in (log_odds, happened, date)]
    small = weights.weights(log_odds, happened, date, PRIOR)
    assert weights.weights(*large, PRIOR) == pytest.approx(small, abs=1e-3)


def test_without_evidence_the_prior_stays():
    log_odds, happened, date = planted(2, 50)
    nobody = np.zeros(len(happened))
    assert weights.weights(log_odds, nobody, date, PRIOR).tolist() == PRIOR.tolist()
    assert weights.weights(log_odds[:0], nobody[:0], date[:0], PRIOR).tolist() == PRIOR.tolist()


def test_a_missing_model_gets_the_others_mean():
    log_odds = np.array([[1.0, np.nan, 3.0], [1.0, 2.0, 3.0]])
    found = weights.filled(log_odds, np.array([0.25, 0.5, 0.75]))
    assert found[0] == pytest.approx([1.0, (0.25 * 1 + 0.75 * 3) / 1.0, 3.0])
    assert found[1].tolist() == [1.0, 2.0, 3.0]


def test_what_is_missed_each_time_is_corrected_and_what_comes_and_goes_is_not():
    dates = 12
    steady = np.full(dates, -2.0)
    season = np.tile([0.3, -0.3], dates // 2)
    found = levels.learnt(np.column_stack([steady, season]), np.full(dates, 1e-4))
    assert found.correction[0] == pytest.approx(-2.0, abs=0.05)
    assert found.correction[1] == pytest.approx(0.0, abs=0.01)
    assert found.weight.sum() == pytest.approx(1)
    assert found.weight[0] > found.weight[1]  # after the correction it misses nothing


def test_one_date_corrects_only_what_no_surprise_explains():
    # a usual surprise is .25 in log odds, and one date is a third of a piece of news
    small, gross = (
        levels.learnt(np.array([[m]]), np.array([1e-4])).correction[0] for m in (0.3, -2)
    )
    assert small == 0
    assert gross == pytest.approx(-2 * (1 - (0.25**2 * 2 / (1 / 3 + 2)) * 3 / 4), abs=0.02)


def test_few_customers_are_no_evidence_of_a_level():
    missed = np.full((6, 1), 0.8)
    of_many, of_few = (
        levels.learnt(missed, np.full(6, variance)).correction[0] for variance in (1e-3, 1.0)
    )
    assert of_many > 0.6
    assert of_few < of_many / 2


def test_untested_models_count_alike():
    found = levels.learnt(np.empty((0, 3)), np.empty(0))
    assert found.of(np.array([0.0, 1.0, 2.0])) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("count", "first_dates"),
    [
        pytest.param(0, [], id="nothing known"),
        pytest.param(2, [], id="too young"),
        pytest.param(4, ["2024-04-01"], id="one origin of what there is"),
        pytest.param(9, ["2024-04-01", "2024-05-01", "2024-08-01"], id="the oldest is cut short"),
        pytest.param(30, ["2025-08-01", "2025-11-01", "2026-02-01", "2026-05-01"], id="the newest"),
    ],
)
def test_origins_lie_three_dates_apart_and_end_with_the_newest(count, first_dates):
    dates = pd.date_range("2024-02-01", periods=count, freq="MS")
    found = origins_of(pd.DataFrame({"as_of_date": dates}), pd.Timestamp("2024-01-15"))
    assert [str(origin.date.date()) for origin in found] == first_dates
    if found:
        assert found[-1].predicted_dates[-1] == dates[-1]
        dates_asked = [day for origin in found for day in origin.predicted_dates]
        assert dates_asked == sorted(set(dates_asked))
        assert dates_asked[0] >= pd.Timestamp("2024-01-15") + pd.Timedelta(days=60)
