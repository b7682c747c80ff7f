"""How far to trust a model, in words: every figure comes from the report."""

from datetime import date

from ml_tasks.evaluation import trust
from ml_tasks.evaluation.bias import BiasFigures
from ml_tasks.evaluation.contest import HIGHER, LOWER
from ml_tasks.models.card import model_card
from ml_tasks.trained_model import TrainedModel
from tests.planted_figures import report_of

BIAS = BiasFigures("mean_probability", "churn_rate", is_rate=True)


def row(cut, model, log_loss, mean):
    figures = {"log_loss": log_loss, "mean_probability": mean, "churn_rate": 0.8}
    return {"cut_date": cut, "model": model, "count_customers": 1_000, **figures}


def report(ours, theirs):
    cuts = [row(f"2024-0{n}-01", "combined", loss, 0.82) for n, loss in enumerate(ours, 1)]
    cuts += [row(f"2024-0{n}-01", "bg_nbd", loss, 0.9) for n, loss in enumerate(theirs, 1)]
    return report_of(cuts, combined="a 60%, b 40%, by 4 past dates")


def words(given, judged_by=None):
    return trust.in_words(
        given, "combined", judged_by or {"log_loss": LOWER}, ("bg_nbd", "recency"), BIAS
    )


def test_it_says_dates_figures_level_and_what_was_combined():
    # .02 above .8 is a tenth of the rarer .2
    assert words(report([0.3, 0.4], [0.4, 0.5])) == (
        "Tested on 2 past dates; log_loss 0.350 against 0.450 of bg_nbd, the best of the simple"
        " ones (lower is better); level off by +10% on average; combined of a 60%, b 40%, by 4"
        " past dates."
    )


def test_no_better_is_said_whichever_way_better_is():
    assert "it is no better than that" in words(report([0.5], [0.4]))
    assert "it is no better than that" in words(report([0.4], [0.4]))
    assert "no better" not in words(report([0.5], [0.4]), {"log_loss": HIGHER})


def test_a_shop_too_young_has_a_text_too():
    assert words({"figures": []}) == "No past date could test combined: the shop is too young."


def test_the_card_begins_with_it_and_a_report_of_before_has_none():
    model = TrainedModel("combined", date(2024, 1, 1), {}, report={trust.TRUST: "Tested on 2."})
    card = model_card("churn", model)
    assert "## How far to trust it\n\nTested on 2." in card
    before = TrainedModel("combined", date(2024, 1, 1), {}, report={})
    assert "How far to trust" not in model_card("churn", before)
    assert trust.of_report({}) == ""
