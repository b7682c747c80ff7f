"""The rule between champion and challenger, on figures with an obvious answer."""

from __future__ import annotations

import math

import pytest

from ml_tasks.evaluation.comparison import Evaluation
from ml_tasks.evaluation.contest import (
    BETTER,
    CLOSE,
    HIGHER,
    KEPT,
    LOWER,
    PROMOTED,
    WAITING,
    WORSE,
    Column,
    Comparison,
    as_markdown,
    as_rows,
    compare,
    decide,
    is_equal,
)
from tests.planted_figures import report_of

JUDGED = {"auc": HIGHER, "log_loss": LOWER}
TESTED = Evaluation.from_report(
    report_of(
        [
            {"cut_date": "2011-06-01", "model": "trees", "auc": 0.80, "log_loss": 0.5},
            {"cut_date": "2011-06-01", "model": "recency", "auc": 0.70, "log_loss": None},
            {"cut_date": "2011-03-01", "model": "trees", "auc": 0.82, "log_loss": 0.4},
            {"cut_date": "2011-03-01", "model": "recency", "auc": 0.74, "log_loss": 0.6},
        ]
    ),
    "trees",
)


def column(**auc_by_cut: float) -> Column:
    return Column("m", {cut: {"auc": auc} for cut, auc in auc_by_cut.items()})


def test_only_cuts_of_both_models_count():
    (found,) = compare(column(a=0.5, b=0.6, c=0.7), column(b=0.7, c=0.9, d=0.1), {"auc": HIGHER})
    assert found.count_cuts == 2
    assert found.gain == pytest.approx(0.15)
    assert found.spread == pytest.approx(math.sqrt(2) * 0.05)  # of .1 and .2
    assert compare(column(a=0.5), column(b=0.5), {"auc": HIGHER}) == []


@pytest.mark.parametrize(
    ("gains", "says"),
    [
        pytest.param([0.02, 0.03, 0.04], BETTER, id="mean .03 beyond spread .01"),
        pytest.param([-0.02, -0.03, -0.04], WORSE, id="the same downwards"),
        pytest.param([0.09, -0.03, 0.00], CLOSE, id="mean .02 within spread .06"),
        pytest.param([0.0, 0.0, 0.0], CLOSE, id="no difference"),
        pytest.param([0.5], CLOSE, id="one cut has no spread"),
    ],
)
def test_a_difference_counts_beyond_its_spread(gains, says):
    cuts = [f"cut {number}" for number in range(len(gains))]
    ours = Column("m", {cut: {"auc": 0.5 + g} for cut, g in zip(cuts, gains, strict=True)})
    theirs = Column("m", {cut: {"auc": 0.5} for cut in cuts})
    assert compare(theirs, ours, {"auc": HIGHER})[0].verdict == says
    flipped = {BETTER: WORSE, WORSE: BETTER, CLOSE: CLOSE}[says]
    assert compare(theirs, ours, {"auc": LOWER})[0].verdict == flipped


def test_alike_to_the_last_digit_is_more_than_close():
    same, other = column(a=0.5, b=0.6), column(a=0.6, b=0.5)
    assert is_equal(compare(same, same, {"auc": HIGHER}))
    assert is_equal(compare(column(a=0.5), column(a=0.5), {"auc": HIGHER}))
    assert not is_equal(compare(same, other, {"auc": HIGHER}))
    assert not is_equal([])


def comparison(says: str) -> Comparison:
    return Comparison("auc", {BETTER: 2.0, WORSE: -2.0, CLOSE: 0.5}[says], 1.0, 3)


@pytest.mark.parametrize(
    ("says", "decision"),
    [
        ([BETTER, BETTER], PROMOTED),
        ([BETTER, CLOSE], WAITING),
        ([CLOSE, CLOSE], WAITING),
        ([BETTER, WORSE], WAITING),
        ([CLOSE, WORSE], KEPT),
        ([WORSE, WORSE], KEPT),
        ([], WAITING),
    ],
)
def test_what_is_not_clear_waits_for_a_person(says, decision):
    assert decide([comparison(one) for one in says])[0] == decision


def test_the_person_sees_every_figure_of_every_column_and_the_means():
    columns = {
        "champion": TESTED.column("recency", JUDGED),
        "challenger": TESTED.column("trees", JUDGED),
    }
    rows = as_rows(columns, JUDGED)
    assert rows[0] == {
        "cut_date": "2011-03-01", "figure": "auc", "champion": 0.74, "challenger": 0.82
    }  # fmt: skip
    table = as_markdown(columns, JUDGED).splitlines()
    assert table[0] == "| figure | cut | champion (recency) | challenger (trees) |"
    assert "| auc | 2011-06-01 | 0.7000 | 0.8000 |" in table
    assert "| **auc**, higher is better | mean | 0.7200 | 0.8100 |" in table
    assert table[-1] == "| **log_loss**, lower is better | mean | – | 0.4500 |"
