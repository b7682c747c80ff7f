"""CLV out of time: train on what was known at a cut, test on the 90 days after it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from ml_tasks.clv import model as clv
from ml_tasks.shared import metrics, plots
from ml_tasks.shared.boosting import OBJECTIVES
from ml_tasks.shared.cuts import splits
from ml_tasks.shared.evaluation import Evaluation, means, told, untested

MODEL = "xgboost_tweedie"
BASELINES = {
    "repeat_of_last_90_days": clv.repeat_of_last_90_days,
    "same_90_days_last_year": clv.same_90_days_last_year,
}
CONSTANT = "same_for_all"
JUDGED_BY = ("gini", "total_error", "abs_total_error", "mean_absolute_error", "shape_deviance")
POWER = OBJECTIVES["tweedie"]["tweedie_variance_power"]
# A repeat of 0 makes any later spend impossible; the deviance is taken as if it were this share
# of the mean.
FLOOR = 0.01


def evaluate(labelled: pd.DataFrame, seed: int) -> Evaluation:
    """Compare the trees with repeats of the past, and with one amount for all.

    Args:
        labelled: Snapshots with known 90-day outcomes, whole dates.
        seed: Handed to the trees.

    Returns:
        As `decide` says; the first baseline where there is no cut.
    """
    rows: list[dict[str, Any]] = []
    pictures: dict[str, bytes] = {}
    for cut, train, test in splits(labelled, clv.HORIZON_DAYS):
        if not clv.is_learnable(train) or not clv.is_learnable(test):
            continue
        amount = clv.spend(test)
        said = {
            MODEL: clv.fit_spend(train, seed).predict(test, cut),
            **{name: repeat(test) for name, repeat in BASELINES.items()},
            CONSTANT: np.full(len(test), clv.spend(train).mean()),
        }
        rows += [_row(cut, name, amount, predicted) for name, predicted in said.items()]
        pictures = pictures or {
            "gain.png": plots.gain(amount, {n: p for n, p in said.items() if n != CONSTANT}),
            "deciles.png": plots.deciles(amount, said[MODEL]),
        }
    if not rows:
        return untested(next(iter(BASELINES)))
    return decide(rows, pictures)


def decide(rows: list[dict[str, Any]], pictures: dict[str, bytes]) -> Evaluation:
    """Choose by the means over the cuts.

    The trees win only if they sort spend better than each repeat (Gini) and describe it better
    than one amount for all does (deviance, totals made equal, so that a season nobody could know
    of does not decide). Else the repeat that sorts best does.

    Args:
        rows: A row per cut and model: `model` and the figures of JUDGED_BY.
        pictures: Handed on.
    """
    figures = {name: means(rows, name, JUDGED_BY) for name in (MODEL, *BASELINES, CONSTANT)}
    baseline = max(BASELINES, key=lambda name: figures[name].get("gini", -1.0))
    ours, theirs, constant = figures[MODEL], figures[baseline], figures[CONSTANT]
    is_better = (
        ours["gini"] > theirs["gini"] and ours["shape_deviance"] < constant["shape_deviance"]
    )
    decision = (
        f"{MODEL} {'beats' if is_better else 'does not beat'} {baseline} and {CONSTANT}: "
        f"gini {ours['gini']:.3f} against {theirs['gini']:.3f}, "
        f"deviance {ours['shape_deviance']:.3f} against {constant['shape_deviance']:.3f}"
    )
    return Evaluation(
        winner=MODEL if is_better else baseline,
        decision=decision,
        metrics={**ours, **{f"baseline_{name}": value for name, value in theirs.items()}},
        report={"decision": decision, "cuts": rows},
        plots=pictures,
    )


def _row(
    cut: pd.Timestamp, model: str, amount: np.ndarray, predicted_amount: np.ndarray
) -> dict[str, Any]:
    mean = amount.mean()
    shape = np.maximum(predicted_amount / max(predicted_amount.mean(), 1e-12), FLOOR)
    total_error = metrics.total_error(amount, predicted_amount)
    figures = {
        "actual_total_amount": amount.sum(),
        "predicted_total_amount": predicted_amount.sum(),
        "total_error": total_error,
        "abs_total_error": abs(total_error),
        "mean_absolute_error": np.abs(amount - predicted_amount).mean(),
        "gini": metrics.normalised_gini(amount, predicted_amount),
        "shape_deviance": metrics.tweedie_deviance(amount / mean, shape / shape.mean(), POWER),
    }
    return {
        "cut_date": f"{cut:%Y-%m-%d}",
        "model": model,
        "count_customers": len(amount),
        **told(figures),
    }
