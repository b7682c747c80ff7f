"""Replace absurd order amounts (say, price times quantity times quantity) by usual ones.

One such order can be half of the shop's value, and would move every prediction and every bound
between tiers. The marts keep the amount as it is; only the models read a usual one instead.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from perennial.amounts import largest_believable

OF_ORDERS = ("avg_order_amount", "max_order_amount", "last_order_amount", "first_order_amount")
OF_REFUNDS = ("refund_amount_365d",)
# Column of summed amounts -> column with the number of orders in the sum.
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
    """The usual amount of an order in the shop, and the largest believable one, shop currency.

    Attributes:
        usual: Median amount of the customers' last orders; 0 in a shop without a paid order.
        largest: An order above this amount is a mistake; 0 where `usual` is 0.
    """

    usual: float
    largest: float

    @classmethod
    def of(cls, snapshot: pd.DataFrame) -> OrderAmounts:
        """Compute both from the customers of one date (column last_order_amount)."""
        amounts = snapshot["last_order_amount"].to_numpy(dtype=float)
        amounts = amounts[amounts > 0]
        if not len(amounts):
            return cls(0.0, 0.0)
        usual = float(np.median(amounts))
        deviation = float(np.median(np.abs(np.log(amounts / usual))))
        return cls(round(usual, 6), round(largest_believable(usual, deviation), 6))

    def parameters(self) -> dict[str, Any]:
        """Parameters as JSON."""
        return asdict(self)

    def is_absurd(self, snapshots: pd.DataFrame) -> np.ndarray:
        """True where the customer's largest order is above `largest`, shape (n,)."""
        largest = snapshots["max_order_amount"].to_numpy(dtype=float)
        return (largest > self.largest) & (self.largest > 0)

    def believable(self, snapshots: pd.DataFrame) -> pd.DataFrame:
        """The snapshots, and their outcomes if any, with each absurd order replaced by a usual one.

        A customer's usual order is the mean of their other orders, or the shop's usual amount
        where there is no other order or their mean is absurd too.

        Args:
            snapshots: Columns of features.customer_snapshots, and of outcomes if known.

        Returns:
            A changed copy; the same frame where no order is absurd.
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
