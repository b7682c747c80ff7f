"""Shop days: time that runs as fast as the shop's customers buy, by the buying clock.

A season multiplies every customer's hazard alike, so it stretches time instead of changing the
model. Models are fitted to shop days and know no season; a customer looked at on a date is followed
along that date's own path.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ml_tasks.customers import buying_clock
from ml_tasks.customers.pace import YEAR_DAYS

# Five times the usual orders, or a fifth, is a promotion or an error, not a season to rely on.
MAX_SPEED = 5.0


@dataclass(frozen=True)
class ShopDays:
    """How many shop days a day counts.

    Attributes:
        first_day: ISO.
        speeds: Shop days in each day from the first one on, past and projected; the last year
            repeats from then on, and a day before the first counts as much as that.
    """

    first_day: str
    speeds: list[float]

    def path(self, day: pd.Timestamp, n_days: int) -> np.ndarray:
        """Shop days from `day` to the end of day 0..n_days; rising, 0 first."""
        passed = self._passed(pd.DatetimeIndex([day]), np.arange(n_days + 1))
        return passed - passed[0]

    def between(self, dates: pd.Series, days: np.ndarray) -> np.ndarray:
        """Shop days in the `days` (0 or more) that follow each date, shape (n,)."""
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
    """The speeds of the buying clock.

    Args:
        snapshot: Columns of features.customer_snapshots of one date, at least one row; a sample
            will do.
        shop_days: Columns of features.shop_days; later days are not looked at.
    """
    clock = buying_clock.fit(snapshot, shop_days)
    speeds = np.clip(clock.speeds, 1 / MAX_SPEED, MAX_SPEED)
    return ShopDays(clock.start_date, speeds.round(6).tolist())
