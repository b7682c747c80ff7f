"""Trees on the buying clock: the clock holds level and season, the trees rank."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ml_tasks.customers import boosting, buying_clock, margins
from ml_tasks.customers.boosting import OffsetTrees
from ml_tasks.customers.buying_clock import BuyingClock
from ml_tasks.customers.known import HORIZON_DAYS, Known, count_kinds, has_ordered

# So many snapshots must have ordered, and so many not, before trees can learn anything.
MIN_ROWS_OF_A_KIND = 30


@dataclass(frozen=True)
class ClockTrees:
    """Trees whose offset is the clock's log odds of an order.

    Attributes:
        clock: Holds level and season.
        trees: Rank; shifted so that the mean chance is the clock's on the training date, put right
            by what the clock missed on past dates.
    """

    clock: BuyingClock
    trees: OffsetTrees

    name = "xgboost_on_clock"

    def parameters(self) -> dict[str, Any]:
        """Everything but the trees, as JSON."""
        return {"clock": self.clock.parameters(), "trees": self.trees.parameters()}

    @classmethod
    def restored(cls, parameters: dict[str, Any], trees: bytes) -> ClockTrees:
        """From what was stored."""
        return cls(
            BuyingClock(**parameters["clock"]),
            OffsetTrees(**parameters["trees"], trees=trees),
        )

    def predict(self, snapshot: pd.DataFrame) -> np.ndarray:
        """Chance of an order, per row."""
        return margins.inverse_link(self.log_odds(snapshot), "logistic")

    def log_odds(self, snapshot: pd.DataFrame) -> np.ndarray:
        """Of an order in the next 90 days, per row."""
        return self.trees.margin(snapshot, clock_log_odds(self.clock, snapshot))


def fit(known: Known, seed: int, clock: BuyingClock | None = None) -> ClockTrees | None:
    """Fit clock and trees; None where too few ordered, or too few did not.

    Args:
        known: What may be seen.
        seed: Handed to the trees.
        clock: Of the same date, if it is fitted already.
    """
    labelled, snapshot = known.labelled, known.snapshot
    if min(count_kinds(labelled)) < MIN_ROWS_OF_A_KIND:
        return None
    clock = clock or buying_clock.fit(snapshot, known.shop_days)
    offset = clock_log_odds(clock, labelled)
    trees = boosting.fit(labelled, has_ordered(labelled), offset, "logistic", seed)
    offset_now = clock_log_odds(clock, snapshot)
    missed = margins.missed_level(labelled, offset, has_ordered(labelled))
    level = float(margins.inverse_link(offset_now + missed, "logistic").mean())
    shift = margins.shift_to_mean(trees.margin(snapshot, offset_now), level)
    return ClockTrees(
        clock=clock,
        trees=OffsetTrees(**{**trees.parameters(), "shift": shift}, trees=trees.trees),
    )


def clock_log_odds(clock: BuyingClock, snapshots: pd.DataFrame) -> np.ndarray:
    """The clock's log odds of an order in the 90 days that follow each snapshot."""
    histories = clock.histories(snapshots, HORIZON_DAYS)
    return margins.log_odds(clock.order_probability(histories))
