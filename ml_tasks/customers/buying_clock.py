"""A clock that runs as fast as the shop's customers buy: one model of season and level.

One unit of the clock is an average day of the shop's last year. Customers follow MBG/NBD in clock
time, so an order in a busy week is weaker evidence of a good customer than one in a quiet week. To
predict a window, the clock is projected over it: it runs as in the same days a year ago, times the
drift since; in days of the year that were not observed yet, it runs at the mean speed.

The speed of a day is the ratio of its orders to the orders that its customers would place on an
average day. Data often begin long after the shop did, and then the first months contain far more
"new" customers than later months. Those in excess of later arrival rates and chance count as
customers from the first day of the data on.
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
MAX_CUSTOMERS = 20_000  # enough to fit the parameters


@dataclass(frozen=True)
class BuyingClock:
    """A fitted clock and process.

    Attributes:
        start_date: First day of the data, ISO.
        process: Parameters of MBG/NBD in clock time.
        speeds: Speed of each day from `start_date` on, past and projected.
        earlier_rates: For each 30 days from `start_date` on, share of the customers first seen in
            them who were customers before the data begin.
    """

    start_date: str
    process: dict[str, float]
    speeds: list[float]
    earlier_rates: list[float]

    def parameters(self) -> dict[str, Any]:
        """All fields as JSON."""
        return asdict(self)

    def histories(self, snapshots: pd.DataFrame, horizon_days: int) -> pd.DataFrame:
        """History of each snapshot in clock time, in the same row order and with the same index.

        Args:
            snapshots: Columns as_of_date, days_since_first_order, days_since_last_order,
                count_order_days.
            horizon_days: Days to predict.

        Returns:
            `x` (repeat order days), `since` (time since the last order), `age` (time since the
            first), `start` (time since the data begin), `ahead` (length of the horizon), `earlier`
            (probability that the customer is older than the data).
        """
        today = (snapshots["as_of_date"] - pd.Timestamp(self.start_date)).dt.days.to_numpy()
        first = today - snapshots["days_since_first_order"].to_numpy()
        last = today - snapshots["days_since_last_order"].to_numpy()
        speeds = np.array(self.speeds)
        while len(today) and len(speeds) < today.max() + horizon_days:  # the champion is old
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
        """Probability of an order within the horizon, shape (n_rows,); rows of `self.histories`."""
        process = MbgNbd(**self.process)
        return self._mixed(lambda *past: 1 - process.no_order_probability(*past), histories)

    def expected_orders(self, histories: pd.DataFrame) -> np.ndarray:
        """Expected order days within the horizon, shape (n_rows,); rows of `self.histories`."""
        return self._mixed(MbgNbd(**self.process).expected_orders, histories)

    @staticmethod
    def _mixed(
        predict: Callable[[pd.DataFrame, np.ndarray], np.ndarray], rows: pd.DataFrame
    ) -> np.ndarray:
        """Prediction averaged over two possible pasts: new in the data, or a customer before it."""
        x, since, age, start, ahead, earlier = (
            rows[name].to_numpy() for name in ("x", "since", "age", "start", "ahead", "earlier")
        )
        value = predict(history(x, np.maximum(age - since, 0.0), age), ahead)
        if (earlier > 0).any():
            before = predict(history(x + 1, np.maximum(start - since, 0.0), start), ahead)
            value = (1 - earlier) * value + earlier * before
        return value


def fit(snapshot: pd.DataFrame, shop_days: pd.DataFrame) -> BuyingClock:
    """Fit clock and process alternately, each given the other. The order of rows has no effect.

    Args:
        snapshot: Columns of features.customer_snapshots, one date, at least one row: all customers
            or a sample.
        shop_days: Columns of features.shop_days, all customers. Days on or after the snapshot's
            date are ignored.
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
    scale = new.sum() / len(x)  # the snapshot may be a sample of the customers
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
    """Histories in days of the data; a customer with two possible pasts has two weighted rows."""

    def __init__(self, x: np.ndarray, first: np.ndarray, last: np.ndarray, earlier: np.ndarray):
        self.x = np.concatenate([x, x + 1])
        self.first = np.concatenate([first, np.zeros_like(first)])
        self.last = np.concatenate([last, last])
        self.weight = np.concatenate([1 - earlier, earlier])

    def on(self, speeds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """t_x and t in clock time."""
        passed = np.concatenate([[0.0], np.cumsum(speeds)])
        begin = passed[self.first]
        return passed[self.last] - begin, passed[-1] - begin

    def fit(self, speeds: np.ndarray) -> MbgNbd:
        """The fitted process, or a flat prior when the shop has too few customers to fit one."""
        t_x, t = self.on(speeds)
        kept = self.weight > 0
        cells = Cells(self.x[kept], t_x[kept], t[kept], self.weight[kept])
        return fit_cells(cells, MbgNbd) or MbgNbd(1.0, float(t.mean()), 1.0, 1.0)

    def exposure(self, process: MbgNbd, speeds: np.ndarray) -> np.ndarray:
        """Orders expected on each day at speed 1 from earlier customers, shape (n_days,)."""
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
