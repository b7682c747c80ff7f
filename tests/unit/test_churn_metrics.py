"""Metrics against other libraries, naive implementations and closed forms."""

import itertools

import numpy as np
import pytest
from sklearn import metrics as sk

from ml_tasks.evaluation import metrics


@pytest.fixture
def rows():
    rng = np.random.default_rng(11)
    score = rng.integers(0, 30, 400) / 30  # many ties
    return (rng.random(400) < score).astype(int), score, rng.gamma(0.5, 100, 400) * (score > 0.4)


def naive_gini(amount, score):
    """Mean over all pairs of (difference of amounts) * sign(difference of scores), n squared."""
    pairs = itertools.product(range(len(amount)), repeat=2)
    return sum((amount[i] - amount[j]) * np.sign(score[i] - score[j]) for i, j in pairs)


def test_auc_equals_sklearns_with_ties(rows):
    is_event, score, _ = rows
    assert metrics.auc(is_event, score) == pytest.approx(sk.roc_auc_score(is_event, score))


def test_auc_counts_a_tie_as_half_a_win():
    assert metrics.auc([1, 0, 0], [0.5, 0.5, 0.1]) == pytest.approx((0.5 + 1) / 2)


def test_auc_of_one_class_is_unknown():
    assert np.isnan(metrics.auc([1, 1], [0.2, 0.9]))


def test_log_loss_equals_sklearns(rows):
    is_event, score, _ = rows
    p = np.clip(score, 0.01, 0.99)
    assert metrics.log_loss(is_event, p) == pytest.approx(sk.log_loss(is_event, p))


def test_certainty_that_was_wrong_costs_much_but_not_everything():
    assert metrics.log_loss([1], [0.0]) == pytest.approx(-np.log(metrics.PROBABILITY_FLOOR))


def test_gini_equals_its_definition_over_all_pairs(rows):
    _, score, amount = rows
    expected = naive_gini(amount, score) / naive_gini(amount, amount)
    assert metrics.normalised_gini(amount, score) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("score", "expected"),
    [
        pytest.param([1, 2, 3, 4], 1.0, id="same order as the amounts"),
        pytest.param([4, 3, 2, 1], -1.0, id="the wrong way round"),
        pytest.param([7, 7, 7, 7], 0.0, id="no order at all"),
    ],
)
def test_gini_at_its_ends(score, expected):
    assert metrics.normalised_gini([0.0, 1.0, 5.0, 90.0], score) == pytest.approx(expected)


def test_gini_of_equal_amounts_is_unknown():
    assert np.isnan(metrics.normalised_gini([3.0, 3.0], [1, 2]))


def test_gini_of_events_is_the_auc_stretched(rows):
    # for 0/1 amounts without ties in the score: Gini = 2 AUC - 1
    is_event, score, _ = rows
    score = score + np.arange(len(score)) * 1e-9
    assert metrics.normalised_gini(is_event, score) == pytest.approx(
        (2 * metrics.auc(is_event, score) - 1), abs=1e-9
    )


def test_calibration_error_is_the_shift_of_a_shifted_probability():
    # a hundred rows at each of ten probabilities, with exactly that share of events
    share = np.repeat(np.arange(10) / 10, 100)
    is_event = np.concatenate([np.arange(100) < 100 * s / 10 for s in range(10)])
    assert metrics.calibration_error(is_event, share) == pytest.approx(0.0)
    assert metrics.calibration_error(is_event, share + 0.03) == pytest.approx(0.03)


def test_bins_hold_every_row_once_and_equally_many():
    bins = metrics.equal_count_bins(np.random.default_rng(0).random(103))
    assert sorted(np.concatenate(bins)) == list(range(103))
    assert {len(b) for b in bins} == {10, 11}
    assert len(metrics.equal_count_bins([0.1, 0.2])) == 2


def test_total_error_is_relative_to_what_happened():
    assert metrics.total_error([10.0, 30.0], [20.0, 30.0]) == pytest.approx(0.25)
    assert np.isnan(metrics.total_error([0.0], [1.0]))
