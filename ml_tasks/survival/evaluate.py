"""Out of time: trained on what was known at an earlier date, tested on the orders that followed.

A test date is a past snapshot date that every customer was watched after for the whole horizon,
so nothing is censored within it and both figures are plain averages.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from ml_tasks.survival.model import (
    HORIZONS_DAYS,
    MIN_EVENTS,
    MIN_FOLLOW_UP_DAYS,
    CoxModel,
    RecencyModel,
    SurvivalModel,
    fit_cox,
    fit_recency,
)
from ml_tasks.survival.observations import known_on

# The cuts' test windows don't overlap, or one season would count twice.
MAX_CUTS = 2


def evaluate(observations: pd.DataFrame, training_date: pd.Timestamp) -> list[dict[str, Any]]:
    """Figures of Cox's model and of the baselines, one entry per test date, newest first.

    Args:
        observations: As of `observations_of`, known on `training_date`.
        training_date: Nothing of that day or later is in them.

    Returns:
        Empty where the shop was not watched for long enough.
    """
    dates = sorted(observations["snapshot_date"].unique())
    horizon_days = min(max(HORIZONS_DAYS), (training_date - dates[0]).days // 2) if dates else 0
    if horizon_days < MIN_FOLLOW_UP_DAYS:
        return []
    report: list[dict[str, Any]] = []
    end = training_date
    for cut in reversed(dates):
        if (end - cut).days < horizon_days:
            continue
        past = known_on(observations, cut)
        if len(report) == MAX_CUTS or not is_enough(past, cut):
            break
        test = observations[observations["snapshot_date"] == cut]
        models = [model for model in (fit_cox(past), fit_recency(past)) if model]
        report.append(
            {
                "cut_date": str(cut.date()),
                "horizon_days": horizon_days,
                "count_customers": len(test),
                "ordered_rate": float((test["days"] <= horizon_days).mean()),
                **{model.name: figures(model, test, horizon_days) for model in models},
            }
        )
        end = cut
    return report


def is_enough(observations: pd.DataFrame, known_date: pd.Timestamp) -> bool:
    """Whether a model can be fitted to what was known on a date."""
    if observations.empty or observations["is_ordered"].sum() < MIN_EVENTS:
        return False
    return (known_date - observations["snapshot_date"].min()).days >= MIN_FOLLOW_UP_DAYS


def figures(model: SurvivalModel, test: pd.DataFrame, horizon_days: int) -> dict[str, float]:
    """Concordance, integrated Brier score and calibration of one model on one test date."""
    survival = model.survival(test)[:, : horizon_days + 1]
    days = test["days"].to_numpy()
    probability = 1 - survival[:, MIN_FOLLOW_UP_DAYS]
    return {
        "concordance": concordance(days, survival.sum(axis=1), horizon_days),
        "integrated_brier": integrated_brier(days, survival),
        "mean_order_probability_90d": float(probability.mean()),
        "ordered_rate_90d": float((days <= MIN_FOLLOW_UP_DAYS).mean()),
    }


def concordance(days: np.ndarray, expected_days: np.ndarray, horizon_days: int) -> float:
    """Harrell's C: the share of comparable pairs that are in the right order; .5 is guessing."""
    from lifelines.utils import concordance_index

    is_ordered = days <= horizon_days
    if not is_ordered.any():
        return float("nan")
    return float(concordance_index(np.minimum(days, horizon_days), expected_days, is_ordered))


def integrated_brier(days: np.ndarray, survival: np.ndarray) -> float:
    """Mean over days 1..h of the mean squared difference of S(t) from what happened.

    Args:
        days: Until the order; above h if none came by then. Nobody is censored before h.
        survival: S(t) for t = 0..h, shape (n, h + 1).

    Source:
        Graf et al. (1999), doi 10.1002/(SICI)1097-0258(19990915/30)18:17/18<2529; no censoring,
        so no weights.
    """
    grid = np.arange(1, survival.shape[1])
    is_waiting = days[:, None] > grid
    return float(np.mean((is_waiting - survival[:, 1:]) ** 2))


def is_better(report: list[dict[str, Any]]) -> bool:
    """Whether Cox's model beat the baseline: on each date fitted, on average on both figures."""
    if not report or not all(CoxModel.name in cut for cut in report):
        return False
    cox, recency = (_mean(report, kind.name) for kind in (CoxModel, RecencyModel))
    return (
        cox["integrated_brier"] < recency["integrated_brier"]
        and cox["concordance"] > recency["concordance"]
    )


def _mean(report: list[dict[str, Any]], name: str) -> dict[str, float]:
    tested = [cut[name] for cut in report if name in cut]
    if not tested:
        return {}
    return {key: float(np.mean([cut[key] for cut in tested])) for key in tested[0]}


def headlines(report: list[dict[str, Any]]) -> dict[str, float]:
    """Mean figures over the cuts, the baseline's as `baseline_<name>`; finite ones."""
    prefixes = {CoxModel.name: "", RecencyModel.name: "baseline_"}
    return {
        prefix + key: value
        for name, prefix in prefixes.items()
        for key, value in _mean(report, name).items()
        if np.isfinite(value)
    }
