"""Drift: distances between a model's present inputs and scores and those of its training date.

Shops grow and have seasons, so months differ without anything being wrong. A column has drifted if
its distance from the training date exceeds the distances between months before that date, and what
chance explains for samples of this size.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

FILE = "reference.json"
FEATURES, SCORES = "features", "scores"  # kinds of columns: a model's inputs and its scores
STATISTIC = "jensen_shannon_distance"
COUNT_BINS = 10
# Months before the training date that are compared with each other: a year has every season.
COUNT_MONTHS = 12
MONTH_DAYS = 365 / 12
# Least rows of a distribution, and least number of steps from month to month.
MIN_ROWS = 200
MIN_STEPS = 3
# Probability that chance alone exceeds the noise in the threshold of one column.
NOISE_LEVEL = 1e-4
KEYS = ("as_of_date", "customer_id", "product_id", "week_start_date", "horizon_weeks")


def reference(frame: pd.DataFrame, earlier: Iterable[pd.DataFrame] = ()) -> dict[str, Any]:
    """Histograms of a training date's columns, as JSON.

    Args:
        frame: Inputs or scores of the training date. Numeric columns are compared, all others are
            ignored.
        earlier: Frames of earlier dates, a month apart, oldest first; held one at a time.

    Returns:
        `count` of rows, and for each of `columns`: `edges` of its bins (distinct deciles), `counts`
        by bin with the missing values last, and `step`, the largest distance between two
        consecutive months; null for fewer than MIN_STEPS distances.
    """
    edges = {name: _deciles(frame[name].to_numpy(dtype=float)) for name in _watched(frame)}
    months = [histograms(month, edges) for month in earlier if len(month) >= MIN_ROWS]
    months.append(histograms(frame, edges))
    columns = {}
    for name in edges:
        steps = [distance(before[name], after[name]) for before, after in pairwise(months)]
        columns[name] = {
            "edges": edges[name],
            "counts": [int(count) for count in months[-1][name]],
            "step": round(max(steps), 6) if len(steps) >= MIN_STEPS else None,
        }
    return {"count": len(frame), "columns": columns}


def _watched(frame: pd.DataFrame) -> list[str]:
    """Numeric columns without keys."""
    return [str(name) for name in frame.select_dtypes("number") if name not in KEYS]


def _deciles(values: np.ndarray) -> list[float]:
    known = values[~np.isnan(values)]
    if not len(known):
        return []
    inner = np.quantile(known, np.arange(1, COUNT_BINS) / COUNT_BINS)
    return [float(edge) for edge in np.unique(np.round(inner, 6))]


def histograms(frame: pd.DataFrame, edges: Mapping[str, list[float]]) -> dict[str, np.ndarray]:
    """Column -> counts by bin, see `counts`; `edges` gives the columns and their bins."""
    return {name: counts(frame[name].to_numpy(dtype=float), edges[name]) for name in edges}


def counts(values: np.ndarray, edges: Sequence[float] | np.ndarray) -> np.ndarray:
    """Count values by bin, shape (n_edges + 2,): up to each edge, above the last, missing.

    Args:
        values: Shape (n,); NaN is missing.
        edges: Upper edges of the bins, rising; an edge belongs to the bin below it.

    Example:
        >>> counts(np.array([1.0, 2.0, 2.5, 9.0, np.nan]), edges=[2.0, 5.0])
        array([2, 1, 1, 1])
    """
    is_known = ~np.isnan(values)
    place = np.searchsorted(np.asarray(edges, dtype=float), values[is_known])
    return np.append(np.bincount(place, minlength=len(edges) + 1), (~is_known).sum())


def distance(counts_a: np.ndarray, counts_b: np.ndarray) -> float:
    """Jensen-Shannon distance of two histograms over the same bins, in [0, 1].

    Args:
        counts_a: Counts by bin, shape (n_bins,), not all 0.
        counts_b: Counts by bin, shape (n_bins,), not all 0.

    Source:
        Endres and Schindelin (2003), doi 10.1109/TIT.2003.813506. It is a metric: the distances
        from month to month add up to at least the distance of the first month from the last.

    Example:
        >>> distance(np.array([10, 0]), np.array([0, 5]))
        1.0
    """
    p, q = (np.asarray(c, dtype=float) / np.sum(c) for c in (counts_a, counts_b))
    middle = (p + q) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        parts = [np.where(x > 0, x * np.log2(x / middle), 0.0).sum() for x in (p, q)]
    return math.sqrt(max(sum(parts) / 2, 0.0))


def noise(count_bins: int, n_reference: int, n_current: int) -> float:
    """Distance that two samples of one distribution exceed with probability NOISE_LEVEL.

    Source:
        Lin (1991), doi 10.1109/18.61115: near 0 the divergence is an eighth of the chi-squared
        distance, which is distributed as chi-squared times (1 / n + 1 / m).
    """
    if count_bins < 2:
        return 0.0
    quantile = stats.chi2.ppf(1 - NOISE_LEVEL, count_bins - 1)
    return math.sqrt(quantile * (1 / n_reference + 1 / n_current) / 8 / math.log(2))


def month_starts(training_date: date) -> list[date]:
    """The COUNT_MONTHS firsts of months before the month of a date, oldest first."""
    month = training_date.year * 12 + training_date.month - 1
    firsts = [divmod(month - back, 12) for back in range(COUNT_MONTHS, 0, -1)]
    return [date(year, number + 1, 1) for year, number in firsts]
