"""Figures as functions of how often each customer, or series, is drawn, for the bootstrap.

A measure is built once from one model's predictions and then computed for many draws at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pandas as pd

# Measures with a verdict, and their better direction.
BETTER = {
    "auc": "high",
    "brier": "low",
    "log_loss": "low",
    "gini": "high",
    "mae": "low",
    "concordance": "high",
    "integrated_brier": "low",
    "wrmsse": "low",
    "mase": "low",
    "spend_r2": "high",
    "log_days_error": "low",
    "log_amount_error": "low",
    "precision_at_3": "high",
}


class Measure(Protocol):
    """One model's figure, for many draws of the same rows.

    Attributes:
        count_rows: Number of customers, or series.
    """

    count_rows: int

    def of(self, counts: np.ndarray) -> np.ndarray:
        """The figure of each draw, shape (n_draws,), from counts of shape (n_draws, n_rows)."""
        ...


@dataclass(frozen=True)
class Judgement:
    """The evaluation of all models at one cut.

    Attributes:
        figures: One row per model, one column per figure.
        measures: Name of the measure -> model -> Measure; all over the same rows.
    """

    figures: pd.DataFrame
    measures: Mapping[str, Mapping[str, Measure]]


class Mean:
    """Weighted mean of a loss."""

    def __init__(self, loss: np.ndarray, weight: np.ndarray | None = None) -> None:
        """Store losses and weights, shapes (n,); without weights all rows count the same."""
        self._weight = np.ones(len(loss)) if weight is None else weight
        self._loss = self._weight * loss
        self.count_rows = len(loss)

    def of(self, counts: np.ndarray) -> np.ndarray:
        """See Measure."""
        return (counts @ self._loss) / (counts @ self._weight)


class Gini:
    """Normalised Gini as in ml_tasks.evaluation.metrics, by ranks within the draw."""

    def __init__(self, amount: np.ndarray, score: np.ndarray) -> None:
        self._predicted, self._best = _Ranked(amount, score), _Ranked(amount, amount)
        self.count_rows = len(amount)

    def of(self, counts: np.ndarray) -> np.ndarray:
        """See Measure; NaN for a draw of equal amounts."""
        own, best = self._predicted.covariance(counts), self._best.covariance(counts)
        return np.divide(own, best, out=np.full_like(own, np.nan), where=best > 0)


class Auc(Gini):
    """Area under the ROC curve: with events as amounts, Gini is 2 AUC - 1."""

    def __init__(self, is_event: np.ndarray, score: np.ndarray) -> None:
        super().__init__(is_event.astype(float), score)

    def of(self, counts: np.ndarray) -> np.ndarray:
        """See Measure; NaN for a draw with one class only."""
        return (1 + super().of(counts)) / 2


class _Ranked:
    """Amounts in the order of a score."""

    def __init__(self, amount: np.ndarray, score: np.ndarray) -> None:
        self._order = np.argsort(score, kind="stable")
        ranked = np.asarray(score)[self._order]
        # first row of each group of equal scores
        self._starts = np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]])
        self._amount = np.asarray(amount, dtype=float)[self._order]

    def covariance(self, counts: np.ndarray) -> np.ndarray:
        """Covariance of amounts and score ranks, times n, shape (n_draws,).

        Equal scores share their mean rank.
        """
        drawn = counts[:, self._order]
        size = np.add.reduceat(drawn, self._starts, axis=1)
        amount = np.add.reduceat(drawn * self._amount, self._starts, axis=1)
        rank = np.cumsum(size, axis=1) - (size - 1) / 2
        middle = (counts.sum(axis=1) + 1) / 2
        return (amount * rank).sum(axis=1) - amount.sum(axis=1) * middle


class Concordance:
    """Harrell's c: share of the comparable pairs that are ranked correctly; ties count half.

    Over draws it is linear in the counts: each pair's share goes to its two customers, and the
    remainder is of second order. A customer drawn twice makes no pair.

    Source:
        Harrell, Lee and Mark (1996), Statistics in Medicine 15:361-387.
    """

    def __init__(self, wait: np.ndarray, is_ordered: np.ndarray, rank: np.ndarray) -> None:
        """Store days to the order (or watched), whether it came, and its predicted rank."""
        day = np.where(is_ordered, wait, np.max(wait) + 1).astype(int)
        values, place = np.unique(rank, return_inverse=True)
        self._wins, self._pairs = np.zeros(len(day)), np.zeros(len(day))
        self.count_rows = len(day)
        days = np.unique(day)
        # the customer as the first of the pair to order
        after = np.zeros(len(values))
        for today in days[::-1]:
            rows = np.flatnonzero(day == today)
            if is_ordered[rows[0]]:
                up_to = np.cumsum(after)
                self._wins[rows] += up_to[-1] - up_to[place[rows]] + after[place[rows]] / 2
                self._pairs[rows] += up_to[-1]
            after += np.bincount(place[rows], minlength=len(values))
        # the customer as the second to order, or with no order while watched
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


def by_model(predictions: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Predictions by model name, ascending."""
    return {str(model): frame for model, frame in predictions.groupby("model")}


def goodness(value: float, better: str) -> float:
    """The figure transformed so that higher is better.

    Args:
        value: The figure.
        better: `high`, `low`, or `near` a target, such as `near 0` or `near 0.8`.

    Raises:
        ValueError: If `better` is none of these.
    """
    match better.split():
        case ["high"]:
            return value
        case ["low"]:
            return -value
        case ["near", target]:
            return -abs(value - float(target))
    raise ValueError(f"{better!r} is none of high, low, near <target>")
