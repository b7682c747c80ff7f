"""Evaluate stages out of time: predictions on a past date against the stages 90 days later."""

from __future__ import annotations

import pandas as pd

from ml_tasks.customers import chance
from ml_tasks.customers.known import Known
from ml_tasks.customers.learnable import is_learnable
from ml_tasks.evaluation.comparison import Evaluation, untested
from ml_tasks.evaluation.contest import LOWER
from ml_tasks.evaluation.figures import Figure, rows
from ml_tasks.stages import model
from ml_tasks.stages.baselines import BASELINES, numbers
from ml_tasks.stages.figures import figures
from ml_tasks.stages.rules import Rules, possible

MODEL = "order_then_stage"
REPORTED = ("log_loss", "brier", "calibration_error", "worst_calibration_error")
SHOWN = {name: f"{name} {{:.3f}} against {{:.3f}}" for name in ("log_loss", "brier")}


def evaluate(known: Known, predictions: pd.DataFrame, rules: Rules) -> Evaluation:
    """Compare the model with transition rates on the newest cuts.

    Args:
        known: Facts and outcomes known on the training date; `labelled` has stage_after.
        predictions: From `chance.predict_past`.
        rules: The rules of the stages.

    Returns:
        The winner is the model, unless a baseline's log loss is clearly lower.
    """
    computed: list[Figure] = []
    combined = pd.Series(chance.combined(known, predictions), index=predictions.index)
    for past, test in chance.cuts(known, predictions, is_learnable):
        after, happened = model.fit(past.labelled, rules), numbers(test["stage_after"])
        found = {MODEL: after.predict(test, combined[test.index].to_numpy(), rules)} | {
            name: fit(past.labelled, possible(rules)).predict(test)
            for name, fit in BASELINES.items()
        }
        for name, probability in found.items():
            computed += rows(past.date, name, figures(happened, probability), len(test))
    if not computed:
        return untested(MODEL)
    return Evaluation(tuple(computed)).decided(MODEL, BASELINES, "log_loss", LOWER, REPORTED, SHOWN)
