"""How amounts lie around what is expected: quantiles of all customers, and of those who buy.

A customer spends nothing with some chance, else an amount whose ratio to the expected one is spread
as it was for customers alike in the past.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

# Quantiles that are published; 8 in 10 lie between the outer ones.
LEVELS = {"lower": 0.1, "median": 0.5, "upper": 0.9}
COUNT_GROUPS = 4
MIN_ROWS_OF_A_GROUP = 100
STEPS = 100  # quantiles kept of each group's ratios


@dataclass(frozen=True)
class Spread:
    """Ratios of amounts to what was expected of those who spent anything.

    Attributes:
        chances: Bounds between groups of customers, by chance to spend anything, rising.
        ratios: By group, quantiles 0 to 1 of the ratio in STEPS equal steps.
    """

    chances: list[float]
    ratios: list[list[float]]

    def parameters(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)

    def around(self, chance: np.ndarray, expected: np.ndarray) -> dict[str, np.ndarray]:
        """Quantiles of the amount, shape (n,) each.

        Args:
            chance: That anything is spent.
            expected: Mean amount, nothing included.

        Returns:
            `lower`, `median`, `upper` of LEVELS, those who spend nothing included: where these are
            more than nine in ten, `upper` is 0. `if_buying_lower` and so on of those who spend.
        """
        whole = np.ones(len(chance))
        group = self._group(chance)
        amount = expected / np.maximum(chance, 1e-9)
        return {name: self.quantile(level, chance, expected) for name, level in LEVELS.items()} | {
            f"if_buying_{name}": self._ratio(level * STEPS * whole, group) * amount
            for name, level in LEVELS.items()
        }

    def quantile(self, share: float, chance: np.ndarray, expected: np.ndarray) -> np.ndarray:
        """Amount that a share of the customers alike will not exceed, shape (n,)."""
        place = (share - (1 - chance)) / np.maximum(chance, 1e-9) * STEPS
        amount = self._ratio(place, self._group(chance)) * expected / np.maximum(chance, 1e-9)
        return np.where(place > 0, amount, 0.0)

    def _group(self, chance: np.ndarray) -> np.ndarray:
        return np.searchsorted(self.chances, chance, side="right")

    def _ratio(self, place: np.ndarray, group: np.ndarray) -> np.ndarray:
        """The ratio at a place between 0 and STEPS of each row's group, between two steps."""
        low = np.clip(place, 0, STEPS - 1).astype(int)
        table = np.array(self.ratios)
        part = np.clip(place - low, 0.0, 1.0)
        return table[group, low] * (1 - part) + table[group, low + 1] * part


def fit(chance: ArrayLike, expected: ArrayLike, amount: ArrayLike) -> Spread:
    """Take the spread off past amounts; at least one is above 0.

    Args:
        chance: That anything is spent, as it was told before, shape (n,).
        expected: Mean amount, nothing included, likewise.
        amount: That came.
    """
    chances_of, means, came = (np.asarray(values) for values in (chance, expected, amount))
    has_spent = came > 0
    ratio = came[has_spent] * chances_of[has_spent] / means[has_spent]
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
