"""Verdicts and calibration of the benchmark against closed forms, repeated rows and simulation."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from lifelines.utils import concordance_index
from statsmodels.stats.multitest import multipletests

from benchmarks import judge
from benchmarks.judge import calibration
from benchmarks.judge.paired import Auc, Concordance, Gini, Mean
from benchmarks.judge.verdicts import holm
from ml_tasks.evaluation import metrics


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(11)


def repeated(counts: np.ndarray, *arrays: np.ndarray) -> list[np.ndarray]:
    """The arrays of a draw: each row repeated as often as it was drawn."""
    rows = np.repeat(np.arange(len(counts)), counts.astype(int))
    return [array[rows] for array in arrays]


def test_a_draw_equals_its_rows_repeated(random: np.random.Generator) -> None:
    n = 60
    score = random.integers(0, 8, n).astype(float)  # many ties
    event = random.random(n) < 0.4
    amount = np.where(event, random.gamma(1, 50, n), 0.0)
    weight = random.random(n)
    counts = random.multinomial(n, np.full(n, 1 / n), size=5).astype(float)
    for row, auc, gini, mean in zip(
        counts,
        Auc(event, score).of(counts),
        Gini(amount, score).of(counts),
        Mean(amount, weight).of(counts),
        strict=True,
    ):
        events, scores, amounts, weights = repeated(row, event, score, amount, weight)
        assert auc == pytest.approx(metrics.auc(events, scores))
        assert gini == pytest.approx(metrics.normalised_gini(amounts, scores))
        assert mean == pytest.approx(np.average(amounts, weights=weights))


def test_one_kind_only_has_no_auc() -> None:
    assert np.isnan(Auc(np.zeros(3, dtype=bool), np.arange(3.0)).of(np.ones((1, 3)))[0])


def test_concordance_is_harrells_and_its_spread_that_of_repeated_rows(
    random: np.random.Generator,
) -> None:
    n = 300
    wait = random.integers(1, 91, n).astype(float)
    is_ordered = random.random(n) < 0.5
    wait[~is_ordered] = 90
    rank = np.round(wait + random.normal(0, 60, n), -1)
    measure = Concordance(wait, is_ordered, rank)
    exact = concordance_index(wait, rank, is_ordered)
    assert measure.of(np.ones((1, n)))[0] == pytest.approx(exact)
    counts = random.multinomial(n, np.full(n, 1 / n), size=400).astype(float)
    drawn = []
    for row in counts:
        waits, ranks, ordered = repeated(row, wait, rank, is_ordered)
        drawn.append(concordance_index(waits, ranks, ordered))
    assert measure.of(counts).std() == pytest.approx(np.std(drawn), rel=0.1)


def test_spread_of_a_mean_is_its_standard_error(random: np.random.Generator) -> None:
    n = 400
    ours, theirs = random.gamma(2, 1, n), random.gamma(2, 1, n)
    judgement = judge.Judgement(
        pd.DataFrame(), {"brier": {"we": Mean(ours), "p": Mean(theirs), "same": Mean(ours)}}
    )
    verdicts = judge.paired(judgement, "we").set_index("peer")
    apart = theirs - ours  # lower is better
    assert verdicts.loc["p", "difference"] == pytest.approx(apart.mean())
    assert verdicts.loc["p", "spread"] == pytest.approx(apart.std() / np.sqrt(n), rel=0.1)
    assert verdicts.loc["same", "p_value"] == 1
    again = judge.paired(judgement, "we").set_index("peer")
    assert again.equals(verdicts)


def test_spread_of_auc_is_delongs(random: np.random.Generator) -> None:
    """DeLong, DeLong and Clarke-Pearson (1988), Biometrics 44:837-845."""
    n = 500
    event = random.random(n) < 0.3
    scores = [event + random.normal(0, spread, n) for spread in (1.0, 1.5)]
    judgement = judge.Judgement(
        pd.DataFrame(),
        {"auc": dict(zip(("we", "p"), (Auc(event, s) for s in scores), strict=True))},
    )
    verdicts = judge.paired(judgement, "we").iloc[0]
    wins = [(s[event][:, None] > s[~event]).astype(float) for s in scores]
    apart = wins[0] - wins[1]
    variance = apart.mean(axis=1).var(ddof=1) / event.sum()
    variance += apart.mean(axis=0).var(ddof=1) / (~event).sum()
    assert verdicts["difference"] == pytest.approx(apart.mean())
    assert verdicts["spread"] == pytest.approx(np.sqrt(variance), rel=0.1)


def test_holms_correction_is_statsmodels() -> None:
    p_values = pd.Series([0.04, 0.001, np.nan, 0.03, 0.2])
    ours = holm(p_values)
    theirs = multipletests(p_values.dropna(), method="holm")[1]
    assert ours.dropna().to_numpy() == pytest.approx(theirs)
    assert np.isnan(ours[2])


def test_a_family_is_corrected_as_a_whole() -> None:
    rows = pd.DataFrame(
        {
            "group": ["a"] * 3 + ["b"],
            "measure": "auc",
            "difference": [0.1, -0.1, 0.1, 0.1],
            "p_value": [0.01, 0.02, 0.6, 0.04],
        }
    )
    verdicts = judge.decide(rows, ["group", "measure"])
    assert verdicts["verdict"].tolist() == ["better", "worse", "tie", "better"]
    more = pd.concat([rows, rows.iloc[[1]].assign(p_value=0.019)], ignore_index=True)
    # four comparisons of shop a: .01, .019 and .02 become .04, .057 and .057
    verdicts = judge.decide(more, ["group", "measure"])
    assert verdicts["verdict"].tolist() == ["better", "tie", "tie", "better", "tie"]


def test_cuts_together_are_as_sure_as_their_sum() -> None:
    rows = pd.DataFrame({"difference": [0.01, 0.03], "spread": [0.003, 0.004]})
    # .04 over sqrt(9 + 16) / 1,000 is 8 standard errors
    assert judge.pooled(rows) == pytest.approx(1.2442e-15, rel=1e-3)
    rows = pd.DataFrame({"difference": [0.0196, 0.0], "spread": [0.006, 0.008]})
    assert judge.pooled(rows) == pytest.approx(0.05, abs=1e-4)
    assert np.isnan(judge.pooled(rows.assign(spread=[0.006, np.nan])))


def test_signs_over_shops() -> None:
    # five of five: 2 / 2 ** 5; a shop with equal figures does not count
    assert judge.decide_signs(pd.Series([1.0, 2, 3, 1, 1, 0, np.nan])) == (5, 5, 2 / 32)
    assert judge.decide_signs(pd.Series([1.0, -1])) == (1, 2, 1.0)


def test_a_perfect_model_stays_below_its_limit_nineteen_times_in_twenty(
    random: np.random.Generator,
) -> None:
    chance = random.beta(0.5, 3, 800)
    limit = calibration.perfect_limit(chance)
    errors = [metrics.calibration_error(random.random(800) < chance, chance) for _ in range(1_000)]
    assert np.mean(np.array(errors) <= limit) == pytest.approx(0.95, abs=0.02)
    off = metrics.calibration_error(random.random(800) < np.sqrt(chance), chance)
    assert off > limit


def test_places_in_a_true_distribution_are_uniform(random: np.random.Generator) -> None:
    """Spend is 0 or exponential; probability and mean differ between customers."""
    n = 5_000
    chance, mean = random.beta(1, 1, n), random.gamma(2, 20, n)
    actual = np.where(random.random(n) < chance, random.exponential(mean), 0.0)

    def quantiles(true_mean: np.ndarray) -> np.ndarray:
        levels = np.array(calibration.LEVELS)
        of_buyers = (levels - (1 - chance[:, None])) / chance[:, None]
        return -np.log1p(-of_buyers.clip(0)) * true_mean[:, None]

    right = calibration.randomised_pit(actual, chance, quantiles(mean))
    assert calibration.uniformity(right)["pit_p"] > 0.05
    assert right.mean() == pytest.approx(0.5, abs=0.01)
    narrow = calibration.randomised_pit(actual, chance, quantiles(mean / 2))
    assert calibration.uniformity(narrow)["pit_p"] < 1e-6
    half = calibration.randomised_pit(actual, chance / 2, quantiles(mean))
    assert calibration.uniformity(half)["pit_p"] < 1e-6
