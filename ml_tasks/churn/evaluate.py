"""Evaluate churn out of time: predictions on a past date against the 90 days after it."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ml_tasks.churn import figures as figures_of
from ml_tasks.churn.baselines import BASELINES
from ml_tasks.customers import chance, margins
from ml_tasks.customers.chance import PROCESS, ChanceModel
from ml_tasks.customers.known import Known, has_ordered
from ml_tasks.customers.learnable import is_learnable
from ml_tasks.evaluation import customer_groups, metrics, plots
from ml_tasks.evaluation.comparison import Evaluation, untested
from ml_tasks.evaluation.contest import LOWER
from ml_tasks.evaluation.figures import Figure, rows

MODEL = ChanceModel.name
REPORTED = ("log_loss", "auc", "calibration_error", "brier_skill")
SHOWN = {name: f"{name} {{:.3f}} against {{:.3f}}" for name in ("log_loss", "auc")}


def evaluate(known: Known, predictions: pd.DataFrame) -> Evaluation:
    """Compare the combination with its members and with the baselines on the newest cuts.

    Args:
        known: Snapshots and outcomes known on the training date.
        predictions: The members' predictions on past dates, as of `chance.predict_past`.

    Returns:
        The winner is the combination, unless a baseline's log loss is lower by more than its
        spread over the cuts. Log loss measures rank and level at once. Without a cut the
        combination wins untested.
    """
    computed: list[Figure] = []
    gaps: dict[str, list[str]] = {}
    pictures: dict[str, bytes] = {}
    for cut, test, probabilities in _predicted(known, predictions):
        stayed_away = 1 - has_ordered(test)
        churn = {name: 1 - probability for name, probability in probabilities.items()}
        for name, p in churn.items():
            computed += rows(cut, name, _figures(stayed_away, p), len(test))
        if not pictures:
            pictures = {
                "reliability.png": plots.reliability(stayed_away, churn),
                "gain.png": plots.gain(stayed_away, churn),
            }
            customers = {name: _with_outcome(test, p) for name, p in churn.items()}
            of_groups, gaps = customer_groups.served(cut, customers, figures_of.figures)
            computed += of_groups
    if not computed:
        return untested(MODEL)
    tested = Evaluation(tuple(computed), gaps=gaps, plots=pictures)
    return tested.decided(MODEL, BASELINES, "log_loss", LOWER, REPORTED, SHOWN)


def _predicted(
    known: Known, predictions: pd.DataFrame
) -> list[tuple[pd.Timestamp, pd.DataFrame, dict[str, np.ndarray]]]:
    """For each cut, newest first: date, customers, and probability of an order by model."""
    by_cut = []
    combined = pd.Series(chance.combined(known, predictions), index=predictions.index)
    for past, test in chance.cuts(known, predictions, is_learnable):
        of_cut = predictions.loc[test.index]
        probabilities = {MODEL: combined[test.index].to_numpy()} | {
            name: margins.inverse_link(of_cut[name].to_numpy(dtype=float), "logistic")
            for name in chance.MEMBERS
            if of_cut[name].notna().all()
        }
        probabilities |= {
            name: fit(past).predict(test) for name, fit in BASELINES.items() if name != PROCESS
        }
        by_cut.append((past.date, test, probabilities))
    return by_cut


def _with_outcome(test: pd.DataFrame, probability: np.ndarray) -> pd.DataFrame:
    """Add the predicted probability and the actual orders, under the names `figures_of` reads."""
    return test.assign(
        churn_probability_90d=probability, happened_orders=test["outcome_count_orders"]
    )


def _figures(stayed_away: np.ndarray, probability: np.ndarray) -> dict[str, float]:
    return {
        "churn_rate": stayed_away.mean(),
        "mean_probability": probability.mean(),
        "auc": metrics.auc(stayed_away, probability),
        "log_loss": metrics.log_loss(stayed_away, probability),
        "calibration_error": metrics.calibration_error(stayed_away, probability),
        "brier_skill": metrics.brier_skill(stayed_away, probability),
    }
