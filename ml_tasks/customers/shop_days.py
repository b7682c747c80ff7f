"""Shop days: time measured by the buying clock, fast in seasons when customers buy more.

A season multiplies the hazard of every customer by the same factor, so it can stretch time instead
of changing the model. Models are fitted in shop days and have no season; a prediction converts the
calendar days after its date to shop days.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ml_tasks.customers import buying_clock
from ml_tasks.customers.pace import YEAR_DAYS

# Five times the usual orders, or a fifth, is a promotion or an error, not a season.
MAX_SPEED = 5.0


@dataclass(frozen=True)
class ShopDays:
    """Number of shop days in each calendar day.

    Attributes:
        first_day: First calendar day, ISO.
        speeds: Shop days in each calendar day from `first_day` on, past and projected. After the
            last one the last year repeats; a day before the first counts like the first.
    """

    first_day: str
    speeds: list[float]

    def path(self, day: pd.Timestamp, n_days: int) -> np.ndarray:
        """Shop days passed by the end of day 0..n_days after `day`, ascending from 0.

        Args:
            day: First calendar day.
            n_days: Number of calendar days.

        Returns:
            Shape (n_days + 1,).
        """
        passed = self._passed(pd.DatetimeIndex([day]), np.arange(n_days + 1))
        return passed - passed[0]

    def between(self, dates: pd.Series, days: np.ndarray) -> np.ndarray:
        """Shop days in the `days` calendar days (0 or more) after each date, shape (n,)."""
        start = pd.DatetimeIndex(dates)
        return self._passed(start, np.asarray(days)) - self._passed(start, np.zeros(len(start)))

    def _passed(self, dates: pd.DatetimeIndex, days: np.ndarray) -> np.ndarray:
        """Shop days from the first day to `days` after each date, shape (n,)."""
        at = np.asarray((dates - pd.Timestamp(self.first_day)).days) + np.asarray(days, dtype=int)
        speeds = np.array(self.speeds)
        beyond = np.resize(speeds[-YEAR_DAYS:], max(int(at.max(initial=0)) - len(speeds), 0))
        total = np.concatenate([[0.0], np.cumsum(speeds), speeds.sum() + np.cumsum(beyond)])
        return np.where(at < 0, at * speeds[0], total[np.maximum(at, 0)])


def fit_shop_days(snapshot: pd.DataFrame, shop_days: pd.DataFrame) -> ShopDays:
    """Fit the buying clock and return its speeds, clipped to MAX_SPEED.

    Args:
        snapshot: Columns of features.customer_snapshots of one date, at least one row; a sample
            is enough.
        shop_days: Columns of features.shop_days; days from the snapshot's date on are ignored.
    """
    clock = buying_clock.fit(snapshot, shop_days)
    speeds = np.clip(clock.speeds, 1 / MAX_SPEED, MAX_SPEED)
    return ShopDays(clock.start_date, speeds.round(6).tolist())
