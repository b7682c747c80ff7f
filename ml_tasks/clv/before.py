"""The value model of before there was a combination: two parts on the buying clock.

Nothing trains it any more; homes whose champion it is score with it until the next training date.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ml_tasks.clv.amount_trees import Expected, amount_offset
from ml_tasks.clv.outcomes import HORIZON_DAYS, YEAR_HORIZON_DAYS
from ml_tasks.clv.spread import Spread
from ml_tasks.customers import margins
from ml_tasks.customers.boosting import OffsetTrees
from ml_tasks.customers.buying_clock import BuyingClock

NAME = "xgboost_two_part_on_clock"
PARTS = ("chance", "amount", "orders")


@dataclass(frozen=True)
class SpreadBefore(Spread):
    """Bounds that were squeezed until 8 in 10 of all customers lay between.

    Attributes:
        coverage: Share that bounds are made for.
    """

    coverage: float

    def around(self, chance: np.ndarray, expected: np.ndarray) -> dict[str, np.ndarray]:
        """Median, lower and upper bound of the amount, shape (n,) each."""
        return {"median": self.quantile(0.5, chance, expected)} | self._bounds(chance, expected)

    def _bounds(self, chance: np.ndarray, expected: np.ndarray) -> dict[str, np.ndarray]:
        """Bounds with equal shares beyond them; where nothing is within, all of it is above."""
        tail = (1 - self.coverage) / 2
        has_lower = 1 - chance < tail
        return {
            "lower": np.where(has_lower, self.quantile(tail, chance, expected), 0.0),
            "upper": np.where(
                has_lower,
                self.quantile(1 - tail, chance, expected),
                self.quantile(1 - 2 * tail, chance, expected),
            ),
        }


@dataclass(frozen=True)
class ValueModel:
    """Everything that scoring needs, all of it data.

    Attributes:
        clock: Holds level and season.
        mean_order_amount: Of all customers; what little is known of one is drawn to it.
        parts: Trees by part: `chance` of any spend, `amount` if any, count of `orders`.
        year_level: Log of the year's spend over what clock and mean amounts expect of it; 0 before
            any year's outcome is known, and the year's spread is then that of the 90 days.
        spreads: By horizon: how amounts lie around what is expected.
        year_chance_shift: Log odds that put the chance of any spend in a year on the level of the
            years known; 0 before any is.
    """

    clock: BuyingClock
    mean_order_amount: float
    parts: dict[str, OffsetTrees]
    year_level: float
    spreads: dict[int, SpreadBefore]
    year_chance_shift: float = 0.0

    @classmethod
    def restored(cls, parameters: dict[str, Any], trees: dict[str, bytes]) -> ValueModel:
        """From what was stored; `trees` by part."""
        return cls(
            clock=BuyingClock(**parameters["clock"]),
            mean_order_amount=parameters["mean_order_amount"],
            parts={
                name: OffsetTrees(**part, trees=trees[name])
                for name, part in parameters["parts"].items()
            },
            year_level=parameters["year_level"],
            spreads={
                int(days): SpreadBefore(**around) for days, around in parameters["spreads"].items()
            },
            year_chance_shift=parameters["year_chance_shift"],
        )

    def predict(self, snapshot: pd.DataFrame) -> pd.DataFrame:
        """What each customer will spend and order: same order as the snapshot's rows.

        Returns:
            `orders`; and by horizon the chance of any spend `chance_90`, its mean `spend_90`,
            median `median_90`, `lower_90` and `upper_90`; the same of 365.
        """
        quarter, year = (
            Expected.of(self.clock, snapshot, days) for days in (HORIZON_DAYS, YEAR_HORIZON_DAYS)
        )
        margin = self.parts["chance"].margin(snapshot, quarter.log_odds)
        chance = margins.inverse_link(margin, "logistic")
        offset = amount_offset(snapshot, quarter, self.mean_order_amount)
        spend = chance * self.parts["amount"].predict(snapshot, offset)
        # the year: what sets the customer apart in 90 days, on what the clock expects of the year
        year_margin = year.log_odds + (margin - quarter.log_odds) + self.year_chance_shift
        year_chance = margins.inverse_link(year_margin, "logistic")
        year_chance = np.maximum(year_chance, chance)
        year_spend = spend * year.orders / quarter.orders * np.exp(self.year_level)
        said = {
            "orders": self.parts["orders"].predict(snapshot, np.log(quarter.orders)),
            "chance_90": chance,
            "spend_90": spend,
            "chance_365": year_chance,
            "spend_365": np.maximum(year_spend, spend),
        }
        for days, fitted in self.spreads.items():
            around = fitted.around(said[f"chance_{days}"], said[f"spend_{days}"])
            said |= {f"{name}_{days}": amount for name, amount in around.items()}
        return pd.DataFrame(said, index=snapshot.index)
