"""Orders that a later landing left with less: nobody rejected the money, yet it counts no more.

Pure. The rows that were replaced are in another row by right; what the new one lacks is not.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from expectations.reject_reasons import REDUCED
from expectations.reject_shares import SENT, WHOLE, Key, Level


class Reduced(NamedTuple):
    """An order, with the money that it had once and has no more, in the shop's currency."""

    order_id: str
    country: str | None
    month: str | None
    amount: float


def add_reduced(levels: dict[Key, Level], orders: Iterable[Reduced]) -> None:
    """Add the orders to the levels, as a reason of its own; what they lost was sent, too."""
    for order in orders:
        groups = [WHOLE, ("country", order.country), ("month", order.month)]
        for dimension, group in groups:
            if group is None:
                continue
            for reason, count in ((REDUCED, 1), (SENT, 0)):
                key = Key(dimension, group, reason)
                level = levels.get(key, Level())
                levels[key] = Level(level.orders + count, level.amount + order.amount)
