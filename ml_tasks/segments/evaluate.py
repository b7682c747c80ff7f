"""How well segments learnt 90 days before explain spend, and how stable they are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd

from ml_tasks.customers.known import HORIZON_DAYS
from ml_tasks.evaluation.comparison import Evaluation, untested
from ml_tasks.evaluation.cuts import cuts, known_by
from ml_tasks.evaluation.figures import Figure, rows
from ml_tasks.segments import fit
from ml_tasks.segments.facts import FREQUENCY, MONEY, RECENCY, Scale, assign, sampled
from ml_tasks.segments.fit import Candidate
from ml_tasks.segments.rfm import GROUP, RfmGroups

MODEL, KMEANS_4, WARD, RFM_GROUPS = "kmeans", "kmeans_4", "ward", "rfm_groups"
BASELINES = (KMEANS_4, RFM_GROUPS, WARD)
SPEND = "outcome_net_spend_amount"
MIN_CUSTOMERS = 50
COUNT_CUTS = 3

Label = Callable[[pd.DataFrame], np.ndarray]  # FACTS -> labels, shape (n_rows,)


def spend_r2(label: Label, before: pd.DataFrame, after: pd.DataFrame) -> float:
    """R2 of the log of 1 + spend of 90 days by the means of the labels, learnt earlier.

    1: the labels say all; 0: no more than the later mean; NaN if all spent the same.

    Args:
        label: Assigns customers to segments.
        before: Snapshots from which the means are learnt; columns FACTS, SPEND.
        after: Later snapshots to test on; same columns.
    """
    known = np.log1p(before[SPEND].to_numpy(dtype=float))
    means = pd.Series(known).groupby(label(before)).mean()
    predicted = pd.Series(label(after)).map(means).fillna(known.mean()).to_numpy(dtype=float)
    actual = np.log1p(after[SPEND].to_numpy(dtype=float))
    total = float(((actual - actual.mean()) ** 2).sum())
    return 1 - float(((actual - predicted) ** 2).sum()) / total if total > 0 else float("nan")


def pairs(labelled: pd.DataFrame) -> list[tuple[pd.DataFrame, pd.DataFrame]]:
    """Snapshots of a past date whose outcome was known on a later one, and those of the later.

    Args:
        labelled: Columns as_of_date, FACTS, SPEND; outcomes of HORIZON_DAYS days.

    Returns:
        At most COUNT_CUTS pairs of at least MIN_CUSTOMERS each, the newest first.
    """
    found = []
    for cut in cuts(labelled, HORIZON_DAYS, COUNT_CUTS):
        earlier = known_by(labelled, cut, HORIZON_DAYS)
        before = earlier[earlier["as_of_date"] == earlier["as_of_date"].max()]
        if len(before) >= MIN_CUSTOMERS:
            found.append((before, labelled[labelled["as_of_date"] == cut]))
    return found


def learn(
    facts: pd.DataFrame, labelled: pd.DataFrame, seed: int
) -> tuple[Scale, Candidate, list[Candidate]]:
    """Scale, chosen candidate and all candidates for the customers of a date.

    Args:
        facts: Columns FACTS of the date's customers.
        labelled: Snapshots with outcomes known on the date; as of `pairs`.
        seed: Seed of the fits.
    """
    scale = Scale.of(facts)
    tested = [
        replace(one, spend_r2=_past_r2(one.count, labelled, seed))
        for one in fit.candidates(facts, scale, seed)
    ]
    return scale, fit.choose(tested), tested


def _past_r2(count: int, labelled: pd.DataFrame, seed: int) -> float:
    """Mean over `pairs` of the R2 of so many segments, fitted to the earlier snapshots."""
    values = [
        spend_r2(label_of(fit.kmeans(count), before, seed), before, after)
        for before, after in pairs(labelled)
    ]
    return float(np.mean(values)) if values else float("nan")


def label_of(fitted: fit.Fit, facts: pd.DataFrame, seed: int) -> Label:
    """Fit to customers, and return what assigns customers to the segments."""
    scale = Scale.of(facts)
    centres = fitted(scale.points(sampled(facts, fit.MAX_FITTED, seed)), seed)
    return partial(fit.labelled, scale, centres)


def plain(facts: pd.DataFrame) -> np.ndarray:
    """Logs of recency, frequency and money, as a user would take them; shape (n_rows, 3)."""
    days, order_days, spend = (facts[n].to_numpy(float) for n in (RECENCY, FREQUENCY, MONEY))
    return np.column_stack([np.log1p(days), np.log(order_days), np.log1p(spend)])


def evaluate(labelled: pd.DataFrame, seed: int) -> Evaluation:
    """Test the choice of segments on past dates, beside what a user would pick.

    Args:
        labelled: As of `pairs`.
        seed: Seed of the fits.
    """
    figures: list[Figure] = []
    for before, after in pairs(labelled):
        cut = after["as_of_date"].iloc[0]
        known = known_by(labelled, before["as_of_date"].iloc[0], HORIZON_DAYS)
        scale, chosen, _ = learn(before, known, seed)
        figures += rows(cut, MODEL, _of_the_choice(scale, chosen, before, after), len(after))
        figures += rows(cut, KMEANS_4, _of_plain(before, after, seed), len(after))
        figures += rows(cut, WARD, _of_ward(chosen.count, before, after, seed), len(after))
        figures += rows(cut, RFM_GROUPS, _of_rfm(before, after), len(after))
    if not figures:
        return untested(MODEL)
    found = Evaluation(tuple(figures), MODEL)
    metrics = ("spend_r2", "stability", "lowest_stability", "weekly_change", "count_segments")
    means = found.means(metrics, {MODEL: "", KMEANS_4: "baseline_"})
    ours, theirs = (found.mean(name, "spend_r2") for name in (MODEL, KMEANS_4))
    decision = f"spend_r2 {ours:.3f} against {theirs:.3f} of {KMEANS_4}"
    return replace(found, decision=decision, metrics=means)


def _used(label: Label, before: pd.DataFrame, after: pd.DataFrame) -> dict[str, float]:
    return {
        "spend_r2": spend_r2(label, before, after),
        "weekly_change": fit.weekly_change(after, label),
    }


def _of_the_choice(
    scale: Scale, chosen: Candidate, before: pd.DataFrame, after: pd.DataFrame
) -> dict[str, float]:
    used = _used(partial(fit.labelled, scale, chosen.centres), before, after)
    return {
        **used,
        "stability": chosen.stability,
        "lowest_stability": chosen.lowest,
        "smallest_share": chosen.smallest_share,
        "count_segments": float(chosen.count),
    }


def _of_plain(before: pd.DataFrame, after: pd.DataFrame, seed: int) -> dict[str, float]:
    """Four segments by k-means on the logs."""
    points = plain(before)
    mean, deviation = points.mean(axis=0), points.std(axis=0)
    deviation[deviation < 1e-9] = 1.0
    scaled = (points - mean) / deviation
    count = min(4, len(np.unique(scaled, axis=0)))
    centres = fit.kmeans(count)(scaled, seed)
    used = _used(lambda some: assign((plain(some) - mean) / deviation, centres), before, after)
    mean_index, lowest = fit.stability(scaled[: fit.MAX_RESAMPLED], fit.kmeans(count), seed)
    return {**used, "stability": mean_index, "lowest_stability": lowest}


def _of_rfm(before: pd.DataFrame, after: pd.DataFrame) -> dict[str, float]:
    groups = RfmGroups.learn(before)
    return _used(lambda some: groups.of(some)[GROUP].to_numpy(), before, after)


def _of_ward(count: int, before: pd.DataFrame, after: pd.DataFrame, seed: int) -> dict[str, float]:
    """As many segments by Ward's method."""
    used = _used(label_of(fit.ward(count), before, seed), before, after)
    points = Scale.of(before).points(sampled(before, fit.MAX_RESAMPLED, seed))
    mean_index, lowest = fit.stability(points, fit.ward(count), seed)
    return {**used, "stability": mean_index, "lowest_stability": lowest}
