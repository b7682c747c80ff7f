"""A clock that runs as fast as the shop's customers buy: seasons and levels in one place.

One unit is an average day of the shop's last year. On this clock customers follow MBG/NBD, so an
order in the busy weeks says less of a customer than one in the quiet weeks, and what they will do
in a window is read off how far the clock will go in it: as far as in the same days a year ago,
times the drift since; in days of the year that nobody has seen yet as far as in those seen.

The speed of a day is what was ordered on it over what those who were customers then would order on
an average day. Many data begin long after the shop did: then the first months bring far more "new"
customers than later ones. As many of them as chance can't explain count as customers from the
first day on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from ml_tasks.customers import pace
from ml_tasks.customers.pace import MONTH_DAYS, YEAR_DAYS
from ml_tasks.customers.probability.bg_nbd import MbgNbd, fit_cells
from ml_tasks.customers.probability.fitting import rounded
from ml_tasks.customers.probability.rfm import Cells, history

ROUNDS = 5
MAX_CUSTOMERS = 20_000  # the parameters need no more


@dataclass(frozen=True)
class BuyingClock:
    """Fitted on what was known by a date; all of it data.

    Attributes:
        start_date: First day of the data, ISO.
        process: Parameters of MBG/NBD on the clock.
        speeds: Speed of each day from `start_date` on, past and projected.
        earlier_rates: By 30 days from `start_date`: share of the customers first seen in them who
            had been customers before the data begin.
    """

    start_date: str
    process: dict[str, float]
    speeds: list[float]
    earlier_rates: list[float]

    def parameters(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)

    def histories(self, snapshots: pd.DataFrame, horizon_days: int) -> pd.DataFrame:
        """What the process knows of each snapshot row: same order and index, on the clock.

        Returns:
            `x` (repeat order days), `since` the last order, `age` since the first, `start` (age of
            the data), `ahead` (the horizon), `earlier` (chance of being older than the data).
        """
        today = (snapshots["as_of_date"] - pd.Timestamp(self.start_date)).dt.days.to_numpy()
        first = today - snapshots["days_since_first_order"].to_numpy()
        last = today - snapshots["days_since_last_order"].to_numpy()
        speeds = np.array(self.speeds)
        while len(today) and len(speeds) < today.max() + horizon_days:  # of an old champion
            speeds = np.concatenate([speeds, speeds[-YEAR_DAYS:]])
        passed = np.concatenate([[0.0], np.cumsum(speeds)])

        def at(days: np.ndarray) -> np.ndarray:
            return passed[np.clip(days.astype(int), 0, len(passed) - 1)]

        rates = np.array([*self.earlier_rates, 0.0])
        month = np.clip(first // MONTH_DAYS, 0, len(rates) - 1).astype(int)
        return pd.DataFrame(
            {
                "x": snapshots["count_order_days"].to_numpy(dtype=float) - 1,
                "since": at(today) - at(last),
                "age": at(today) - at(first),
                "start": at(today),
                "ahead": at(today + horizon_days) - at(today),
                "earlier": rates[month],
            },
            index=snapshots.index,
        )

    def order_probability(self, histories: pd.DataFrame) -> np.ndarray:
        """Chance of an order within the horizon, per row of `histories`."""
        process = MbgNbd(**self.process)
        return self._mixed(lambda *past: 1 - process.no_order_probability(*past), histories)

    def expected_orders(self, histories: pd.DataFrame) -> np.ndarray:
        """Expected days with an order within the horizon, per row of `histories`."""
        return self._mixed(MbgNbd(**self.process).expected_orders, histories)

    @staticmethod
    def _mixed(
        of: Callable[[pd.DataFrame, np.ndarray], np.ndarray], rows: pd.DataFrame
    ) -> np.ndarray:
        """Mean over the two pasts a customer may have: first order seen, or customer before."""
        x, since, age, start, ahead, earlier = (
            rows[name].to_numpy() for name in ("x", "since", "age", "start", "ahead", "earlier")
        )
        value = of(history(x, np.maximum(age - since, 0.0), age), ahead)
        if (earlier > 0).any():
            before = of(history(x + 1, np.maximum(start - since, 0.0), start), ahead)
            value = (1 - earlier) * value + earlier * before
        return value


def fit(snapshot: pd.DataFrame, shop_days: pd.DataFrame) -> BuyingClock:
    """Fit clock and process, each given the other, in turns. The order of rows does not matter.

    Args:
        snapshot: Columns of features.customer_snapshots of one date, at least one row: all
            customers, or a sample of them.
        shop_days: Columns of features.shop_days, of all customers; later days than the snapshot's
            are not looked at.
    """
    snapshot = snapshot.iloc[np.argsort(snapshot["customer_id"].astype(str), kind="stable")]
    date = snapshot["as_of_date"].iloc[0]
    start = shop_days["day_date"].min()
    count_days = (date - start).days
    days = pd.date_range(start, periods=count_days)
    ordered = shop_days.set_index("day_date").reindex(days, fill_value=0)
    new = ordered["count_new_customers"].to_numpy(dtype=float)
    repeat = ordered["count_customers"].to_numpy(dtype=float) - new

    step = -(-len(snapshot) // MAX_CUSTOMERS)
    first = (count_days - snapshot["days_since_first_order"].to_numpy(dtype=int))[::step]
    last = (count_days - snapshot["days_since_last_order"].to_numpy(dtype=int))[::step]
    x = snapshot["count_order_days"].to_numpy(dtype=float)[::step] - 1
    scale = new.sum() / len(x)  # of a large shop the snapshot is a sample
    speeds = np.ones(count_days)
    for _ in range(ROUNDS):
        rates = pace.earlier_rates(new, speeds)
        earlier = np.append(rates, 0.0)[np.minimum(first // MONTH_DAYS, len(rates))]
        pasts = _Pasts(x, first, last, earlier)
        process = pasts.fit(speeds)
        exposure = scale * pasts.exposure(process, speeds)
        daily = np.append(np.repeat(rates, MONTH_DAYS), np.zeros(count_days))[:count_days]
        speeds = pace.speeds_of(repeat + daily * new, exposure)
    ahead = pace.projected(speeds, exposure, rates)
    return BuyingClock(
        start_date=f"{start:%Y-%m-%d}",
        process=rounded(process),
        speeds=[round(float(speed), 6) for speed in ahead],
        earlier_rates=[round(float(rate), 6) for rate in rates],
    )


class _Pasts:
    """Histories in days of the data, each customer of an unsure past in two weighted rows."""

    def __init__(self, x: np.ndarray, first: np.ndarray, last: np.ndarray, earlier: np.ndarray):
        self.x = np.concatenate([x, x + 1])
        self.first = np.concatenate([first, np.zeros_like(first)])
        self.last = np.concatenate([last, last])
        self.weight = np.concatenate([1 - earlier, earlier])

    def on(self, speeds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """t_x and t on a clock."""
        passed = np.concatenate([[0.0], np.cumsum(speeds)])
        begin = passed[self.first]
        return passed[self.last] - begin, passed[-1] - begin

    def fit(self, speeds: np.ndarray) -> MbgNbd:
        """The process; of a shop too small to tell it, one in which anything can happen."""
        t_x, t = self.on(speeds)
        kept = self.weight > 0
        cells = Cells(self.x[kept], t_x[kept], t[kept], self.weight[kept])
        return fit_cells(cells, MbgNbd) or MbgNbd(1.0, float(t.mean()), 1.0, 1.0)

    def exposure(self, process: MbgNbd, speeds: np.ndarray) -> np.ndarray:
        """Orders expected on each day at speed 1, of those who had ordered before it."""
        t_x, t = self.on(speeds)
        alive = process.alive_probability(history(self.x, t_x, t))
        rate_if_alive = (process.r + self.x) / (process.alpha + t)
        rate_if_left = (process.r + self.x) / (process.alpha + t_x)
        later = self.weight * alive * rate_if_alive
        earlier = later + self.weight * (1 - alive) * rate_if_left
        change = np.zeros(len(speeds) + 2)
        np.add.at(change, self.first + 1, earlier)
        np.add.at(change, self.last + 1, later - earlier)
        return np.cumsum(change)[: len(speeds)]
