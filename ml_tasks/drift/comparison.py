"""Compare a scored date's features and scores with the reference of the training date."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ml_tasks.drift.distance import MIN_ROWS, MONTH_DAYS, SCORES, distance, histograms, noise


@dataclass(frozen=True)
class Drift:
    """One column's distance from the reference.

    Attributes:
        column_name: Name of the feature or score.
        kind: `feature` or `score`.
        value: Jensen-Shannon distance in [0, 1]: 0 for equal distributions, 1 for disjoint ones.
        threshold: The column has drifted if `value` is larger. NaN if there were too few months
            before training.
        n_reference: Rows in the reference.
        n_current: Rows of the scored date.
    """

    column_name: str
    kind: str
    value: float
    threshold: float
    n_reference: int
    n_current: int


class Tally:
    """Histograms over the bins of a reference, counted part by part.

    Args:
        stored: From `reference`.
    """

    def __init__(self, stored: Mapping[str, Any]) -> None:
        self._edges = {name: column["edges"] for name, column in stored["columns"].items()}
        self.count = 0
        self.counts: dict[str, np.ndarray] = {}

    def add(self, frame: pd.DataFrame) -> None:
        """Count rows; columns that the frame lacks are left out."""
        known = {name: edges for name, edges in self._edges.items() if name in frame}
        self._add(len(frame), histograms(frame, known))

    def as_json(self) -> dict[str, Any]:
        """Counts as JSON: `count` of rows, and `counts` by bin of each column."""
        counts = {name: by_bin.tolist() for name, by_bin in self.counts.items()}
        return {"count": self.count, "counts": counts}

    def add_json(self, counted: Mapping[str, Any]) -> None:
        """Add the counts of another tally over the same bins, see `as_json`."""
        counts = {name: np.array(by_bin) for name, by_bin in counted["counts"].items()}
        self._add(counted["count"], counts)

    def _add(self, count: int, counts: Mapping[str, np.ndarray]) -> None:
        self.count += count
        for name, by_bin in counts.items():
            self.counts[name] = self.counts[name] + by_bin if name in self.counts else by_bin


def compare(stored: Mapping[str, Any], now: Mapping[str, Tally], age_days: int) -> list[Drift]:
    """Distance of each column from its reference; columns that no longer exist are left out.

    Args:
        stored: `features` and `scores`, each from `reference`.
        now: `features` and `scores` of the scored date.
        age_days: Days since the training date. The threshold grows by one step a started month.
    """
    months = max(math.ceil(age_days / MONTH_DAYS), 1)
    steps = [c["step"] for c in stored["features"]["columns"].values() if c["step"] is not None]
    # scores may move as far as the feature with the largest step
    usual_step = max(steps, default=math.nan)
    drifts = []
    for kind, tally in now.items():
        count = stored[kind]["count"]
        if min(count, tally.count) < MIN_ROWS:
            continue
        for name, counted in tally.counts.items():
            column = stored[kind]["columns"][name]
            step = usual_step if kind == SCORES else column["step"]
            room = math.nan if step is None else step * months
            drifts.append(
                Drift(
                    name,
                    kind.removesuffix("s"),
                    distance(np.array(column["counts"]), counted),
                    room + noise(len(counted), count, tally.count),
                    count,
                    tally.count,
                )
            )
    return drifts
