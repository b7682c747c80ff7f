"""The value model of versions before the combination: two parts on the buying clock.

This model is no longer trained. A home where it is the champion scores with it until the next
training date.
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
    """Bounds with a nominal coverage that was tuned so that 8 in 10 customers lay between them.

    Attributes:
        coverage: Nominal share of customers between the bounds.
    """

    coverage: float

    def around(self, chance: np.ndarray, expected: np.ndarray) -> dict[str, np.ndarray]:
        """Median, lower and upper bound of the amount, shape (n,) each."""
        return {"median": self.quantile(0.5, chance, expected)} | self._bounds(chance, expected)

    def _bounds(self, chance: np.ndarray, expected: np.ndarray) -> dict[str, np.ndarray]:
        """Bounds with equal tails; with a lower bound of 0 the whole tail is above the upper."""
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
    """A fitted model: everything that scoring needs, as data.

    Attributes:
        clock: Buying clock with level and season.
        mean_order_amount: The shop's mean order amount, to which customers' means are shrunk.
        parts: Trees by part: `chance` of any spend, `amount` given spend, number of `orders`.
        year_level: Log of actual over expected spend in a year; 0 until a year's outcome is known.
            Until then the year has the spread of the 90 days.
        spreads: Horizon in days -> spread of amounts around the expected ones.
        year_chance_shift: Log odds added to match the share of customers with spend in past
            years; 0 until a year's outcome is known.
    """

    clock: BuyingClock
    mean_order_amount: float
    parts: dict[str, OffsetTrees]
    year_level: float
    spreads: dict[int, SpreadBefore]
    year_chance_shift: float = 0.0

    @classmethod
    def restored(cls, parameters: dict[str, Any], trees: dict[str, bytes]) -> ValueModel:
        """The model, rebuilt from stored parameters and trees (part -> booster)."""
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
        """Predict spend and orders, a row per row of `snapshot`.

        Returns:
            `orders`; for 90 days the probability of any spend `chance_90`, the mean spend
            `spend_90`, its quantiles `median_90`, `lower_90`, `upper_90`; the same for 365 days.
        """
        quarter, year = (
            Expected.of(self.clock, snapshot, days) for days in (HORIZON_DAYS, YEAR_HORIZON_DAYS)
        )
        margin = self.parts["chance"].margin(snapshot, quarter.log_odds)
        chance = margins.inverse_link(margin, "logistic")
        offset = amount_offset(snapshot, quarter, self.mean_order_amount)
        spend = chance * self.parts["amount"].predict(snapshot, offset)
        # the year: the clock's expectation, shifted as the trees shift that of the 90 days
        year_margin = year.log_odds + (margin - quarter.log_odds) + self.year_chance_shift
        year_chance = margins.inverse_link(year_margin, "logistic")
        year_chance = np.maximum(year_chance, chance)
        year_spend = spend * year.orders / quarter.orders * np.exp(self.year_level)
        predicted = {
            "orders": self.parts["orders"].predict(snapshot, np.log(quarter.orders)),
            "chance_90": chance,
            "spend_90": spend,
            "chance_365": year_chance,
            "spend_365": np.maximum(year_spend, spend),
        }
        for days, fitted in self.spreads.items():
            around = fitted.around(predicted[f"chance_{days}"], predicted[f"spend_{days}"])
            predicted |= {f"{name}_{days}": amount for name, amount in around.items()}
        return pd.DataFrame(predicted, index=snapshot.index)
