"""Figures of past scores by hand, and the limit from a backtest."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd
import pytest
from lifelines.utils import concordance_index

from ml_tasks import question as questions
from ml_tasks.churn import figures as churn
from ml_tasks.clv import figures as clv
from ml_tasks.demand import lookback as demand
from ml_tasks.demand.panel import Panel
from ml_tasks.evaluation import metrics
from ml_tasks.evaluation.comparison import Evaluation
from ml_tasks.lookback import backtest
from ml_tasks.lookback.happened import Due
from ml_tasks.survival import figures as survival
from tests.planted_figures import report_of


def test_churn_by_hand():
    """Three pairs of a customer who stayed away and one who did not; one pair is ranked wrongly."""
    rows = pd.DataFrame(
        {"churn_probability_90d": [0.9, 0.4, 0.5, 0.2], "happened_orders": [0, 0, 2, 1]}
    )
    found = churn.figures(rows)
    assert found["auc"] == pytest.approx(3 / 4)
    assert found["brier"] == pytest.approx((0.1**2 + 0.6**2 + 0.5**2 + 0.2**2) / 4)
    assert found["mean_probability"] == pytest.approx(0.5)
    assert found["churn_rate"] == pytest.approx(0.5)
    assert found["mean_error"] == pytest.approx(0.0)


def test_clv_by_hand():
    rows = pd.DataFrame(
        {
            "predicted_spend_amount_90d": [10.0, 0.0, 30.0, np.nan],
            "predicted_spend_amount_90d_lower": [5.0, 0.0, 0.0, np.nan],
            "predicted_spend_amount_90d_p50": [8.0, 0.0, 20.0, np.nan],
            "predicted_spend_amount_90d_upper": [20.0, 0.0, 40.0, np.nan],
            "happened_spend_amount": [12.0, 2.0, 36.0, 99.0],
        }
    )
    found = clv.figures(rows, 90)
    assert found["gini"] == pytest.approx(1.0)
    assert found["total_error"] == found["bias_rate"] == pytest.approx(40 / 50 - 1)
    assert found["abs_total_error"] == pytest.approx(0.2)
    assert found["mean_absolute_error"] == pytest.approx((4 + 2 + 16) / 3)
    assert found["coverage_80"] == pytest.approx(2 / 3)


def test_survival_by_hand():
    """An order on the last day of the horizon counts, one a day later does not."""
    rows = pd.DataFrame(
        {
            "order_probability_30d": [0.8, 0.5, 0.1],
            "expected_days_to_next_order": [20.0, 40.0, 200.0],
            "happened_days": [30.0, 31.0, np.nan],
        }
    )
    found = survival.figures(rows, 30)
    assert found["order_rate"] == pytest.approx(1 / 3)
    assert found["brier"] == pytest.approx((0.2**2 + 0.5**2 + 0.1**2) / 3)
    assert found["concordance"] == pytest.approx(1.0)


def test_survival_of_a_date_that_scored_nobody_has_no_figures():
    names = ["order_probability_30d", "expected_days_to_next_order", "happened_days"]
    found = survival.figures(pd.DataFrame(columns=names, dtype=float), 30)
    assert list(found) == ["concordance"]
    assert np.isnan(found["concordance"])


@pytest.mark.parametrize("seed", range(3))
def test_concordance_is_harrells(seed):
    random = np.random.default_rng(seed)
    days = random.integers(1, 300, 500)
    expected = np.round(days * 0.5 + random.normal(0, 80, 500))  # ties among them
    ours = metrics.concordance(days, expected, 180)
    theirs = concordance_index(np.minimum(days, 180), expected, days <= 180)
    assert ours == pytest.approx(theirs, abs=1e-12)


def test_concordance_without_an_order_is_unknown():
    assert np.isnan(metrics.concordance([99, 99], [1, 2], 30))


def forecast(product: str, week: int, median: float, came: int) -> dict[str, object]:
    quantiles = dict(zip(demand.QUANTILES, (median - 1, median, median + 1), strict=True))
    row = {"product_id": product, "horizon_weeks": week, "happened_units": came}
    return row | quantiles | {demand.MEAN: median + 0.5}


def test_demand_by_hand():
    """a steps by 2 units, b by 1; b has three quarters of the revenue; c has no recent sale."""
    past = Panel(
        np.array(["a", "b", "c"]),
        date(2011, 1, 3),
        np.array([[2.0, 4, 2, 4], [1, 2, 1, 2], [0, 0, 0, 0]]),
        np.array([[2.0, 2, 2, 4], [6, 6, 6, 12], [0, 0, 0, 0]]),
        np.array(["all", "all", "all"]),
    )
    rows = pd.DataFrame(
        [
            forecast("a", 1, 3, 5), forecast("a", 2, 3, 3),
            forecast("b", 1, 2, 2), forecast("b", 2, 2, 5),
        ]
    )  # fmt: skip
    found = {part.name: part.values for part in demand.of_products(rows, past)}
    assert set(found) == {"all", "week: 1", "week: 2"}
    a, b = np.sqrt((4 + 0) / 2 / 4), np.sqrt((0 + 9) / 2 / 1)
    assert found["all"]["wrmsse"] == pytest.approx(0.25 * a + 0.75 * b)
    assert found["all"]["mase"] == pytest.approx((1 / 2 + 1.5 / 1) / 2)
    assert found["all"]["bias_rate"] == pytest.approx(12 / 15 - 1)  # of means, not of medians
    assert found["all"]["coverage_p10_p90"] == pytest.approx(2 / 4)
    assert found["week: 1"]["wrmsse"] == pytest.approx(0.25 * 1 + 0.75 * 0)
    assert found["week: 2"]["coverage_p10_p90"] == pytest.approx(1 / 2)


def test_demand_is_known_once_its_last_week_is_over():
    """2011-09-10 is a Saturday: its weeks begin on the 12th."""
    stamp = (1, "m", "v", date(2011, 9, 1))
    scored = date(2011, 9, 10)
    for name, days, known_on in (
        ("demand", 56, date(2011, 11, 7)),
        ("churn", 90, date(2011, 12, 9)),
    ):
        question = questions.load(name)
        assert days in question.contract.horizons_days
        due = Due(name, scored, days, question.horizon_begins(scored), *stamp)
        assert due.known_on_date == known_on


def test_limit_by_hand():
    """Mean .80, standard deviation .02, three cuts: .80 - 3 * .02 * sqrt(4 / 3)."""
    found = backtest.expected("auc", [0.78, 0.80, 0.82], 0.005)
    assert found.value == pytest.approx(0.80)
    assert found.spread == pytest.approx(0.02)
    assert found.limit == pytest.approx(0.80 - 0.06 * np.sqrt(4 / 3))
    assert found.is_worse("auc", found.limit - 1e-9)
    assert not found.is_worse("auc", found.limit + 1e-9)


def test_less_is_better_for_errors():
    found = backtest.expected("wrmsse", [0.8, 0.9], np.nan)
    assert found.limit > 0.9
    assert found.is_worse("wrmsse", 2.0)
    assert not found.is_worse("wrmsse", 0.0)


def test_cuts_that_agree_by_chance_leave_room_for_sampling():
    assert backtest.expected("auc", [0.8, 0.8], 0.01).limit == pytest.approx(
        0.8 - 0.03 * np.sqrt(1.5)
    )
    assert np.isnan(backtest.expected("auc", [0.8], np.nan).limit)
    assert backtest.expected("auc", [], 0.01).is_worse("auc", 0.1) is None
    assert backtest.expected("churn_rate", [0.5, 0.6], 0.01).is_worse("churn_rate", 0.0) is None


def simulated_auc(random: np.random.Generator, strength: float, count: int = 1_000) -> float:
    score = random.normal(size=count)
    return metrics.auc(random.random(count) < 1 / (1 + np.exp(-strength * score)), score)


def test_noise_seldom_alerts_and_a_model_that_has_decayed_does():
    """Three cuts, then one more date, of the same model; its sampling error is about .013."""
    random = np.random.default_rng(4)
    as_ever, decayed = 0, 0
    for _ in range(300):
        tested = backtest.expected("auc", [simulated_auc(random, 2.0) for _ in range(3)], 0.013)
        as_ever += bool(tested.is_worse("auc", simulated_auc(random, 2.0)))
        decayed += bool(tested.is_worse("auc", simulated_auc(random, 0.7)))
    assert as_ever <= 6
    assert decayed >= 285


def test_each_metric_of_the_published_model_is_read_on_each_cut():
    rows = [("1", "m", 0.8), ("1", "b", 0.1), ("2", "m", 0.7), ("3", "m", None)]
    report = report_of([{"cut_date": day, "model": name, "auc": auc} for day, name, auc in rows])
    assert backtest.of_cuts(Evaluation.from_report(report, "m")) == {"auc": [0.8, 0.7]}
    assert backtest.of_cuts(Evaluation.from_report({}, "m")) == {}
