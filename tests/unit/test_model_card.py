"""The model card says what a model is for, what it learnt from, and how good it is."""

import json
from dataclasses import replace
from datetime import date

from ml_tasks.models.card import model_card, report_json
from ml_tasks.trained_model import TrainedModel
from tests.planted_figures import report_of

COUNT = {"count_customers": 4_969}
MODEL = TrainedModel(
    name="trees",
    training_date=date(2011, 9, 1),
    parameters={"seed": 7, "coefficients": list(range(1000))},
    metrics={"auc": 0.8125, "gini": float("nan")},
    report=report_of(
        [
            {"cut_date": "2011-06-01", "model": "trees", "auc": 0.8, "log_loss": None, **COUNT},
            {"cut_date": "2011-06-01", "model": "recency", "auc": 0.7, "log_loss": 0.5},
            {"cut_date": "2010-06-01", "model": "trees", "gini_365d": 0.6, **COUNT},
        ],
        decision="trees beats recency",
        warnings=["auc of new customers is .07 lower"],
        used="trees",
    ),
    plots={"gain.png": b""},
    data=[
        {
            "tables": ["customer_outcomes", "customer_snapshots"],
            "count_rows": 45_000,
            "first_date": "2010-01-01",
            "last_date": "2011-06-01",
            "count_dates": 18,
            "count_customers": 4969,
        }
    ],
)


def test_it_says_what_for_how_good_and_from_what():
    card = model_card("churn", MODEL, {"recipe": "f00"})
    for line in (
        "# churn: trees",
        "- auc of new customers is .07 lower",
        "trees beats recency",
        "| auc | 0.8125 |",
        "| cut | model | n | auc | log_loss |",
        "| 2011-06-01 | trees | 4,969 | 0.8 |  |",
        "| 2011-06-01 | recency |  | 0.7 | 0.5 |",
        "| cut | model | n | gini_365d |",
        "| 2010-06-01 | trees | 4,969 | 0.6 |",
        "![gain.png](plots/gain.png)",
        "| features.customer_outcomes, features.customer_snapshots | 2010-01-01 to 2011-06-01"
        " | 45,000 rows | 18 dates | 4,969 customers |",
        "| seed | 7 |",
        "| recipe | f00 |",
    ):
        assert line in card.splitlines(), line
    assert "coefficients" not in card
    assert "churn.churn_probability_90d" in card  # what its numbers mean, from the contract
    assert "2011-09-01" in card


def test_a_model_that_nothing_is_known_of_has_a_card_too():
    card = model_card("no_such_question", TrainedModel("no_model", date(2011, 9, 1), {}))
    assert card.startswith("# no_such_question: no_model\n")
    assert "## Cut by cut" not in card


def test_it_shows_how_each_group_of_customers_is_served():
    rows = [
        ["2011-06-01", "trees", "country: A", "auc", 0.75, 800],
        ["2011-06-01", "trees", "country: B", "auc", None, 120],
        ["2011-06-01", "recency", "country: A", "auc", 0.65, 800],
        ["2011-03-01", "trees", "country: A", "auc", 0.55, 700],
    ]
    report = {**MODEL.report, "figures": [*MODEL.report["figures"], *rows]}
    lines = model_card("churn", replace(MODEL, report=report)).splitlines()
    place = lines.index("## Group by group")
    assert lines[place + 2 : place + 7] == [
        "| cut | group | n | auc |",
        "| --- | --- | --- | --- |",
        "| 2011-06-01 | country: A | 800 | 0.75 |",
        "| 2011-06-01 | country: B | 120 |  |",
        "",
    ]
    assert "| 2011-06-01 | trees | 4,969 | 0.8 |  |" in lines


def test_the_stored_report_is_json_with_a_line_per_figure():
    odd = {"decision": 'a "line"\nbreak', "p_value": float("nan"), "nested": {"a": [1, {"b": 2}]}}
    text = report_json(replace(MODEL, report={**odd, **MODEL.report}))
    assert json.loads(text) == {**odd, **MODEL.report, "p_value": None}
    assert '    ["2011-06-01", "trees", "all", "auc", 0.8, 4969],' in text.splitlines()
    assert json.loads(report_json(replace(MODEL, report={}))) == {}
