"""What a user would pick instead: transition rates, by stage alone or by stage and recency."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ml_tasks.stages.rules import STAGES

MONTH_DAYS = 30
MAX_MONTHS = 14  # longer silences count as so many months
PRIOR_MOVES = 0.5  # of each possible transition
PRIOR_ROWS = 5.0  # the stage's rates count as so many rows of each month


@dataclass(frozen=True)
class Rates:
    """Shares of the stages 90 days later, in nested lists.

    Attributes:
        rates: Shape (n_stages, n_months, n_stages): by stage and months since the last order, or
            with one month for all.
    """

    rates: list[list[list[float]]]

    def parameters(self) -> dict[str, Any]:
        """The rates, as JSON."""
        return {"rates": self.rates}

    def predict(self, facts: pd.DataFrame) -> np.ndarray:
        """Probability of each stage in 90 days, shape (n, n_stages).

        Args:
            facts: Columns stage, days_since_last_order.
        """
        table = np.array(self.rates)
        return table[numbers(facts["stage"]), np.minimum(_months(facts), table.shape[1] - 1)]


def fit_markov(labelled: pd.DataFrame, possible: np.ndarray) -> Rates:
    """Rates by stage: one matrix for 90 days, from all past dates.

    Args:
        labelled: Columns stage, stage_after.
        possible: See `rules.possible`.
    """
    counts = count_moves(labelled) + PRIOR_MOVES * possible
    return Rates(_shares(counts)[:, None].round(6).tolist())


def fit_semi_markov(labelled: pd.DataFrame, possible: np.ndarray) -> Rates:
    """Rates by stage and months since the last order, shrunk to those of the stage.

    Args:
        labelled: Columns stage, stage_after, days_since_last_order.
        possible: See `rules.possible`.
    """
    counts = np.zeros((len(STAGES), MAX_MONTHS + 1, len(STAGES)))
    place = (numbers(labelled["stage"]), _months(labelled), numbers(labelled["stage_after"]))
    np.add.at(counts, place, 1.0)
    prior = np.array(fit_markov(labelled, possible).rates)
    return Rates(_shares(counts + PRIOR_ROWS * prior).round(6).tolist())


BASELINES: dict[str, Callable[[pd.DataFrame, np.ndarray], Rates]] = {
    "markov": fit_markov,
    "semi_markov": fit_semi_markov,
}


def count_moves(labelled: pd.DataFrame) -> np.ndarray:
    """Number of rows by stage and stage 90 days later, shape (n_stages, n_stages).

    Args:
        labelled: Columns stage, stage_after.
    """
    counts = np.zeros((len(STAGES), len(STAGES)))
    np.add.at(counts, (numbers(labelled["stage"]), numbers(labelled["stage_after"])), 1.0)
    return counts


def numbers(stages: pd.Series) -> np.ndarray:
    """Places of stages in STAGES, shape (n,)."""
    return stages.map({name: number for number, name in enumerate(STAGES)}).to_numpy(dtype=int)


def _months(facts: pd.DataFrame) -> np.ndarray:
    days = facts["days_since_last_order"].to_numpy(dtype=int)
    return np.minimum(days // MONTH_DAYS, MAX_MONTHS)


def _shares(counts: np.ndarray) -> np.ndarray:
    return np.asarray(counts / counts.sum(axis=-1, keepdims=True))
