"""How amounts lie around what is expected: a median, and bounds that hold 8 in 10.

A customer spends nothing with some chance, else an amount whose ratio to the expected one is spread
as it was for customers alike in the past.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

COVERAGE = 0.8
COUNT_GROUPS = 4
MIN_ROWS_OF_A_GROUP = 100
STEPS = 100  # quantiles kept of each group's ratios


@dataclass(frozen=True)
class Spread:
    """Ratios of amounts to what was expected of those who spent anything.

    Attributes:
        chances: Bounds between groups of customers, by chance to spend anything, rising.
        ratios: By group, quantiles 0 to 1 of the ratio in STEPS equal steps.
        coverage: Share that bounds are made for. Less than COVERAGE, because the many who will
            hardly come at all are right more often.
    """

    chances: list[float]
    ratios: list[list[float]]
    coverage: float

    def parameters(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)

    def around(self, chance: np.ndarray, expected: np.ndarray) -> dict[str, np.ndarray]:
        """Median, lower and upper bound of the amount, shape (n,) each.

        Args:
            chance: That anything is spent.
            expected: Mean amount, nothing included.
        """
        return {"median": self._quantile(0.5, chance, expected), **self._bounds(chance, expected)}

    def _bounds(self, chance: np.ndarray, expected: np.ndarray) -> dict[str, np.ndarray]:
        """Bounds with equal shares beyond them; where nothing is within, all of it is above."""
        tail = (1 - self.coverage) / 2
        has_lower = 1 - chance < tail
        return {
            "lower": np.where(has_lower, self._quantile(tail, chance, expected), 0.0),
            "upper": np.where(
                has_lower,
                self._quantile(1 - tail, chance, expected),
                self._quantile(1 - 2 * tail, chance, expected),
            ),
        }

    def _quantile(self, share: float, chance: np.ndarray, expected: np.ndarray) -> np.ndarray:
        place = (share - (1 - chance)) / np.maximum(chance, 1e-9) * STEPS
        low = np.clip(place, 0, STEPS - 1).astype(int)
        group = np.searchsorted(self.chances, chance, side="right")
        table = np.array(self.ratios)
        part = np.clip(place - low, 0.0, 1.0)
        ratio = table[group, low] * (1 - part) + table[group, low + 1] * part
        amount = ratio * expected / np.maximum(chance, 1e-9)
        return np.where(place > 0, amount, 0.0)


def fit(chance: np.ndarray, expected: np.ndarray, amount: np.ndarray) -> Spread:
    """Take the spread off past amounts; at least one is above 0."""
    has_spent = amount > 0
    ratio = amount[has_spent] * chance[has_spent] / expected[has_spent]
    groups = max(1, min(COUNT_GROUPS, int(has_spent.sum()) // MIN_ROWS_OF_A_GROUP))
    inner = np.linspace(0, 1, groups + 1)[1:-1]
    chances = np.quantile(chance[has_spent], inner)
    group = np.searchsorted(chances, chance[has_spent], side="right")
    steps = np.linspace(0, 1, STEPS + 1)
    ratios = [
        np.quantile(ratio[group == k] if (group == k).any() else ratio, steps).round(6).tolist()
        for k in range(groups)
    ]
    low, high = 0.5, 0.95
    for _ in range(20):
        middle = (low + high) / 2
        bounds = Spread(chances.tolist(), ratios, middle)._bounds(chance, expected)
        is_within = (amount >= bounds["lower"]) & (amount <= bounds["upper"])
        low, high = (middle, high) if is_within.mean() < COVERAGE else (low, middle)
    return Spread([round(float(c), 6) for c in chances], ratios, round((low + high) / 2, 6))
