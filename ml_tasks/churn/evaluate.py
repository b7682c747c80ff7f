"""Churn out of time: what was known at a cut, against the 90 days after it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from ml_tasks.churn import figures as figures_of
from ml_tasks.churn.baselines import BASELINES
from ml_tasks.customers import chance, margins
from ml_tasks.customers.chance import PROCESS, ChanceModel
from ml_tasks.customers.known import Known, has_ordered
from ml_tasks.customers.learnable import is_learnable
from ml_tasks.evaluation import customer_groups, metrics, plots
from ml_tasks.evaluation.comparison import Evaluation, clearly_better, means, told, untested
from ml_tasks.evaluation.contest import LOWER

MODEL = ChanceModel.name
JUDGED_BY = ("log_loss", "auc", "calibration_error", "brier_skill")


def evaluate(known: Known, said: pd.DataFrame) -> Evaluation:
    """Compare the combination with its members and with the baselines on the newest cuts.

    Args:
        known: What may be seen.
        said: What the members said on past dates, see `chance.tell`.

    Returns:
        In favour of the combination, unless a baseline's log loss, which judges rank and level at
        once, is lower by more than its spread over the cuts; also where there is no cut.
    """
    rows: list[dict[str, Any]] = []
    pictures: dict[str, bytes] = {}
    served: dict[str, dict[str, Any]] = {}
    for cut, test, probabilities in _told(known, said):
        stayed_away = 1 - has_ordered(test)
        churn = {name: 1 - probability for name, probability in probabilities.items()}
        rows += [_row(cut, name, stayed_away, p) for name, p in churn.items()]
        pictures = pictures or {
            "reliability.png": plots.reliability(stayed_away, churn),
            "gain.png": plots.gain(stayed_away, churn),
        }
        served = served or {name: _served(test, p) for name, p in churn.items()}
    if not rows:
        return untested(MODEL)
    figures = {name: means(rows, name, JUDGED_BY) for name in (MODEL, *BASELINES)}
    baseline = min(BASELINES, key=lambda name: figures[name]["log_loss"])
    winner = baseline if clearly_better([baseline], MODEL, rows, "log_loss", LOWER) else MODEL
    ours, theirs = figures[MODEL], figures[baseline]
    decision = (
        f"{MODEL} {'gives way to' if winner == baseline else 'against'} {baseline}, the best of the"
        " simpler ones: "
        + ", ".join(f"{n} {ours[n]:.3f} against {theirs[n]:.3f}" for n in ("log_loss", "auc"))
    )
    return Evaluation(
        winner=winner,
        decision=decision,
        metrics={**ours, **{f"baseline_{name}": value for name, value in theirs.items()}},
        report={"decision": decision, "cuts": rows, **served[winner]},
        plots=pictures,
    )


def _told(
    known: Known, said: pd.DataFrame
) -> list[tuple[pd.Timestamp, pd.DataFrame, dict[str, np.ndarray]]]:
    """Of each cut, newest first: date, customers, chance of an order by model."""
    found = []
    combined = pd.Series(chance.combined(known, said), index=said.index)
    for past, test in chance.cuts(known, said, is_learnable):
        asked = said.loc[test.index]
        probabilities = {MODEL: combined[test.index].to_numpy()} | {
            name: margins.inverse_link(asked[name].to_numpy(dtype=float), "logistic")
            for name in chance.MEMBERS
            if asked[name].notna().all()
        }
        probabilities |= {
            name: fit(past).predict(test) for name, fit in BASELINES.items() if name != PROCESS
        }
        found.append((past.date, test, probabilities))
    return found


def _served(test: pd.DataFrame, probability: np.ndarray) -> dict[str, Any]:
    """The newest cut's figures by group of customers, and gaps between groups."""
    rows = test.assign(
        churn_probability_90d=probability, happened_orders=test["outcome_count_orders"]
    )
    return customer_groups.as_report(customer_groups.by_group(rows, figures_of.figures))


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
