"""Trees on the buying clock: the chance of an order in the next 90 days.

Churn is what is left to 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ml_tasks.churn.outcomes import HORIZON_DAYS, has_ordered
from ml_tasks.shared import boosting, buying_clock, levels
from ml_tasks.shared.boosting import OffsetTrees
from ml_tasks.shared.buying_clock import BuyingClock

HIGH_RISK_FROM = 0.8
MEDIUM_RISK_FROM = 0.5
RISK_BANDS = ("high", "medium", "low")
# Share of the shop's customers, the most likely to stay away first, at which a relative band ends.
RELATIVE_BANDS = {"1 highest": 0.1, "2 raised": 0.3, "3 middle": 0.7, "4 lowest": 1.0}


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
        return self.trees.predict(snapshot, clock_log_odds(self.clock, snapshot))


def fit_trees(
    labelled: pd.DataFrame, snapshot: pd.DataFrame, shop_days: pd.DataFrame, seed: int
) -> ClockTrees:
    """Fit clock and trees.

    Args:
        labelled: Snapshots with known outcomes, whole dates.
        snapshot: All customers on the training date.
        shop_days: Columns of features.shop_days, days before the training date.
        seed: Handed to the trees.
    """
    clock = buying_clock.fit(snapshot, shop_days)
    offset = clock_log_odds(clock, labelled)
    trees = boosting.fit(labelled, has_ordered(labelled), offset, "logistic", seed)
    offset_now = clock_log_odds(clock, snapshot)
    missed = levels.missed_level(labelled, offset, has_ordered(labelled))
    level = float(levels.inverse_link(offset_now + missed, "logistic").mean())
    shift = levels.shift_to_mean(trees.margin(snapshot, offset_now), level)
    return ClockTrees(
        clock=clock,
        trees=OffsetTrees(**{**trees.parameters(), "shift": shift}, trees=trees.trees),
    )


def clock_log_odds(clock: BuyingClock, snapshots: pd.DataFrame) -> np.ndarray:
    """The clock's log odds of an order in the 90 days that follow each snapshot."""
    histories = clock.histories(snapshots, HORIZON_DAYS)
    return levels.log_odds(clock.order_probability(histories))


def risk_band(probability: np.ndarray) -> np.ndarray:
    """`high` from 0.8, `medium` from 0.5, else `low`."""
    return np.select(
        [probability >= HIGH_RISK_FROM, probability >= MEDIUM_RISK_FROM], ["high", "medium"], "low"
    ).astype(object)


def risk_band_rank(band: np.ndarray) -> np.ndarray:
    """Place of each band in RISK_BANDS, from 1, so that bands sort by risk."""
    return np.array([RISK_BANDS.index(name) + 1 for name in band], dtype=np.int64)


def relative_band(probability: np.ndarray, everybody: np.ndarray) -> np.ndarray:
    """Band among the shop's customers: those who are equal share the middle of their places.

    Args:
        probability: Of those who are asked about, shape (n,).
        everybody: Of all customers, these included, ascending; NaN last.

    Returns:
        Names of RELATIVE_BANDS; None of NaN.
    """
    count = int(np.count_nonzero(~np.isnan(everybody)))
    lower = np.searchsorted(everybody[:count], probability, side="left")
    no_higher = np.searchsorted(everybody[:count], probability, side="right")
    place = 1 - (lower + no_higher) / (2 * max(count, 1))
    ends = np.array(list(RELATIVE_BANDS.values())[:-1])
    names = np.array(list(RELATIVE_BANDS), dtype=object)[np.searchsorted(ends, place)]
    names[np.isnan(probability)] = None
    return names


def percentile(probability: np.ndarray, everybody: np.ndarray) -> np.ndarray:
    """Percent of the customers whose probability is equal or lower, in (0, 100]; NaN of NaN.

    Args:
        probability: Of those who are asked about, shape (n,).
        everybody: Of all customers, these included, ascending; NaN last.
    """
    count = int(np.count_nonzero(~np.isnan(everybody)))
    no_higher = np.searchsorted(everybody[:count], probability, side="right")
    return np.where(np.isnan(probability), np.nan, no_higher / max(count, 1)) * 100
