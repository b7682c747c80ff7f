"""Orders that a later landing left with less money: nothing was rejected, but the rest is lost.

Pure functions. A replaced row is rightly not counted; the money that its replacement lacks is lost.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from expectations.reject_reasons import REDUCED
from expectations.reject_shares import SENT, WHOLE, Key, Level


class Reduced(NamedTuple):
    """An order, and the money that it had before and lost, shop currency."""

    order_id: str
    country: str | None
    month: str | None
    amount: float


def add_reduced(levels: dict[Key, Level], orders: Iterable[Reduced]) -> None:
    """Add the lost money to `levels` as rejects with the reason REDUCED, and as sent money."""
    for order in orders:
        groups = [WHOLE, ("country", order.country), ("month", order.month)]
        for dimension, group in groups:
            if group is None:
                continue
            for reason, count in ((REDUCED, 1), (SENT, 0)):
                key = Key(dimension, group, reason)
                level = levels.get(key, Level())
                levels[key] = Level(level.orders + count, level.amount + order.amount)
