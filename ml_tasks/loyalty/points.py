"""Points of orders: earned, taken back by refunds, expired. Pure functions on whole numbers.

The points of an amount are its product with the rate of the version in force on the order's day,
rounded down, once per order. A refund takes back the difference between the points of what was left
before and after it, so that an order that is refunded in full has no points, to the unit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pandas as pd

from ml_tasks.loyalty.entries import E4, EPOCH, History
from ml_tasks.loyalty.programme import Version

FOR_EVER = 10**7  # days, far beyond the year 9999
LEDGER_MONTHS = 12  # earlier months are summed: they would be written again for every date
FIGURES = (
    "count_orders", "order_amount_e4", "refund_amount_e4",
    "points_earned", "points_taken_back", "points_expired",
)  # fmt: skip


@dataclass(frozen=True)
class Rates:
    """The rates of each order, by the version in force on its day; no points before the first.

    Attributes:
        numerator: Points per `denominator` units of currency, shape (n_orders,).
        denominator: Up to 10,000, shape (n_orders,).
        last_day: Last day on which the order's points are valid, shape (n_orders,).
    """

    numerator: np.ndarray
    denominator: np.ndarray
    last_day: np.ndarray

    @classmethod
    def of(cls, days: np.ndarray, versions: Sequence[Version]) -> Rates:
        """The rates of orders on days.

        Args:
            days: Ordinals, shape (n_orders,).
            versions: Ascending by date.
        """
        rates = [Fraction(0), *(Fraction(one.points_per_unit) for one in versions)]
        valid = [0, *(one.points_valid_days or FOR_EVER for one in versions)]
        at = version_at(days, versions) + 1
        return cls(
            np.array([rate.numerator for rate in rates])[at],
            np.array([rate.denominator for rate in rates])[at],
            days + np.array(valid)[at] - 1,
        )

    def points(self, amount_e4: np.ndarray, orders: np.ndarray | slice = slice(None)) -> np.ndarray:
        """Points of amounts, rounded down; exact, shape as `amount_e4`.

        Args:
            amount_e4: Amounts, at least 0, in ten-thousandths.
            orders: The order of each amount; by default one amount per order.
        """
        rate, unit = self.numerator[orders], self.denominator[orders] * E4
        # the product of a large amount and a rate would not fit 64 bits
        return amount_e4 // unit * rate + amount_e4 % unit * rate // unit


def version_at(days: np.ndarray, versions: Sequence[Version]) -> np.ndarray:
    """Position of the version in force on each day; -1 before the first. Shape as `days`."""
    return np.searchsorted([one.first_day.toordinal() for one in versions], days, "right") - 1


@dataclass(frozen=True)
class Points:
    """Points by order as known on a date, and the entries that lead there.

    Attributes:
        earned: Per order, shape (n_orders,).
        taken: Points that each taking took back while they were valid, shape (n_takings,).
        reduced: Points that each taking is worth, valid or not, shape (n_takings,).
        expired: Per order, shape (n_orders,).
        open: Per order: valid on the date, shape (n_orders,).
        last_day: Last day on which the order's points are valid, shape (n_orders,).
    """

    earned: np.ndarray
    taken: np.ndarray
    reduced: np.ndarray
    expired: np.ndarray
    open: np.ndarray
    last_day: np.ndarray


def compute(history: History, versions: Sequence[Version], as_of_day: int) -> Points:
    """Compute the points of a history.

    Points expire at the end of their last valid day; a refund after it takes no points back.

    Args:
        history: What happened before the date.
        versions: Ascending by date.
        as_of_day: The date, as an ordinal.
    """
    orders, takings = history.orders, history.takings
    rates = Rates.of(orders["day"].to_numpy(), versions)
    of, amounts = takings["order"].to_numpy(), takings["amount_e4"].to_numpy()
    before = orders["amount_e4"].to_numpy()[of] - _taken_before(takings)
    reduced = rates.points(before, of) - rates.points(before - amounts, of)
    taken = np.where(takings["day"].to_numpy() <= rates.last_day[of], reduced, 0)
    earned = rates.points(orders["amount_e4"].to_numpy())
    left = earned - _sums(of, taken, len(orders))
    is_over = rates.last_day < as_of_day
    return Points(
        earned, taken, reduced, np.where(is_over, left, 0), np.where(is_over, 0, left),
        rates.last_day,
    )  # fmt: skip


def _taken_before(takings: pd.DataFrame) -> np.ndarray:
    """What earlier takings took of the same order, shape (n_takings,)."""
    so_far = takings.groupby("order")["amount_e4"].cumsum() - takings["amount_e4"]
    return so_far.to_numpy(dtype=np.int64)


def _sums(groups: np.ndarray, values: np.ndarray, count: int) -> np.ndarray:
    """Exact sums by group, shape (count,)."""
    sums = np.zeros(count, dtype=np.int64)
    np.add.at(sums, groups, values)
    return sums


def _months(days: pd.Series | int) -> np.ndarray:
    """Months of ordinals."""
    return (
        (np.asarray(days, dtype=np.int64) - EPOCH).astype("datetime64[D]").astype("datetime64[M]")
    )


def ledger(history: History, points: Points, as_of_day: int) -> pd.DataFrame:
    """The points of each customer by month; the earliest month holds all that was before it, too.

    Args:
        history: What happened before the date.
        points: Points of the history.
        as_of_day: The date, as an ordinal.

    Returns:
        One row per customer and month with an entry: `customer`, `month_date`, `count_orders`,
        `order_amount_e4`, `refund_amount_e4`, `points_earned`, `points_taken_back`,
        `points_expired`, `points_balance` (at the month's end, or on the date if that is earlier).
    """
    orders, takings = history.orders, history.takings
    of = takings["order"].to_numpy()
    customer = orders["customer"].to_numpy()
    expires = points.expired > 0
    parts = [
        {
            "customer": customer, "day": orders["day"], "count_orders": 1,
            "order_amount_e4": orders["amount_e4"], "points_earned": points.earned,
        },
        {
            "customer": customer[of], "day": takings["day"],
            "refund_amount_e4": takings["amount_e4"], "points_taken_back": points.taken,
        },
        {
            "customer": customer[expires], "day": points.last_day[expires],
            "points_expired": points.expired[expires],
        },
    ]  # fmt: skip
    nothing = dict.fromkeys(FIGURES, 0)
    entries = pd.concat([pd.DataFrame({**nothing, **part}) for part in parts], ignore_index=True)
    months = np.maximum(_months(entries.pop("day")), _months(as_of_day) - LEDGER_MONTHS)
    entries["month_date"] = months.astype("datetime64[ns]")
    sums = entries.groupby(["customer", "month_date"], as_index=False)[list(FIGURES)].sum()
    change = sums["points_earned"] - sums["points_taken_back"] - sums["points_expired"]
    return sums.assign(points_balance=change.groupby(sums["customer"]).cumsum())
