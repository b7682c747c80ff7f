"""Reading reports of earlier versions; excerpts of real ones of the sample shop."""

from __future__ import annotations

from typing import Any

import pytest

from ml_tasks import question as questions
from ml_tasks.demand import evaluate as demand
from ml_tasks.evaluation import bias, trust
from ml_tasks.evaluation.comparison import Evaluation
from ml_tasks.evaluation.figures import Figure
from ml_tasks.survival.evaluate import GROUP_METRIC

CHURN: dict[str, Any] = {
    "decision": "combined against pareto_nbd",
    "cuts": [
        {"cut_date": "2024-09-01", "model": "combined", "count_customers": 3864,
         "churn_rate": 0.72, "mean_probability": 0.70, "auc": 0.83, "log_loss": 0.41},
        {"cut_date": "2024-09-01", "model": "pareto_nbd", "count_customers": 3864,
         "churn_rate": 0.72, "mean_probability": 0.66, "auc": None, "log_loss": 0.43},
        {"cut_date": "2024-06-01", "model": "combined", "count_customers": 3352,
         "churn_rate": 0.75, "mean_probability": 0.76, "auc": 0.81, "log_loss": 0.40},
    ],
    "groups": [
        {"group": "all", "count_customers": 3864, "auc": 0.83},
        {"group": "country: A", "count_customers": 800, "auc": 0.79},
    ],
    "warnings": [],
}  # fmt: skip
CLV: dict[str, Any] = {
    "cuts": [{"cut_date": "2024-07-01", "model": "combined", "count_customers": 3528,
              "actual_total_amount": 106900.0, "predicted_total_amount": 116200.0, "gini": 0.77}],
    "year_ahead": [{"cut_date": "2023-12-01", "model": "combined", "count_customers": 2096,
                    "gini": 0.71}],
}  # fmt: skip
SURVIVAL: dict[str, Any] = {
    "proportional_hazards": {"decision": "one baseline hazard"},
    "cuts": [
        {
            "cut_date": "2024-04-01", "horizon_days": 180, "count_customers": 2988,
            "ordered_rate": 0.34,
            "combined": {"concordance": 0.81, "integrated_brier": 0.12,
                         "mean_order_probability_90d": 0.33, "ordered_rate_90d": 0.30},
            "cox": {"concordance": 0.80, "integrated_brier": 0.13},
            "kaplan_meier_by_recency": {"concordance": 0.77, "integrated_brier": 0.14},
            "groups": [{"model": "combined", "warnings": [], "groups": [
                {"group": "all", "count_customers": 2988, "concordance": 0.82},
                {"group": "orders: one", "count_customers": 900, "concordance": 0.6}]}],
        },
        {"cut_date": "2023-10-01", "count_customers": 1594, "cox": {"concordance": 0.74}},
    ],
}  # fmt: skip
DEMAND: dict[str, Any] = {
    "methods": {"blend": {"wrmsse": 0.75}, "mean_8_weeks": {"wrmsse": 0.85}},
    "cuts": [
        {"cut_date": "2024-08-05", "blend": {"wrmsse": 0.7, "bias_rate": 0.9},
         "blend_mean": {"wrmsse": 0.6}, "mean_8_weeks": {"wrmsse": 0.8}},
        {"cut_date": "2024-09-30", "blend": {"wrmsse": 0.8}, "mean_8_weeks": {"wrmsse": 0.9}},
    ],
    "totals": [
        {"cut_date": "2024-08-05", "model": "blend", "bias_rate": 0.30},
        {"cut_date": "2024-08-05", "model": "mean_8_weeks", "bias_rate": None},
        {"cut_date": "2024-09-30", "model": "blend", "bias_rate": 0.40},
    ],
}  # fmt: skip


def test_a_row_per_cut_and_model():
    found = Evaluation.from_report(CHURN, "combined")
    assert (found.winner, found.decision) == ("combined", "combined against pareto_nbd")
    assert found.cuts == ["2024-09-01", "2024-06-01"]
    assert found.of("combined")["2024-06-01"] == {
        "churn_rate": 0.75, "mean_probability": 0.76, "auc": 0.81, "log_loss": 0.40
    }  # fmt: skip
    assert Figure("2024-09-01", "pareto_nbd", "all", "auc", None, 3864) in found.figures
    assert found.of_groups("combined") == [
        Figure("2024-09-01", "combined", "country: A", "auc", 0.79, 800)
    ]
    bound = bias.bias_of(found, questions.load("churn").bias)
    assert bound.of_cuts == pytest.approx((0.01 / 0.25, -0.02 / 0.28))
    assert bound.standard_error > 0  # from the counts of customers


def test_figures_of_the_year_ahead_have_names_of_their_own():
    found = Evaluation.from_report(CLV, "combined")
    assert found.of("combined", ["gini", "gini_365d"]) == {
        "2024-07-01": {"gini": 0.77}, "2023-12-01": {"gini_365d": 0.71}
    }  # fmt: skip
    assert found.values("combined", "gini") == [0.77]


def test_a_row_per_cut_with_the_metrics_by_model():
    found = Evaluation.from_report(SURVIVAL, "combined_extended")
    assert found.winner == "combined"
    assert found.of("combined") == {
        "2024-04-01": {
            "concordance": 0.81, "integrated_brier": 0.12, "mean_order_probability_90d": 0.33,
            "ordered_rate_90d": 0.30,
        }
    }  # fmt: skip
    assert list(found.of("cox")) == ["2024-04-01", "2023-10-01"]
    assert {row.n for row in found.rows("cox")} == {2988, 1594}
    assert found.of_groups("combined") == [
        Figure(
            "2024-04-01", "combined", "orders: one", GROUP_METRIC.format("concordance"), 0.6, 900
        )
    ]


def test_totals_of_demand_are_a_metric():
    found = Evaluation.from_report(DEMAND, "blend")
    assert found.winner == "blend"  # blend_mean is another
    assert found.values("blend", demand.TOTAL_BIAS) == [0.30, 0.40]
    assert found.mean("mean_8_weeks", "wrmsse") == pytest.approx(0.85)
    question = questions.load("demand")
    assert bias.bias_of(found, question.bias).of_cuts == (0.30, 0.40)
    words = trust.in_words(DEMAND, "blend", question.contest, question.baselines, question.bias)
    assert words.startswith("Tested on 2 past dates; wrmsse 0.750 against 0.850 of mean_8_weeks")


@pytest.mark.parametrize(
    ("published", "entries", "winner"),
    [
        ("cox_extended", {}, "cox"),
        ("kaplan_meier_by_recency_extended", {}, "kaplan_meier_by_recency"),
        ("smoothing_by_product", {"used": "cox"}, "cox"),
        ("no_model", {}, "no_model"),
    ],
)
def test_a_published_name_is_a_model_and_a_suffix_or_the_report_says_which(
    published, entries, winner
):
    found = Evaluation.from_report({**SURVIVAL, **entries}, published)
    assert found.winner == winner
    assert bool(found.of(winner)) is (winner != "no_model")


@pytest.mark.parametrize("report", [{}, {"cuts": []}, {"decision": "no model: too few"}])
def test_a_report_without_figures_has_none(report):
    assert Evaluation.from_report(report, "no_model").figures == ()
