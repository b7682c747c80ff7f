"""Value tiers by share of predicted value, that a customer does not leave by chance.

The bounds between tiers are amounts, fixed when the model is trained, so that a customer's tier
depends on nobody else. A customer of that day keeps the tier of it until their amount is past a
bound by a margin.
"""

from __future__ import annotations

import math

import numpy as np

# Least predicted spend of each tier but the last, in usual orders of the shop: where hardly anybody
# comes back, the best of those who are worth next to nothing are no top.
LEAST_ORDERS = (1.0, 0.5, 0.1)
# Share of the value that is predicted of all customers, best first, at which a tier ends.
TIERS = {"top": 0.5, "high": 0.8, "medium": 0.95, "low": 1.0}
MARGIN = 0.1
LEAST_BOUND = 1e-6  # of a shop where nothing is usual; any currency


def bounds(amount: np.ndarray, usual_order_amount: float) -> list[float]:
    """Least amount of each tier but the last, falling; above 0, so that nobody gets it with 0.

    Args:
        amount: Predicted of all customers.
        usual_order_amount: Of the shop, same currency; 0 where nothing is usual.
    """
    least = [max(orders * usual_order_amount, LEAST_BOUND) for orders in LEAST_ORDERS]
    best_first = np.sort(amount)[::-1]
    held = np.cumsum(best_first)
    if len(amount) == 0 or held[-1] <= 0:
        return [_cut_off(floor) for floor in least]
    shares = list(TIERS.values())[:-1]
    last = np.searchsorted(held, np.array(shares) * held[-1])
    return [
        _cut_off(max(float(amount), floor))
        for amount, floor in zip(best_first[last], least, strict=True)
    ]


def _cut_off(amount: float) -> float:
    """Down to six digits: whoever is on a bound is in the better tier, in any unit of money."""
    unit = 10.0 ** (math.floor(math.log10(amount)) - 5)
    return float(f"{math.floor(amount / unit) * unit:.6g}")


def steady_tier(amount: np.ndarray, amount_before: np.ndarray, least: list[float]) -> np.ndarray:
    """Tier of each amount, where that of before holds within the margin.

    Args:
        amount: Predicted now.
        amount_before: Predicted by the same model on its training date; NaN of a newer customer.
        least: Bounds.
    """
    limits = np.array(least)
    before = _rank(np.nan_to_num(amount_before), limits)
    highest = _rank(amount, limits * (1 - MARGIN))
    lowest = _rank(amount, limits * (1 + MARGIN))
    steady = np.clip(before, highest, lowest)
    return _named(np.where(np.isnan(amount_before), _rank(amount, limits), steady))


def _rank(amount: np.ndarray, limits: np.ndarray) -> np.ndarray:
    """0 is the best tier."""
    return np.asarray((amount[:, None] < limits[None, :]).sum(axis=1))


def _named(rank: np.ndarray) -> np.ndarray:
    return np.array(list(TIERS), dtype=object)[rank]
