"""The evaluation of every question: long rows, their means, the winner, and the way to JSON."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from datetime import date

import pytest

from ml_tasks.evaluation.comparison import Evaluation, untested
from ml_tasks.evaluation.contest import HIGHER, LOWER
from ml_tasks.evaluation.figures import ALL, Figure, rows
from ml_tasks.trained_model import canonical_json

JUNE, MARCH = date(2021, 6, 1), date(2021, 3, 1)
NAN = math.nan
TESTED = Evaluation(
    figures=(
        *rows(JUNE, "combined", {"auc": 0.80, "log_loss": 0.5}, 1_000),
        *rows(JUNE, "recency", {"auc": 0.70, "log_loss": NAN}, 1_000),
        *rows(JUNE, "recency_logistic", {"auc": 0.60}, 1_000),
        *rows(JUNE, "combined", {"auc": 0.75}, 120, "country: A"),
        *rows(MARCH, "combined", {"auc": 0.84, "log_loss": 0.4}, 900),
        *rows(MARCH, "recency", {"auc": 0.74, "log_loss": 0.6}, 900),
        *rows(MARCH, "combined", {"auc": 0.65}, 110, "country: A"),
        *rows(MARCH, "combined", {"auc": math.inf}, 105, "country: B"),
    ),
    winner="combined",
    decision="because",
    gaps={"combined": ["auc is low for country: A"], "recency": ["auc is low for country: B"]},
)


def test_a_row_holds_no_nan_and_says_of_how_many():
    assert rows(JUNE, "m", {"auc": NAN, "gini": 1}, 7, "country: A") == [
        Figure("2021-06-01", "m", "country: A", "auc", None, 7),
        Figure("2021-06-01", "m", "country: A", "gini", 1.0, 7),
    ]


def test_figures_of_a_model_are_those_of_everybody_by_its_exact_name():
    june, march = {"auc": 0.80, "log_loss": 0.5}, {"auc": 0.84, "log_loss": 0.4}
    assert TESTED.of("combined") == {"2021-06-01": june, "2021-03-01": march}
    assert TESTED.of("recency", ["log_loss"]) == {"2021-03-01": {"log_loss": 0.6}}
    assert TESTED.of("combined_extended") == TESTED.of("recency_") == {}
    assert TESTED.cuts == ["2021-06-01", "2021-03-01"]


def test_means_are_over_the_cuts_that_have_the_metric():
    assert TESTED.mean("combined", "auc") == pytest.approx(0.82)
    assert TESTED.mean("recency", "log_loss") == pytest.approx(0.6)
    assert math.isnan(TESTED.mean("recency_logistic", "log_loss"))
    found = TESTED.means(["auc", "log_loss"], {"combined": "", "recency_logistic": "baseline_"})
    assert found == {
        "auc": pytest.approx(0.82), "log_loss": pytest.approx(0.45),
        "baseline_auc": pytest.approx(0.6),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("names", "metric", "better", "best"),
    [
        (["recency", "recency_logistic"], "auc", HIGHER, "recency"),
        (["recency", "recency_logistic"], "auc", LOWER, "recency_logistic"),
        (["recency_logistic", "recency"], "log_loss", LOWER, "recency"),
        (["absent", "recency_logistic"], "log_loss", LOWER, "absent"),
        ([], "auc", HIGHER, ""),
    ],
    ids=["higher", "lower", "untested loses", "none tested: the first", "none"],
)
def test_the_best_is_that_of_the_best_mean(names, metric, better, best):
    assert TESTED.best(names, metric, better) == best


def of_gains(*gains: float) -> Evaluation:
    """A baseline that is better than the model by `gains` on each cut."""
    return Evaluation(
        tuple(
            figure
            for month, gain in enumerate(gains, start=1)
            for name, value in (("model", 0.5), ("simple", 0.5 + gain), ("poor", 0.1))
            for figure in rows(date(2021, month, 1), name, {"auc": value, "rate": 0.25}, 100)
        )
    )


@pytest.mark.parametrize(
    ("gains", "winner"),
    [
        pytest.param((0.10, 0.11), "simple", id="beyond its spread"),
        pytest.param((0.30, -0.10), "model", id="within its spread"),
        pytest.param((0.005, 0.006), "model", id="by next to nothing"),
        pytest.param((0.30,), "model", id="one cut shows no spread"),
    ],
)
def test_a_baseline_wins_only_if_it_is_clearly_better(gains, winner):
    shown = {"auc": "auc {:.2f} against {:.2f}"}
    found = of_gains(*gains).decided("model", ["poor", "simple"], "auc", HIGHER, ["auc"], shown)
    mean = 0.5 + sum(gains) / len(gains)
    assert found.winner == winner
    assert found.metrics == {"auc": pytest.approx(0.5), "baseline_auc": pytest.approx(mean)}
    verb = "gives way to" if winner == "simple" else "against"
    assert found.decision == (
        f"model {verb} simple, the best of the simpler ones: auc 0.50 against {mean:.2f}"
    )


def test_groups_are_those_of_the_newest_cut():
    assert [(row.cut, row.group, row.value, row.n) for row in TESTED.of_groups("combined")] == [
        ("2021-06-01", "country: A", 0.75, 120)
    ]
    assert TESTED.of_groups("recency") == []


def test_a_report_is_compact_json_and_comes_back():
    report = TESTED.as_report()
    assert json.loads(canonical_json(report)) == report  # raises at a NaN
    assert report["figures"][0] == ["2021-06-01", "combined", ALL, "auc", 0.80, 1_000]
    assert report["warnings"] == ["auc is low for country: A"]  # of the winner only
    found = Evaluation.from_report(json.loads(canonical_json(report)), "combined")
    assert found == replace(TESTED, gaps={})


def test_the_report_says_what_a_published_name_with_a_suffix_stands_for():
    found = Evaluation.from_report(TESTED.as_report(), "combined_extended")
    assert found.winner == "combined"
    assert found.column(found.winner, ["auc"], "combined_extended").name == "combined_extended"


def test_a_shop_too_young_to_test_has_an_evaluation_too():
    found = untested("recency")
    assert (found.winner, found.figures, found.metrics) == ("recency", (), {})
    assert found.decision == "no past date to test a model on, so recency"
    assert Evaluation.from_report(found.as_report(), "recency").winner == "recency"
    assert Evaluation.from_report({}, "no_model") == Evaluation(winner="no_model")
