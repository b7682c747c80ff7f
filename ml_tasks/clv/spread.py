"""Spread of amounts around the expected ones: quantiles for all customers, and for buyers.

A customer spends nothing with some probability, otherwise the expected amount times a ratio. The
ratios are those of customers with a similar chance to spend on past dates.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

# Published quantiles; 8 in 10 customers lie between the outer ones.
LEVELS = {"lower": 0.1, "median": 0.5, "upper": 0.9}
COUNT_GROUPS = 4
MIN_ROWS_OF_A_GROUP = 100
STEPS = 100  # quantiles kept of each group's ratios


@dataclass(frozen=True)
class Spread:
    """Ratios of actual to expected amounts, among customers who spent anything.

    Attributes:
        chances: Bounds between groups of customers by chance of any spend, ascending.
        ratios: Quantiles of the ratio in STEPS equal steps from 0 to 1, a list per group.
    """

    chances: list[float]
    ratios: list[list[float]]

    def parameters(self) -> dict[str, Any]:
        """Parameters as JSON."""
        return asdict(self)

    def around(self, chance: np.ndarray, expected: np.ndarray) -> dict[str, np.ndarray]:
        """Quantiles of the amount, shape (n,) each.

        Args:
            chance: Probability of any spend, shape (n,).
            expected: Mean amount over all outcomes, no spend included, shape (n,).

        Returns:
            `lower`, `median` and `upper` at LEVELS over all outcomes: where the probability of no
            spend is above 0.9, `upper` is 0. `if_buying_lower`, `if_buying_median` and
            `if_buying_upper` at the same levels given any spend.
        """
        whole = np.ones(len(chance))
        group = self._group(chance)
        amount = expected / np.maximum(chance, 1e-9)
        return {name: self.quantile(level, chance, expected) for name, level in LEVELS.items()} | {
            f"if_buying_{name}": self._ratio(level * STEPS * whole, group) * amount
            for name, level in LEVELS.items()
        }

    def quantile(self, share: float, chance: np.ndarray, expected: np.ndarray) -> np.ndarray:
        """Quantile of the amount at level `share`, in [0, 1], shape (n,).

        Args:
            share: Level of the quantile.
            chance: Probability of any spend, shape (n,).
            expected: Mean amount over all outcomes, no spend included, shape (n,).
        """
        place = (share - (1 - chance)) / np.maximum(chance, 1e-9) * STEPS
        amount = self._ratio(place, self._group(chance)) * expected / np.maximum(chance, 1e-9)
        return np.where(place > 0, amount, 0.0)

    def _group(self, chance: np.ndarray) -> np.ndarray:
        return np.searchsorted(self.chances, chance, side="right")

    def _ratio(self, place: np.ndarray, group: np.ndarray) -> np.ndarray:
        """Ratio at `place` (0 to STEPS) in each row's group, interpolated between two steps."""
        low = np.clip(place, 0, STEPS - 1).astype(int)
        table = np.array(self.ratios)
        part = np.clip(place - low, 0.0, 1.0)
        return table[group, low] * (1 - part) + table[group, low + 1] * part


def fit(chance: ArrayLike, expected: ArrayLike, amount: ArrayLike) -> Spread:
    """Fit the spread to past amounts, at least one of them above 0.

    Args:
        chance: Probability of any spend as predicted before, shape (n,).
        expected: Mean amount as predicted before, no spend included, shape (n,).
        amount: Actual amount, shape (n,).
    """
    chances_of, means, actual = (np.asarray(values) for values in (chance, expected, amount))
    has_spent = actual > 0
    ratio = actual[has_spent] * chances_of[has_spent] / means[has_spent]
    groups = max(1, min(COUNT_GROUPS, int(has_spent.sum()) // MIN_ROWS_OF_A_GROUP))
    inner = np.linspace(0, 1, groups + 1)[1:-1]
    chances = np.quantile(chances_of[has_spent], inner)
    group = np.searchsorted(chances, chances_of[has_spent], side="right")
    steps = np.linspace(0, 1, STEPS + 1)
    ratios = [
        np.quantile(ratio[group == k] if (group == k).any() else ratio, steps).round(6).tolist()
        for k in range(groups)
    ]
    return Spread([round(float(c), 6) for c in chances], ratios)
