"""Trees on top of the buying clock: the clock sets level and season, the trees rank customers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ml_tasks.customers import boosting, buying_clock, margins
from ml_tasks.customers.boosting import OffsetTrees
from ml_tasks.customers.buying_clock import BuyingClock
from ml_tasks.customers.known import HORIZON_DAYS, Known, count_kinds, has_ordered

# Least number of snapshots with, and of snapshots without, a later order that trees can learn from.
MIN_ROWS_OF_A_KIND = 30


@dataclass(frozen=True)
class ClockTrees:
    """Trees with the clock's log odds of an order as their offset.

    Attributes:
        clock: Sets level and season.
        trees: Rank customers. A shift makes the mean probability on the training date equal to the
            clock's, corrected by the clock's error on past dates.
    """

    clock: BuyingClock
    trees: OffsetTrees

    name = "xgboost_on_clock"

    def parameters(self) -> dict[str, Any]:
        """All parameters but the trees, as JSON."""
        return {"clock": self.clock.parameters(), "trees": self.trees.parameters()}

    @classmethod
    def restored(cls, parameters: dict[str, Any], trees: bytes) -> ClockTrees:
        """Restore a stored model from `parameters` and the booster."""
        return cls(
            BuyingClock(**parameters["clock"]),
            OffsetTrees(**parameters["trees"], trees=trees),
        )

    def predict(self, snapshot: pd.DataFrame) -> np.ndarray:
        """Probability of an order in the next 90 days, shape (n_rows,)."""
        return margins.inverse_link(self.log_odds(snapshot), "logistic")

    def log_odds(self, snapshot: pd.DataFrame) -> np.ndarray:
        """Log odds of an order in the next 90 days, shape (n_rows,)."""
        return self.trees.margin(snapshot, clock_log_odds(self.clock, snapshot))


def fit(known: Known, seed: int, clock: BuyingClock | None = None) -> ClockTrees | None:
    """Fit clock and trees; None if too few snapshots had, or had not, a later order.

    Args:
        known: Data known on the training date.
        seed: Random seed of the trees.
        clock: Clock of the same date, if already fitted.
    """
    labelled, snapshot = known.labelled, known.snapshot
    if min(count_kinds(labelled)) < MIN_ROWS_OF_A_KIND:
        return None
    clock = clock or buying_clock.fit(snapshot, known.shop_days)
    offset = clock_log_odds(clock, labelled)
    trees = boosting.fit(labelled, has_ordered(labelled), offset, "logistic", seed)
    offset_now = clock_log_odds(clock, snapshot)
    error = margins.missed_level(labelled, offset, has_ordered(labelled))
    level = float(margins.inverse_link(offset_now + error, "logistic").mean())
    shift = margins.shift_to_mean(trees.margin(snapshot, offset_now), level)
    return ClockTrees(
        clock=clock,
        trees=OffsetTrees(**{**trees.parameters(), "shift": shift}, trees=trees.trees),
    )


def clock_log_odds(clock: BuyingClock, snapshots: pd.DataFrame) -> np.ndarray:
    """The clock's log odds of an order in the 90 days after each snapshot, shape (n_snapshots,)."""
    histories = clock.histories(snapshots, HORIZON_DAYS)
    return margins.log_odds(clock.order_probability(histories))
