"""Whether what a model is fed, and what it answers, is still distributed as when it was trained.

Shops grow and have seasons, so months differ without anything being wrong. A column has drifted if
it is further from the training date's snapshot than months were from each other before it, and
further than chance makes samples of this size.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

FILE = "reference.json"
FEATURES, SCORES = "features", "scores"  # what is kept of each, and compared
STATISTIC = "jensen_shannon_distance"
COUNT_BINS = 10
# So many months before the training date say how far apart months are: a year has every season.
COUNT_MONTHS = 12
MONTH_DAYS = 365 / 12
# Fewer rows say nothing of a distribution, fewer months nothing of how they differ.
MIN_ROWS = 200
MIN_STEPS = 3
# Chance alone exceeds the noise's part of the threshold once in so many columns.
NOISE_LEVEL = 1e-4
KEYS = ("as_of_date", "customer_id", "product_id", "week_start_date", "horizon_weeks")


@dataclass(frozen=True)
class Drift:
    """One column's distance from the reference.

    Attributes:
        column_name: Feature, or score.
        kind: `feature` or `score`.
        value: Jensen-Shannon distance, in [0, 1]: 0 same, 1 nothing in common.
        threshold: Above it, it has drifted; NaN if the months before training can't tell.
        n_reference: Rows in the reference.
        n_current: Rows now.
    """

    column_name: str
    kind: str
    value: float
    threshold: float
    n_reference: int
    n_current: int


def reference(frame: pd.DataFrame, earlier: Iterable[pd.DataFrame] = ()) -> dict[str, Any]:
    """What is kept of a training date's snapshot, as JSON.

    Args:
        frame: Of the training date; numeric columns are watched, all others are not.
        earlier: The same of earlier dates, a month apart, oldest first; one is held at a time.

    Returns:
        count of rows, and by column: `edges` of its bins (deciles; equal ones are one), `counts`
        by bin, the last one missing values, and `step`, the furthest that two months in a row were
        apart; null for less than MIN_STEPS of them.
    """
    edges = {name: _deciles(frame[name].to_numpy(dtype=float)) for name in _watched(frame)}
    months = [_histograms(month, edges) for month in earlier if len(month) >= MIN_ROWS]
    months.append(_histograms(frame, edges))
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
    """Numeric columns, keys left out."""
    return [str(name) for name in frame.select_dtypes("number") if name not in KEYS]


def _deciles(values: np.ndarray) -> list[float]:
    known = values[~np.isnan(values)]
    if not len(known):
        return []
    inner = np.quantile(known, np.arange(1, COUNT_BINS) / COUNT_BINS)
    return [float(edge) for edge in np.unique(np.round(inner, 6))]


def _histograms(frame: pd.DataFrame, edges: Mapping[str, list[float]]) -> dict[str, np.ndarray]:
    return {name: counts(frame[name].to_numpy(dtype=float), edges[name]) for name in edges}


def counts(values: np.ndarray, edges: Sequence[float] | np.ndarray) -> np.ndarray:
    """Rows by bin: up to and with each edge, above the last one, and missing."""
    is_known = ~np.isnan(values)
    place = np.searchsorted(np.asarray(edges, dtype=float), values[is_known])
    return np.append(np.bincount(place, minlength=len(edges) + 1), (~is_known).sum())


def distance(counts_a: np.ndarray, counts_b: np.ndarray) -> float:
    """Jensen-Shannon distance of two histograms over the same bins, in [0, 1].

    Source:
        Endres and Schindelin (2003), doi 10.1109/TIT.2003.813506: a metric, so that the distances
        of several months add up to no less than that of the first from the last.
    """
    p, q = (np.asarray(c, dtype=float) / np.sum(c) for c in (counts_a, counts_b))
    middle = (p + q) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        parts = [np.where(x > 0, x * np.log2(x / middle), 0.0).sum() for x in (p, q)]
    return math.sqrt(max(sum(parts) / 2, 0.0))


def noise(count_bins: int, n_reference: int, n_current: int) -> float:
    """Distance that two samples of one distribution exceed with chance NOISE_LEVEL.

    Source:
        Lin (1991), doi 10.1109/18.61115: near 0 the divergence is an eighth of the chi-squared
        distance, which is distributed as chi-squared times (1 / n + 1 / m).
    """
    if count_bins < 2:
        return 0.0
    quantile = stats.chi2.ppf(1 - NOISE_LEVEL, count_bins - 1)
    return math.sqrt(quantile * (1 / n_reference + 1 / n_current) / 8 / math.log(2))


class Tally:
    """Histograms over the bins of a reference, of rows that may come in parts."""

    def __init__(self, stored: Mapping[str, Any]) -> None:
        """Begin with no row.

        Args:
            stored: From `reference`.
        """
        self._edges = {name: column["edges"] for name, column in stored["columns"].items()}
        self.count = 0
        self.counts: dict[str, np.ndarray] = {}

    def add(self, frame: pd.DataFrame) -> None:
        """Count rows; columns that they do not have are left out."""
        known = {name: edges for name, edges in self._edges.items() if name in frame}
        self._add(len(frame), _histograms(frame, known))

    def as_json(self) -> dict[str, Any]:
        """The same as JSON."""
        counts = {name: found.tolist() for name, found in self.counts.items()}
        return {"count": self.count, "counts": counts}

    def add_json(self, counted: Mapping[str, Any]) -> None:
        """Add what another counted over the same bins, see `as_json`."""
        found = {name: np.array(one) for name, one in counted["counts"].items()}
        self._add(counted["count"], found)

    def _add(self, count: int, counts: Mapping[str, np.ndarray]) -> None:
        self.count += count
        for name, found in counts.items():
            self.counts[name] = self.counts[name] + found if name in self.counts else found


def compare(stored: Mapping[str, Any], now: Mapping[str, Tally], age_days: int) -> list[Drift]:
    """Distance of each stored column from what it is now; columns that are gone are left out.

    Args:
        stored: `features` and `scores`, each from `reference`.
        now: By the same names: what the model is fed, and what it answers.
        age_days: Since the training date. Each month begun gives way to one month's step.
    """
    months = max(math.ceil(age_days / MONTH_DAYS), 1)
    steps = [c["step"] for c in stored["features"]["columns"].values() if c["step"] is not None]
    # scores may move as much as the feature that moves most
    usual_step = max(steps, default=math.nan)
    found = []
    for kind, tally in now.items():
        count = stored[kind]["count"]
        if min(count, tally.count) < MIN_ROWS:
            continue
        for name, counted in tally.counts.items():
            column = stored[kind]["columns"][name]
            step = usual_step if kind == SCORES else column["step"]
            room = math.nan if step is None else step * months
            found.append(
                Drift(
                    name,
                    kind.removesuffix("s"),
                    distance(np.array(column["counts"]), counted),
                    room + noise(len(counted), count, tally.count),
                    count,
                    tally.count,
                )
            )
    return found


def month_starts(training_date: date) -> list[date]:
    """The COUNT_MONTHS firsts of months before a date, oldest first."""
    month = training_date.year * 12 + training_date.month - 1
    firsts = [divmod(month - back, 12) for back in range(COUNT_MONTHS, 0, -1)]
    return [date(year, number + 1, 1) for year, number in firsts]
