"""Bias on past dates: by hand, and warnings of biased planted models only."""

from __future__ import annotations

import numpy as np
import pytest

from ml_tasks import question as questions_of
from ml_tasks.evaluation import bias
from ml_tasks.evaluation.bias import Bias, BiasFigures, with_warnings
from ml_tasks.evaluation.comparison import Evaluation
from perennial.contracts import PREDICTS, load, questions
from tests.planted_figures import report_of

TOTAL = BiasFigures("predicted", "came")
RATE = BiasFigures("mean_probability", "rate", is_rate=True)


def report(*cuts: dict[str, float], name: str = "m") -> dict[str, object]:
    return report_of(
        [{"cut_date": f"2024-0{n}-01", "model": name, **c} for n, c in enumerate(cuts, 1)]
    )


def bias_of(stored: dict[str, object], name: str, figures: BiasFigures) -> Bias:
    return bias.bias_of(Evaluation.from_report(stored, name), figures)


def test_by_hand():
    stored = report({"predicted": 13.0, "came": 10.0}, {"predicted": 15.0, "came": 10.0})
    found = bias_of(stored, "m", TOTAL)
    assert found.of_cuts == pytest.approx((0.3, 0.5))
    assert found.mean == pytest.approx(0.4)
    assert found.standard_error == pytest.approx(0.1)  # .2 / sqrt(2) / sqrt(2)
    (warning,) = bias.warnings(stored, "m", TOTAL)
    assert "too high" in warning
    assert "1.40 times" in warning
    assert "+40%, mean of 2 cuts, bound 15%" in warning


def test_a_rate_is_off_by_the_rarer_side():
    """.99 predicted and .97 stayed away: two thirds of those who come back were not expected."""
    found = bias_of(report({"mean_probability": 0.99, "rate": 0.97}), "m", RATE)
    assert found.of_cuts == pytest.approx((2 / 3,))
    assert bias_of(report({"mean_probability": 0.01, "rate": 0.03}), "m", RATE).of_cuts == (
        pytest.approx((-2 / 3,))
    )


@pytest.mark.parametrize(
    "cuts",
    [
        pytest.param([], id="no cut"),
        pytest.param([{"predicted": 3.0, "came": 0.0}], id="nothing came"),
        pytest.param([{"other": 1.0}], id="no such figure"),
        pytest.param([{"predicted": 14.0, "came": 10.0}, {"predicted": 6.0, "came": 10.0}],
                     id="cuts disagree"),
        pytest.param([{"predicted": 16.0, "came": 10.0}, {"predicted": 10.0, "came": 10.0}],
                     id="+60 % and 0: as likely chance"),
    ],
)  # fmt: skip
def test_no_warning_where_nothing_is_known(cuts):
    assert bias.warnings(report(*cuts), "m", TOTAL) == []


def simulated(random: np.random.Generator, factor: float, count: int) -> dict[str, object]:
    """Three cuts of customers with known probabilities, predicted `factor` times as high."""
    cuts = []
    for _ in range(3):
        chance = random.beta(2, 6, count)
        came = random.random(count) < chance
        cuts.append(
            {
                "mean_probability": float((factor * chance).mean()),
                "rate": float(came.mean()),
                "count_customers": count,
            }
        )
    return report(*cuts)


@pytest.mark.parametrize("count", [60, 3_000])
def test_a_model_that_is_right_is_seldom_warned_of_and_one_that_is_off_is(count):
    random = np.random.default_rng(5)
    right = sum(bool(bias.warnings(simulated(random, 1.0, count), "m", RATE)) for _ in range(300))
    off = sum(bool(bias.warnings(simulated(random, 1.6, count), "m", RATE)) for _ in range(300))
    assert right <= 15
    assert off >= (295 if count == 3_000 else 150)


def test_the_report_says_it_beside_what_it_warned_of_before():
    stored = report({"predicted": 5.0, "came": 10.0}) | {"warnings": ["young"]}
    found = with_warnings(stored, "m", TOTAL)
    assert found["warnings"][0] == "young"
    assert "too low" in found["warnings"][1]
    assert found["bias_rate"] == {"mean": -0.5, "of_cuts": [-0.5], "bound": bias.MAX_BIAS_RATE}


def test_the_count_of_customers_says_how_much_is_chance():
    """.2 predicted and .3 came: plausible chance for 20 customers, not for 20,000."""
    cut = {"mean_probability": 0.3, "rate": 0.2}
    few, many = (report({**cut, "count_customers": count}) for count in (20, 20_000))
    assert bias_of(few, "m", RATE).standard_error == pytest.approx((0.2 * 0.8 / 20) ** 0.5 / 0.2)
    assert bias.warnings(few, "m", RATE) == []
    assert len(bias.warnings(many, "m", RATE)) == 1


@pytest.mark.parametrize("question", [q for q in questions() if load(q).kind == PREDICTS])
def test_every_question_that_predicts_says_where_its_bias_is(question):
    assert isinstance(questions_of.load(question).bias, BiasFigures)
