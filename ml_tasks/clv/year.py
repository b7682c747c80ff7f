"""Extend the predictions for 90 days to a year."""

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
# Share of the differences between customers in the 90 days that persists in the rest of the year.
NEWS_KEPT = 0.25


@dataclass(frozen=True)
class QuarterNews:
    """How far the combination's next 90 days differ from what process and clock expect.

    The combination sees seasons and habits of the next 90 days that process and clock do not. The
    difference in level was corrected by past dates and holds for the rest of the year. The
    differences between customers hardly persist: a customer who buys once a year at Christmas is
    not a bad customer in January.

    Attributes:
        orders: Log of total orders in 90 days, combined over expected.
        log_odds: Mean log odds of any spend in 90 days, combined minus expected.
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
        """Compute both from the combination's predictions for the customers of a date.

        Args:
            members: Members of the amount; process and clock give the expectation.
            snapshot: The customers, n rows.
            orders: Combined orders in 90 days, shape (n,).
            chance: Combined probability of any spend in 90 days, shape (n,).
        """
        expected = np.exp(_log_orders(members, snapshot, HORIZON_DAYS))
        odds = margins.log_odds(chance.to_numpy()) - _log_odds(members, snapshot, HORIZON_DAYS)
        return cls(
            round(float(np.log(orders.sum() / expected.sum())), 6), round(float(odds.mean()), 6)
        )

    def later_orders(
        self, members: Mapping[str, AmountMember], snapshot: pd.DataFrame, orders: np.ndarray
    ) -> np.ndarray:
        """Expected orders from day 91 to day 365, shape (n,).

        Args:
            members: Members of the amount; process and clock give the expectation.
            snapshot: The customers, n rows.
            orders: Combined orders in the first 90 days, shape (n,).
        """
        own = np.log(np.maximum(orders, LEAST_ORDERS))
        own -= _log_orders(members, snapshot, HORIZON_DAYS) + self.orders
        expected = _log_orders(members, snapshot, YEAR_HORIZON_DAYS, HORIZON_DAYS)
        # docs/decisions/customer_models.md: why a quarter of the rank is kept
        return np.exp(expected + self.orders + NEWS_KEPT * own)

    def year_log_odds(
        self, members: Mapping[str, AmountMember], snapshot: pd.DataFrame, chance: np.ndarray
    ) -> np.ndarray:
        """Log odds of any spend in 365 days, shape (n,).

        Args:
            members: Members of the amount; process and clock give the expectation.
            snapshot: The customers, n rows.
            chance: Combined probability of any spend in the first 90 days, shape (n,).
        """
        own = margins.log_odds(chance) - _log_odds(members, snapshot, HORIZON_DAYS) - self.log_odds
        expected = _log_odds(members, snapshot, YEAR_HORIZON_DAYS)
        return expected + self.log_odds + NEWS_KEPT * own


def _log_orders(
    members: Mapping[str, AmountMember], snapshot: pd.DataFrame, days: int, after: int = 0
) -> np.ndarray:
    """Log of orders from day `after` + 1 to `days`, mean over process and clock, shape (n,)."""
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
    """Log odds of an order in `days` days, mean over process and clock, shape (n,)."""
    return np.mean(
        [
            member.log_odds(snapshot, days)
            for member in members.values()
            if not isinstance(member, AmountRegression)
        ],
        axis=0,
    )


def orders_over_quarter(members: Mapping[str, AmountMember], snapshot: pd.DataFrame) -> np.ndarray:
    """Expected orders in 365 days over those in 90, shape (n,), at least 1.

    The ratio is the mean of logs over process and clock.
    """
    quarter, year = (_log_orders(members, snapshot, days) for days in HORIZONS)
    return np.maximum(np.exp(year - quarter), 1.0)


def gained_log_odds(members: Mapping[str, AmountMember], snapshot: pd.DataFrame) -> np.ndarray:
    """Log odds of an order in 365 days minus those in 90, shape (n,), at least 0.

    Both are means over process and clock.
    """
    quarter, year = (_log_odds(members, snapshot, days) for days in HORIZONS)
    return np.maximum(year - quarter, 0.0)
