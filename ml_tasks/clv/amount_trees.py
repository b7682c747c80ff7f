"""What the buying clock and a customer's own mean expect of the amount: what trees start from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ml_tasks.customers import margins
from ml_tasks.customers.buying_clock import BuyingClock

# A customer's mean amount an order is drawn to the shop's as by so many orders.
PRIOR_ORDERS = 2.0


@dataclass(frozen=True)
class Expected:
    """What the clock alone expects, per row: log odds of an order, and days with an order."""

    log_odds: np.ndarray
    orders: np.ndarray

    @classmethod
    def of(cls, clock: BuyingClock, snapshots: pd.DataFrame, horizon_days: int) -> Expected:
        """Of each row, in so many days from its date on."""
        histories = clock.histories(snapshots, horizon_days)
        return cls(
            margins.log_odds(clock.order_probability(histories)),
            np.maximum(clock.expected_orders(histories), 1e-5),
        )

    @property
    def orders_if_any(self) -> np.ndarray:
        """Days with an order if there is one, at least 1."""
        return np.maximum(self.orders / margins.inverse_link(self.log_odds, "logistic"), 1.0)


def own_order_amount(snapshots: pd.DataFrame, mean_order_amount: float) -> np.ndarray:
    """Net amount of a customer's orders, drawn to the shop's mean, shape (n,), above 0."""
    known = snapshots["net_spend_amount"].to_numpy(dtype=float).clip(min=0)
    counts = snapshots["count_orders"].to_numpy(dtype=float)
    amount = (known + PRIOR_ORDERS * mean_order_amount) / (counts + PRIOR_ORDERS)
    return np.maximum(amount, mean_order_amount * 1e-6 + 1e-12)


def mean_order_amount(snapshots: pd.DataFrame) -> float:
    """Mean over the customers of their net spend an order, shop currency."""
    known = snapshots["net_spend_amount"].to_numpy(dtype=float).clip(min=0)
    return float((known / snapshots["count_orders"].to_numpy(dtype=float)).mean())


def amount_offset(
    snapshots: pd.DataFrame, expected: Expected, mean_order_amount: float
) -> np.ndarray:
    """Log of what would be spent if anything: the customer's amount an order, times the orders."""
    return np.log(own_order_amount(snapshots, mean_order_amount) * expected.orders_if_any)
