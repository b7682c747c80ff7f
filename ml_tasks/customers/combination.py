"""Weights and levels of the members of a combination, learnt out of time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ml_tasks.customers import margins
from ml_tasks.customers.clock_trees import ClockTrees
from ml_tasks.customers.known import HORIZON_DAYS
from ml_tasks.customers.regression import Regression
from ml_tasks.evaluation import levels as level_evidence
from ml_tasks.evaluation import weights as weight_evidence

PROCESS, REGRESSION, TREES = "pareto_nbd", Regression.name, ClockTrees.name
MEMBERS = (PROCESS, REGRESSION, TREES)
# Weights before any evidence: equal. docs/decisions/customer_models.md has what was compared.
PRIOR = np.full(len(MEMBERS), 1 / len(MEMBERS))


@dataclass(frozen=True)
class Combination:
    """Weights and levels of the fitted members. Array elements match `names`.

    Attributes:
        names: Names of the members.
        weights: Weights of the members' log odds, shape (n_members,); they need not sum to 1.
        levels: Corrections and weights of the members' mean predictions.
        count_dates: Number of past dates used.
    """

    names: tuple[str, ...]
    weights: np.ndarray
    levels: level_evidence.Levels
    count_dates: int

    def __str__(self) -> str:
        """Each member's share of the weights, and the number of past dates used."""
        shares = self.weights / self.weights.sum() if self.weights.sum() else self.weights
        parts = [f"{name} {share:.0%}" for name, share in zip(self.names, shares, strict=True)]
        return f"{', '.join(parts)}, by {self.count_dates} past dates"

    def margin(self, log_odds: Mapping[str, np.ndarray]) -> np.ndarray:
        """Weighted sum of the members' log odds, before the shift, shape (n,).

        Args:
            log_odds: Name of a member -> its log odds, shape (n,).
        """
        parts = [w * log_odds[n] for n, w in zip(self.names, self.weights, strict=True)]
        return np.sum(parts, axis=0)

    def shift(self, log_odds: Mapping[str, np.ndarray]) -> float:
        """Constant that moves the mean probability of a date to the expected level.

        Args:
            log_odds: Name of a member -> its log odds of all customers of the date, shape (n,).
        """
        means = np.array([mean_log_odds(log_odds[name]) for name in self.names])
        level = float(margins.inverse_link(np.array(self.levels.of(means)), "logistic"))
        return margins.shift_to_mean(self.margin(log_odds), level)


def combine(
    predictions: pd.DataFrame, happened: np.ndarray, known_by: pd.Timestamp, names: tuple[str, ...]
) -> Combination:
    """Learn weights and levels from the dates with outcomes known by a date.

    Args:
        predictions: Columns as_of_date and a column of log odds per name, see
            `chance.predict_past`.
        happened: Outcome 0 or 1 of each row, shape (n_rows,).
        known_by: The date.
        names: Names of the members to combine.
    """
    place = [MEMBERS.index(name) for name in names]
    prior = PRIOR[place] / PRIOR[place].sum()
    horizon = pd.Timedelta(days=HORIZON_DAYS)
    is_known = (predictions["as_of_date"] + horizon <= known_by).to_numpy(dtype=bool)
    predictions, happened = predictions[is_known], happened[is_known]
    if predictions.empty:
        return Combination(names, prior, level_evidence.untested(len(names)), 0)
    log_odds = predictions[list(names)].to_numpy(dtype=float)
    days, date = np.unique(predictions["as_of_date"].to_numpy(), return_inverse=True)
    weights = weight_evidence.weights(log_odds, happened, date, prior)
    errors, variance = [], []
    for number in range(len(days)):
        rows = date == number
        rate = (happened[rows].sum() + 0.5) / (rows.sum() + 1)
        variance.append(1 / (rows.sum() * rate * (1 - rate)))
        errors.append([np.log(rate / (1 - rate)) - mean_log_odds(one) for one in log_odds[rows].T])
    levels = level_evidence.learnt(np.array(errors), np.array(variance))
    return Combination(names, weights.round(6), levels, len(days))


def mean_log_odds(log_odds: np.ndarray) -> float:
    """Log odds of the mean probability; NaN if any value is NaN.

    Args:
        log_odds: Shape (n,), at least one value.
    """
    mean = float(np.mean(margins.inverse_link(log_odds, "logistic")))
    return float(np.log(mean / (1 - mean)))
