"""Amounts beyond any doubt (price times quantity times quantity) count as a usual order.

One such order would else be half of all that a shop is worth: the level of everybody, and every
bound between tiers. What happened stays as it was in the marts; models see it as if it were usual.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from perennial.amounts import largest_believable

OF_ORDERS = ("avg_order_amount", "max_order_amount", "last_order_amount", "first_order_amount")
OF_REFUNDS = ("refund_amount_365d",)
# Column of an amount -> that of the orders that it is the sum of.
SUMS = {
    "gross_spend_amount": "count_orders",
    "net_spend_amount": "count_orders",
    **{
        f"net_spend_amount_{suffix}": f"count_orders_{suffix}"
        for suffix in ("30d", "90d", "180d", "365d", "season_last_year")
    },
}
OUTCOME, OUTCOME_ORDERS = "outcome_net_spend_amount", "outcome_count_orders"


@dataclass(frozen=True)
class OrderAmounts:
    """What an order of the shop is usually worth, and the most that it may be, shop currency.

    Attributes:
        usual: Median amount of the customers' last orders; 0 of a shop without a paid one.
        largest: From here on an order is a mistake; 0 where nothing is usual.
    """

    usual: float
    largest: float

    @classmethod
    def of(cls, snapshot: pd.DataFrame) -> OrderAmounts:
        """Of one date's customers, by the last order of each."""
        amounts = snapshot["last_order_amount"].to_numpy(dtype=float)
        amounts = amounts[amounts > 0]
        if not len(amounts):
            return cls(0.0, 0.0)
        usual = float(np.median(amounts))
        deviation = float(np.median(np.abs(np.log(amounts / usual))))
        return cls(round(usual, 6), round(largest_believable(usual, deviation), 6))

    def parameters(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)

    def is_absurd(self, snapshots: pd.DataFrame) -> np.ndarray:
        """Whose largest order is beyond doubt, shape (n,)."""
        largest = snapshots["max_order_amount"].to_numpy(dtype=float)
        return (largest > self.largest) & (self.largest > 0)

    def believable(self, snapshots: pd.DataFrame) -> pd.DataFrame:
        """The snapshots, and outcomes if they have any, as if such an order had been usual.

        A customer's usual order is the mean of their others, or the shop's where that can't be
        believed either. Frames without such an order come back as they are.
        """
        changed = self._believable_outcomes(snapshots)
        is_absurd = self.is_absurd(snapshots)
        if is_absurd.any():
            changed |= self._believable_features(snapshots, is_absurd)
        return snapshots.assign(**changed) if changed else snapshots

    def _believable_outcomes(self, snapshots: pd.DataFrame) -> dict[str, np.ndarray]:
        if OUTCOME not in snapshots or self.largest <= 0:
            return {}
        amount = snapshots[OUTCOME].to_numpy(dtype=float)
        count = np.maximum(snapshots[OUTCOME_ORDERS].to_numpy(dtype=float), 1.0)
        is_absurd = amount > self.largest * count
        return {OUTCOME: np.where(is_absurd, self.usual * count, amount)} if is_absurd.any() else {}

    def _believable_features(
        self, snapshots: pd.DataFrame, is_absurd: np.ndarray
    ) -> dict[str, np.ndarray]:
        count = snapshots["count_orders"].to_numpy(dtype=float)
        gross, largest = (
            snapshots[name].to_numpy(dtype=float)
            for name in ("gross_spend_amount", "max_order_amount")
        )
        others = (gross - largest) / np.maximum(count - 1, 1.0)
        is_known = (count > 1) & (others <= self.largest)
        usual = np.where(is_known, others, self.usual)
        changed = {}
        for name in (*SUMS, *OF_ORDERS, *OF_REFUNDS):
            value = snapshots[name].to_numpy(dtype=float)
            orders = snapshots[SUMS[name]].to_numpy(dtype=float) if name in SUMS else 1.0
            is_wrong = is_absurd & ((value > self.largest) | (name == "avg_order_amount"))
            changed[name] = np.where(is_wrong, usual * orders, value)
        return changed
