"""What segments are made of: recency, frequency and money of a customer, on a common scale."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

RECENCY, FREQUENCY, MONEY = "days_since_last_order", "count_order_days", "net_spend_amount"
FACTS = [RECENCY, FREQUENCY, MONEY]
# docs/decisions/segments.md: a customer who has been away for longer drifts no further
CAP_DAYS = 365
# Quantiles of spend on the training date: the few beyond, refunded in full say, are no segment.
BOUNDS = (0.025, 0.975)


@dataclass(frozen=True)
class Scale:
    """Bounds of spend, and means and deviations of the transformed facts on the training date.

    Attributes:
        bounds: Log of 1 + spend below and above which a customer counts as if at the bound.
        mean: Three means, in the order of FACTS.
        deviation: Three standard deviations; 1 where all customers are alike.
    """

    bounds: tuple[float, ...]
    mean: tuple[float, ...]
    deviation: tuple[float, ...]

    @classmethod
    def of(cls, facts: pd.DataFrame) -> Scale:
        """The scale on which these customers have mean 0 and deviation 1.

        Args:
            facts: Columns FACTS, at least one row.
        """
        points = transformed(facts)
        bounds = np.quantile(points[:, 2], BOUNDS)
        points[:, 2] = np.clip(points[:, 2], bounds[0], bounds[1])
        deviation = points.std(axis=0)
        deviation[deviation < 1e-9] = 1.0
        found = (bounds, points.mean(axis=0), deviation)
        return cls(*(tuple(map(float, values)) for values in found))

    def points(self, facts: pd.DataFrame) -> np.ndarray:
        """The customers as points, shape (n_rows, 3), in standard deviations from the mean.

        A row's point does not depend on the other rows.
        """
        points = transformed(facts)
        points[:, 2] = np.clip(points[:, 2], self.bounds[0], self.bounds[1])
        return (points - np.array(self.mean)) / np.array(self.deviation)


def transformed(facts: pd.DataFrame) -> np.ndarray:
    """Days capped at CAP_DAYS, log of order days, log of 1 + spend; shape (n_rows, 3).

    Args:
        facts: Columns FACTS.

    Example:
        >>> one = pd.DataFrame([[400, 1, 0.0]], columns=FACTS)
        >>> transformed(one).tolist()
        [[365.0, 0.0, 0.0]]
    """
    days, order_days, spend = (facts[name].to_numpy(dtype=float) for name in FACTS)
    return np.column_stack([np.minimum(days, CAP_DAYS), np.log(order_days), np.log1p(spend)])


def assign(points: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Number of the nearest centre of each point, shape (n_points,); the first of equals.

    Sums column by column: the digits of a matrix product depend on the number of rows.

    Args:
        points: Shape (n_points, n_columns).
        centres: Shape (n_centres, n_columns).
    """
    distances = [
        sum((points[:, column] - centre[column]) ** 2 for column in range(points.shape[1]))
        for centre in centres
    ]
    return np.argmin(np.stack(distances), axis=0)


def sampled(facts: pd.DataFrame, most: int, seed: int) -> pd.DataFrame:
    """At most so many rows, drawn without replacement, in their order."""
    if len(facts) <= most:
        return facts
    rows = np.random.default_rng(seed).choice(len(facts), most, replace=False)
    return facts.iloc[np.sort(rows)]
