"""Offset of the amount's trees: the buying clock's order days, the customer's own mean amount."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ml_tasks.customers import margins
from ml_tasks.customers.buying_clock import BuyingClock

# A customer's mean order amount is shrunk to the shop's mean as if by this many orders of it.
PRIOR_ORDERS = 2.0


@dataclass(frozen=True)
class Expected:
    """Expectations of the clock alone, shape (n,): log odds of an order, days with an order."""

    log_odds: np.ndarray
    orders: np.ndarray

    @classmethod
    def of(cls, clock: BuyingClock, snapshots: pd.DataFrame, horizon_days: int) -> Expected:
        """Expectations for the `horizon_days` days from each snapshot's date on."""
        histories = clock.histories(snapshots, horizon_days)
        return cls(
            margins.log_odds(clock.order_probability(histories)),
            np.maximum(clock.expected_orders(histories), 1e-5),
        )

    @property
    def orders_if_any(self) -> np.ndarray:
        """Expected days with an order given an order, shape (n,), at least 1."""
        return np.maximum(self.orders / margins.inverse_link(self.log_odds, "logistic"), 1.0)


def own_order_amount(snapshots: pd.DataFrame, mean_order_amount: float) -> np.ndarray:
    """Mean net amount of each customer's orders, shrunk to the shop's mean.

    Args:
        snapshots: Columns net_spend_amount, count_orders.
        mean_order_amount: The shop's mean, shop currency.

    Returns:
        Shape (n,), shop currency, above 0.
    """
    known = snapshots["net_spend_amount"].to_numpy(dtype=float).clip(min=0)
    counts = snapshots["count_orders"].to_numpy(dtype=float)
    amount = (known + PRIOR_ORDERS * mean_order_amount) / (counts + PRIOR_ORDERS)
    return np.maximum(amount, mean_order_amount * 1e-6 + 1e-12)


def mean_order_amount(snapshots: pd.DataFrame) -> float:
    """Mean over customers of net spend per order, shop currency.

    Args:
        snapshots: Columns net_spend_amount, count_orders (at least 1).
    """
    known = snapshots["net_spend_amount"].to_numpy(dtype=float).clip(min=0)
    return float((known / snapshots["count_orders"].to_numpy(dtype=float)).mean())


def amount_offset(
    snapshots: pd.DataFrame, expected: Expected, mean_order_amount: float
) -> np.ndarray:
    """Log of the customer's amount per order times the order days given an order, shape (n,)."""
    return np.log(own_order_amount(snapshots, mean_order_amount) * expected.orders_if_any)
