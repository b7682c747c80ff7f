"""From 90 days to a year: what the quarter ahead says of the three that follow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ml_tasks.clv.amount import AmountMember, AmountRegression
from ml_tasks.clv.outcomes import HORIZON_DAYS, YEAR_HORIZON_DAYS
from ml_tasks.customers import margins

HORIZONS = (HORIZON_DAYS, YEAR_HORIZON_DAYS)
LEAST_ORDERS = 1e-9
# Of what 90 days say of one customer against another, so much holds for the rest of the year.
NEWS_KEPT = 0.25


@dataclass(frozen=True)
class QuarterNews:
    """What the next 90 days say of the rest of the year, beyond what process and clock expect.

    The combination sees seasons and habits of the next 90 days that the two do not. Its level holds
    for the rest of the year, too: it was put right by past dates. Of what it says of one customer
    against another, little does: who buys once a year at Christmas is no bad customer in January.

    Attributes:
        orders: Log of the total of orders in 90 days, combined over expected.
        log_odds: Mean log odds of any spend in 90 days, combined less expected.
    """

    orders: float
    log_odds: float

    @classmethod
    def of(
        cls,
        members: Mapping[str, AmountMember],
        snapshot: pd.DataFrame,
        orders: pd.Series,
        chance: pd.Series,
    ) -> QuarterNews:
        """From what the combination says of the customers of a date: orders and chance of spend."""
        expected = np.exp(_log_orders(members, snapshot, HORIZON_DAYS))
        odds = margins.log_odds(chance.to_numpy()) - _log_odds(members, snapshot, HORIZON_DAYS)
        return cls(
            round(float(np.log(orders.sum() / expected.sum())), 6), round(float(odds.mean()), 6)
        )

    def later_orders(
        self, members: Mapping[str, AmountMember], snapshot: pd.DataFrame, orders: np.ndarray
    ) -> np.ndarray:
        """Orders from day 91 to 365, per row.

        Args:
            members: Process and clock are asked.
            snapshot: Whose.
            orders: Combined, of the first 90 days, per row.
        """
        own = np.log(np.maximum(orders, LEAST_ORDERS))
        own -= _log_orders(members, snapshot, HORIZON_DAYS) + self.orders
        expected = _log_orders(members, snapshot, YEAR_HORIZON_DAYS, HORIZON_DAYS)
        # docs/decisions/customer_models.md: why a quarter of the rank is kept
        return np.exp(expected + self.orders + NEWS_KEPT * own)

    def year_log_odds(
        self, members: Mapping[str, AmountMember], snapshot: pd.DataFrame, chance: np.ndarray
    ) -> np.ndarray:
        """Log odds of any spend in 365 days, per row.

        Args:
            members: Process and clock are asked.
            snapshot: Whose.
            chance: Combined, of any spend in the first 90 days, per row.
        """
        own = margins.log_odds(chance) - _log_odds(members, snapshot, HORIZON_DAYS) - self.log_odds
        expected = _log_odds(members, snapshot, YEAR_HORIZON_DAYS)
        return expected + self.log_odds + NEWS_KEPT * own


def _log_orders(
    members: Mapping[str, AmountMember], snapshot: pd.DataFrame, days: int, after: int = 0
) -> np.ndarray:
    """Log of the orders from day `after` + 1 to `days`, mean over process and clock, per row."""
    logs = [
        np.log(
            np.maximum(
                member.orders(snapshot, days) - (member.orders(snapshot, after) if after else 0.0),
                LEAST_ORDERS,
            )
        )
        for member in members.values()
        if not isinstance(member, AmountRegression)
    ]
    return np.mean(logs, axis=0)


def _log_odds(members: Mapping[str, AmountMember], snapshot: pd.DataFrame, days: int) -> np.ndarray:
    """Log odds of an order in so many days, mean over process and clock, per row."""
    return np.mean(
        [
            member.log_odds(snapshot, days)
            for member in members.values()
            if not isinstance(member, AmountRegression)
        ],
        axis=0,
    )


def orders_over_quarter(members: Mapping[str, AmountMember], snapshot: pd.DataFrame) -> np.ndarray:
    """Orders of 365 days over those of 90, the mean in logs of what process and clock expect."""
    quarter, year = (_log_orders(members, snapshot, days) for days in HORIZONS)
    return np.maximum(np.exp(year - quarter), 1.0)


def gained_log_odds(members: Mapping[str, AmountMember], snapshot: pd.DataFrame) -> np.ndarray:
    """Log odds of an order in 365 days less those in 90, the mean of process and clock."""
    quarter, year = (_log_odds(members, snapshot, days) for days in HORIZONS)
    return np.maximum(year - quarter, 0.0)
