"""Figures as functions of how often each customer, or series, is drawn: what a bootstrap needs.

A measure is made once of one model's predictions and then computed for many draws at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pandas as pd

# Measures with a verdict, and which way is better.
BETTER = {
    "auc": "high",
    "brier": "low",
    "gini": "high",
    "mae": "low",
    "concordance": "high",
    "integrated_brier": "low",
    "wrmsse": "low",
    "mase": "low",
}


class Measure(Protocol):
    """One model's figure, for many draws of the same rows.

    Attributes:
        count_rows: Customers, or series.
    """

    count_rows: int

    def of(self, counts: np.ndarray) -> np.ndarray:
        """The figure of each draw, shape (n_draws,); counts has the shape (n_draws, n_rows)."""
        ...


@dataclass(frozen=True)
class Judgement:
    """What the judge says of one cut.

    Attributes:
        figures: A row per model, a column per figure.
        measures: Measure -> model -> what a bootstrap draws from; all over the same rows.
    """

    figures: pd.DataFrame
    measures: Mapping[str, Mapping[str, Measure]]


class Mean:
    """Mean of a loss, each row times its weight."""

    def __init__(self, loss: np.ndarray, weight: np.ndarray | None = None) -> None:
        """Take losses and weights, shapes (n,); without weights all rows count the same."""
        self._weight = np.ones(len(loss)) if weight is None else weight
        self._loss = self._weight * loss
        self.count_rows = len(loss)

    def of(self, counts: np.ndarray) -> np.ndarray:
        """See Measure."""
        return (counts @ self._loss) / (counts @ self._weight)


class Gini:
    """Normalised Gini, as ml_tasks.evaluation.metrics has it, by ranks within the draw."""

    def __init__(self, amount: np.ndarray, score: np.ndarray) -> None:
        self._said, self._best = _Ranked(amount, score), _Ranked(amount, amount)
        self.count_rows = len(amount)

    def of(self, counts: np.ndarray) -> np.ndarray:
        """See Measure; NaN for a draw of equal amounts."""
        said, best = self._said.covariance(counts), self._best.covariance(counts)
        return np.divide(said, best, out=np.full_like(said, np.nan), where=best > 0)


class Auc(Gini):
    """Area under the ROC curve: of events as amounts, Gini is 2 AUC - 1."""

    def __init__(self, is_event: np.ndarray, score: np.ndarray) -> None:
        super().__init__(is_event.astype(float), score)

    def of(self, counts: np.ndarray) -> np.ndarray:
        """See Measure; NaN for a draw of one kind only."""
        return (1 + super().of(counts)) / 2


class _Ranked:
    """Amounts in the order of a score."""

    def __init__(self, amount: np.ndarray, score: np.ndarray) -> None:
        self._order = np.argsort(score, kind="stable")
        ranked = np.asarray(score)[self._order]
        self._starts = np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]])  # of equal scores
        self._amount = np.asarray(amount, dtype=float)[self._order]

    def covariance(self, counts: np.ndarray) -> np.ndarray:
        """Of the amounts with the ranks of the score, times n; equal scores share their ranks."""
        drawn = counts[:, self._order]
        size = np.add.reduceat(drawn, self._starts, axis=1)
        amount = np.add.reduceat(drawn * self._amount, self._starts, axis=1)
        rank = np.cumsum(size, axis=1) - (size - 1) / 2
        middle = (counts.sum(axis=1) + 1) / 2
        return (amount * rank).sum(axis=1) - amount.sum(axis=1) * middle


class Concordance:
    """Harrell's c: of the pairs whose order is known, how many are ranked so; ties count half.

    Over draws it is linear in the counts: each pair's share is given to its two customers, and what
    is left out is of second order. A pair of one customer with themself is none.

    Source:
        Harrell, Lee and Mark (1996), Statistics in Medicine 15:361-387.
    """

    def __init__(self, wait: np.ndarray, is_ordered: np.ndarray, rank: np.ndarray) -> None:
        """Take days to the order (or watched), whether it came, and a rank that grows with it."""
        day = np.where(is_ordered, wait, np.max(wait) + 1).astype(int)
        values, place = np.unique(rank, return_inverse=True)
        self._wins, self._pairs = np.zeros(len(day)), np.zeros(len(day))
        self.count_rows = len(day)
        days = np.unique(day)
        # as the one who orders first
        after = np.zeros(len(values))
        for today in days[::-1]:
            rows = np.flatnonzero(day == today)
            if is_ordered[rows[0]]:
                up_to = np.cumsum(after)
                self._wins[rows] += up_to[-1] - up_to[place[rows]] + after[place[rows]] / 2
                self._pairs[rows] += up_to[-1]
            after += np.bincount(place[rows], minlength=len(values))
        # as the one who orders later, or not while watched
        before = np.zeros(len(values))
        for today in days:
            rows = np.flatnonzero(day == today)
            up_to = np.cumsum(before)
            self._wins[rows] += up_to[place[rows]] - before[place[rows]] / 2
            self._pairs[rows] += up_to[-1]
            if is_ordered[rows[0]]:
                before += np.bincount(place[rows], minlength=len(values))

    def of(self, counts: np.ndarray) -> np.ndarray:
        """See Measure; NaN if no pair can be compared."""
        wins = 2 * counts @ self._wins - self._wins.sum()
        pairs = 2 * counts @ self._pairs - self._pairs.sum()
        return np.divide(wins, pairs, out=np.full_like(wins, np.nan), where=pairs > 0)


def by_model(said: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Each model's predictions, by its name, ascending."""
    return {str(model): frame for model, frame in said.groupby("model")}


def goodness(value: float, better: str) -> float:
    """The figure turned so that more is better.

    Args:
        value: The figure.
        better: `high`, `low`, or `near` a target, as `near 0` or `near 0.8`.
    """
    match better.split():
        case ["high"]:
            return value
        case ["low"]:
            return -value
        case ["near", target]:
            return -abs(value - float(target))
    raise ValueError(f"{better!r} is none of high, low, near <target>")
