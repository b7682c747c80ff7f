"""Fit k-means, measure how stable it is, and choose the number of segments."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from sklearn.cluster import AgglomerativeClustering, KMeans
from sklearn.metrics import adjusted_rand_score

from ml_tasks.segments.facts import RECENCY, Scale, assign, sampled

COUNTS = range(2, 9)  # numbers of segments to choose from
MAX_FITTED, MAX_RESAMPLED, MAX_WARD = 20_000, 5_000, 2_000  # customers
COUNT_RESAMPLES = 10
STARTS = 10  # of k-means; with fewer, resamples differ by their local optimum
# What a number of segments must fulfil, see docs/decisions/segments.md.
LEAST_STABILITY, LEAST_LOWEST, LEAST_SHARE, MOST_WEEKLY = 0.9, 0.75, 0.05, 0.025
NEAR = 0.01  # segments that explain less than the best by this explain as much

Fit = Callable[[np.ndarray, int], np.ndarray]  # points, seed -> centres


@dataclass(frozen=True)
class Candidate:
    """A number of segments, and what speaks for it.

    Attributes:
        centres: Shape (n_segments, 3), standardised.
        stability: Mean adjusted Rand index of fits to resamples against the fit to all.
        lowest: The lowest of them.
        smallest_share: Share of the customers in the smallest segment.
        weekly_change: See `weekly_change`.
        spend_r2: R2 out of time of the log of the spend of 90 days; NaN if there is no past date.
    """

    centres: np.ndarray
    stability: float
    lowest: float
    smallest_share: float
    weekly_change: float
    spend_r2: float = math.nan

    @property
    def count(self) -> int:
        """Number of segments."""
        return len(self.centres)

    def to_dict(self) -> dict[str, float | None]:
        """The figures as JSON; NaN is None."""
        return {
            "count_segments": float(self.count),
            "stability": self.stability,
            "lowest_stability": self.lowest,
            "smallest_share": self.smallest_share,
            "weekly_change": self.weekly_change,
            "spend_r2": None if math.isnan(self.spend_r2) else self.spend_r2,
        }

    @property
    def is_fit_for_use(self) -> bool:
        """Whether it is stable, no segment is tiny, and customers stay where they are."""
        return (
            self.stability >= LEAST_STABILITY
            and self.lowest >= LEAST_LOWEST
            and self.smallest_share >= LEAST_SHARE
            and self.weekly_change <= MOST_WEEKLY
        )


def kmeans(count: int) -> Fit:
    """A fit of k-means with so many centres."""

    def fit(points: np.ndarray, seed: int) -> np.ndarray:
        model = KMeans(count, n_init=STARTS, random_state=seed).fit(points)
        return np.asarray(model.cluster_centers_)

    return fit


def ward(count: int) -> Fit:
    """A fit of Ward's method to MAX_WARD points; the centres are the means of its clusters."""

    def fit(points: np.ndarray, seed: int) -> np.ndarray:
        rows = np.random.default_rng(seed).permutation(len(points))[:MAX_WARD]
        part = points[np.sort(rows)]
        labels = AgglomerativeClustering(count, linkage="ward").fit_predict(part)
        return np.stack([part[labels == label].mean(axis=0) for label in range(count)])

    return fit


def stability(points: np.ndarray, fit: Fit, seed: int) -> tuple[float, float]:
    """Mean and lowest adjusted Rand index of fits to resamples, against the fit to all points.

    Each fit assigns all points to its nearest centre. 1: the same segments; 0: as by chance.

    Args:
        points: Shape (n_points, 3).
        fit: Computes the centres.
        seed: Seed of the resamples and the fits.

    Source:
        Hennig (2007), Cluster-wise assessment of cluster stability.
    """
    random = np.random.default_rng(seed)
    whole = assign(points, fit(points, seed))
    agreements = []
    for number in range(COUNT_RESAMPLES):
        rows = random.integers(0, len(points), len(points))
        labels = assign(points, fit(points[rows], seed + 1 + number))
        agreements.append(adjusted_rand_score(whole, labels))
    return float(np.mean(agreements)), float(np.min(agreements))


def weekly_change(facts: pd.DataFrame, label: Callable[[pd.DataFrame], np.ndarray]) -> float:
    """Share of the customers without an order in the last week who changed segment in it.

    They are those whose last order is older; a week ago it was seven days younger.

    Args:
        facts: Columns FACTS.
        label: Assigns customers to segments.
    """
    quiet = facts[facts[RECENCY] > 7]
    if quiet.empty:
        return 0.0
    before = quiet.assign(**{RECENCY: quiet[RECENCY] - 7})
    return float((label(quiet) != label(before)).mean())


def labelled(scale: Scale, centres: np.ndarray, facts: pd.DataFrame) -> np.ndarray:
    """Number of the segment of each customer, shape (n_rows,); `facts` has columns FACTS."""
    return assign(scale.points(facts), centres)


def candidates(facts: pd.DataFrame, scale: Scale, seed: int) -> list[Candidate]:
    """A candidate for each number of segments that these customers allow.

    Args:
        facts: Columns FACTS.
        scale: Of these customers.
        seed: Seed of the fits.
    """
    fitted = scale.points(sampled(facts, MAX_FITTED, seed))
    some = scale.points(sampled(facts, MAX_RESAMPLED, seed))
    most = len(np.unique(some, axis=0))
    found = []
    for count in (count for count in COUNTS if count <= most):
        centres = kmeans(count)(fitted, seed)
        labels = assign(fitted, centres)
        mean, lowest = stability(some, kmeans(count), seed)
        change = weekly_change(facts, partial(labelled, scale, centres))
        share = float(np.bincount(labels, minlength=count).min() / len(labels))
        found.append(Candidate(centres, mean, lowest, share, change))
    return found


def choose(found: Sequence[Candidate]) -> Candidate:
    """The most segments that explain later spend as well as the best, but for NEAR.

    Only those that are fit for use count; if there are none, the most stable is chosen. Without
    a past date to test on, it is the most stable of three segments and more, since two separate
    good customers from bad and no more.

    Args:
        found: At least one candidate.
    """
    usable = [one for one in found if one.is_fit_for_use]
    if not usable:
        return max(found, key=_stability)
    tested = [one for one in usable if not math.isnan(one.spend_r2)]
    if not tested:
        return max([one for one in usable if one.count > 2] or usable, key=_stability)
    best = max(one.spend_r2 for one in tested)
    return max((one for one in tested if one.spend_r2 >= best - NEAR), key=lambda one: one.count)


def _stability(one: Candidate) -> tuple[float, int]:
    return one.stability, one.count
