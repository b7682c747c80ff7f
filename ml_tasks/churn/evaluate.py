"""Churn out of time: train on what was known at a cut, test on the 90 days after it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from ml_tasks.churn import model as churn
from ml_tasks.churn.baselines import BASELINES, RECENCY
from ml_tasks.churn.outcomes import HORIZON_DAYS, has_ordered, is_learnable
from ml_tasks.lookback.figures import churn as figures_of_customers
from ml_tasks.shared import metrics, plots, slices
from ml_tasks.shared.contest import LOWER
from ml_tasks.shared.cuts import splits
from ml_tasks.shared.evaluation import Evaluation, clearly_better, means, told, untested
from ml_tasks.shared.probability.baseline import PROCESSES

MODEL = "xgboost_on_clock"
JUDGED_BY = ("log_loss", "auc", "calibration_error", "brier_skill")


def evaluate(labelled: pd.DataFrame, shop_days: pd.DataFrame, seed: int) -> Evaluation:
    """Compare the trees with the baselines on the newest cuts.

    Args:
        labelled: Snapshots with known outcomes, whole dates.
        shop_days: Columns of features.shop_days.
        seed: Handed to the trees.

    Returns:
        In favour of the trees only if their log loss, which judges rank and level at once, is
        lower on the mean over the cuts than the recency rule's, and no process, which knows no
        season, is clearly better; else of the best baseline, or of the recency rule where there is
        no cut.
    """
    rows: list[dict[str, Any]] = []
    pictures: dict[str, bytes] = {}
    served: dict[str, dict[str, Any]] = {}
    for cut, train, test in splits(labelled, HORIZON_DAYS):
        if not is_learnable(train) or not is_learnable(test):
            continue
        before = shop_days[shop_days["day_date"] < cut]
        stayed_away = 1 - has_ordered(test)
        said = {
            MODEL: 1 - churn.fit_trees(train, test, before, seed).predict(test),
            **{name: 1 - fit(train, test).predict(test) for name, fit in BASELINES.items()},
        }
        rows += [_row(cut, name, stayed_away, probability) for name, probability in said.items()]
        pictures = pictures or {
            "reliability.png": plots.reliability(stayed_away, said),
            "gain.png": plots.gain(stayed_away, said),
        }
        served = served or {name: _served(test, chance) for name, chance in said.items()}
    if not rows:
        return untested(RECENCY)
    figures = {name: means(rows, name, JUDGED_BY) for name in (MODEL, *BASELINES)}
    contenders = [RECENCY, *clearly_better(PROCESSES, MODEL, rows, "log_loss", LOWER)]
    baseline = min(contenders, key=lambda name: figures[name]["log_loss"])
    ours, theirs = figures[MODEL], figures[baseline]
    is_better = ours["log_loss"] < theirs["log_loss"]
    decision = f"{MODEL} {'beats' if is_better else 'does not beat'} {baseline}: " + ", ".join(
        f"{name} {ours[name]:.3f} against {theirs[name]:.3f}" for name in ("log_loss", "auc")
    )
    winner = MODEL if is_better else baseline
    return Evaluation(
        winner=winner,
        decision=decision,
        metrics={**ours, **{f"baseline_{name}": value for name, value in theirs.items()}},
        report={"decision": decision, "cuts": rows, **served[winner]},
        plots=pictures,
    )


def _served(test: pd.DataFrame, probability: np.ndarray) -> dict[str, Any]:
    """The newest cut's figures by group of customers, and gaps between groups."""
    rows = test.assign(
        churn_probability_90d=probability, happened_orders=test["outcome_count_orders"]
    )
    return slices.as_report(slices.judged(rows, figures_of_customers))


def _row(
    cut: pd.Timestamp, model: str, stayed_away: np.ndarray, probability: np.ndarray
) -> dict[str, Any]:
    figures = {
        "churn_rate": stayed_away.mean(),
        "mean_probability": probability.mean(),
        "auc": metrics.auc(stayed_away, probability),
        "log_loss": metrics.log_loss(stayed_away, probability),
        "calibration_error": metrics.calibration_error(stayed_away, probability),
        "brier_skill": metrics.brier_skill(stayed_away, probability),
    }
    return {
        "cut_date": f"{cut:%Y-%m-%d}",
        "model": model,
        "count_customers": len(stayed_away),
        **told(figures),
    }
