"""Shop time: the 90 days ahead as shares of the orders that the shop will get in them.

In a quiet month an order comes later than in a busy one, and on Saturday a wholesaler's never
comes. So waits are learnt in shop time, where all days are alike, and predicted back into days.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from ml_tasks.customers.known import HORIZON_DAYS
from ml_tasks.customers.shop_days import ShopDays, fit_shop_days

WEEKDAY_DAYS = 182  # shares of weekdays are counted over so many days
PRIOR_WEEKDAY = 0.05  # an even week counts as this share of the orders


@dataclass(frozen=True)
class ShopTime:
    """Speed of each day.

    Attributes:
        shop_days: Shop days in each calendar day, past and projected.
        weekdays: Factor of each weekday, Monday first, with a mean of 1.
    """

    shop_days: ShopDays
    weekdays: list[float]

    def parameters(self) -> dict[str, Any]:
        """All fields as JSON, side by side."""
        return {**asdict(self.shop_days), "weekdays": self.weekdays}

    @classmethod
    def restored(cls, stored: dict[str, Any]) -> ShopTime:
        """Rebuild from `parameters`."""
        return cls(ShopDays(stored["first_day"], stored["speeds"]), stored["weekdays"])

    def passed(self, day: pd.Timestamp) -> np.ndarray:
        """Shop time passed by the start of each of the 90 days from `day` on, shape (91,).

        Rises from 0 to 90.
        """
        weekday = (day.dayofweek + np.arange(HORIZON_DAYS)) % 7
        daily = np.diff(self.shop_days.path(day, HORIZON_DAYS)) * np.array(self.weekdays)[weekday]
        return np.concatenate([[0.0], np.cumsum(daily)]) * (HORIZON_DAYS / daily.sum())

    def of_days(self, dates: pd.Series, days: np.ndarray) -> np.ndarray:
        """Shop time at the middle of the `days`-th day (0 to 89) after each date, shape (n,)."""
        found = np.empty(len(days))
        for day in dates.unique():
            rows = (dates == day).to_numpy()
            passed, place = self.passed(pd.Timestamp(day)), days[rows].astype(int)
            found[rows] = (passed[place] + passed[place + 1]) / 2
        return found

    def to_days(self, day: pd.Timestamp, time: np.ndarray) -> np.ndarray:
        """Number of the day, 0 to 89, in which a shop time lies, shape (n,)."""
        passed = np.maximum.accumulate(self.passed(day))
        return np.clip(np.searchsorted(passed, time, side="right") - 1, 0, HORIZON_DAYS - 1)


def fit(snapshot: pd.DataFrame, shop_days: pd.DataFrame) -> ShopTime:
    """Fit to the days before a date.

    Args:
        snapshot: Columns of features.customer_snapshots of the date, at least one row.
        shop_days: Columns of features.shop_days.
    """
    day = pd.Timestamp(snapshot["as_of_date"].iloc[0])
    dates = pd.DatetimeIndex(shop_days["day_date"])
    recent = (dates < day) & (dates >= day - pd.Timedelta(days=WEEKDAY_DAYS))
    counts = np.bincount(
        dates[recent].dayofweek,
        shop_days["count_customers"].to_numpy(dtype=float)[recent],
        minlength=7,
    )
    even = PRIOR_WEEKDAY * max(counts.sum(), 1.0) / 7
    weekdays = 7 * (counts + even) / (counts + even).sum()
    return ShopTime(fit_shop_days(snapshot, shop_days), weekdays.round(6).tolist())
