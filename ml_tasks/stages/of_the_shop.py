"""The tables about the whole shop: transitions between stages, and stays in them."""

from __future__ import annotations

import warnings
from itertools import product

import numpy as np
import pandas as pd
from lifelines import KaplanMeierFitter
from lifelines.utils import median_survival_times
from statsmodels.stats.proportion import proportion_confint

from ml_tasks.score_rows import not_scored, scored
from ml_tasks.stages.rules import STAGES
from perennial import contracts

TRANSITIONS, STAYS = "stage_transitions", "stage_stays"
OVERLAP = 3  # windows of 90 days that begin a month apart overlap threefold
STAYING_DAYS = (30, 90, 180)
NO_STAYS = "no customer was in this stage before the date"


def transitions(
    moves: np.ndarray, allowed: np.ndarray, count_customers: np.ndarray, predicted: np.ndarray
) -> pd.DataFrame:
    """Rows of scores.stage_transitions, one for each pair of stages.

    Args:
        moves: Past rows by stage and stage 90 days later, shape (n_stages, n_stages).
        allowed: See `rules.possible`.
        count_customers: Customers in each stage on the date, shape (n_stages,).
        predicted: Sums of their probabilities of each stage, shape (n_stages, n_stages).
    """
    count_from = np.repeat(moves.sum(axis=1), len(STAGES))
    customers = np.repeat(count_customers, len(STAGES))
    with np.errstate(invalid="ignore", divide="ignore"):  # a stage may have no customers
        lower, upper = proportion_confint(
            moves.ravel() / OVERLAP, count_from / OVERLAP, method="wilson"
        )
        rates, expected = moves.ravel() / count_from, predicted.ravel() / customers
    return scored(
        _pairs().assign(
            is_possible=allowed.ravel(),
            count_from=count_from.astype(int),
            count_moved=moves.ravel().astype(int),
            past_rate_90d=rates,
            past_rate_90d_lower=lower,
            past_rate_90d_upper=upper,
            count_customers=customers.astype(int),
            predicted_rate_90d=expected,
        )
    )


def no_transitions(reason: str) -> pd.DataFrame:
    """Rows of scores.stage_transitions of a shop without a model."""
    return not_scored(contracts.load("stages").table(TRANSITIONS), _pairs(), reason)


def stays(durations: pd.DataFrame) -> pd.DataFrame:
    """Rows of scores.stage_stays, one for each stage.

    Args:
        durations: features.stage_durations of a date.
    """
    found = [_of_stage(durations[durations["stage"] == stage]) for stage in STAGES]
    rows = pd.DataFrame(found).assign(stage=STAGES)
    table = contracts.load("stages").table(STAYS)
    is_known = (rows["count_stays"] > 0).to_numpy()
    parts = [scored(rows[is_known])]
    if not is_known.all():
        parts.append(not_scored(table, rows.loc[~is_known, ["stage"]], NO_STAYS))
    return pd.concat([part for part in parts if len(part)], ignore_index=True)


def _of_stage(durations: pd.DataFrame) -> dict[str, float]:
    left = durations["count_left"].to_numpy(dtype=float)
    staying = durations["count_staying"].to_numpy(dtype=float)
    days = durations["duration_days"].to_numpy(dtype=float)
    row = {"count_stays": left.sum() + staying.sum(), "count_left": left.sum()}
    names = ("median_days", "median_days_lower", "median_days_upper")
    row |= dict.fromkeys((*names, *(f"staying_rate_{n}d" for n in STAYING_DAYS)), np.nan)
    if not row["count_stays"]:
        return row
    fitter = KaplanMeierFitter()
    with warnings.catch_warnings():  # lifelines warns of whole weights as if they were shares
        warnings.simplefilter("ignore")
        fitter.fit(
            np.concatenate([days, days]),
            np.concatenate([np.ones(len(days)), np.zeros(len(days))]),
            weights=np.concatenate([left, staying]),
        )
        limits = median_survival_times(fitter.confidence_interval_).iloc[0].tolist()
    medians = (fitter.median_survival_time_, *limits)
    row |= {name: v if np.isfinite(v) else np.nan for name, v in zip(names, medians, strict=True)}
    observed = {n: float(fitter.predict(n)) for n in STAYING_DAYS if n <= days.max()}
    return row | {f"staying_rate_{n}d": rate for n, rate in observed.items()}


def _pairs() -> pd.DataFrame:
    return pd.DataFrame(list(product(STAGES, STAGES)), columns=["from_stage", "to_stage"])
