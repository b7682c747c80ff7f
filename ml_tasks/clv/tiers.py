"""Value tiers by share of predicted spend, steady from one date to the next.

The bounds between tiers are amounts, fixed when the model is trained, so that a customer's tier
does not depend on other customers. A customer of the training date keeps the tier of that date
until the predicted amount is past a bound by MARGIN.
"""

from __future__ import annotations

import math

import numpy as np

# Least predicted spend of each tier but the last, in usual orders of the shop. Where hardly any
# customer comes back, even the best have a value near 0 and are not `top`.
LEAST_ORDERS = (1.0, 0.5, 0.1)
# Cumulative share of all predicted spend, best customers first, where each tier ends.
TIERS = {"top": 0.5, "high": 0.8, "medium": 0.95, "low": 1.0}
MARGIN = 0.1
LEAST_BOUND = 1e-6  # where the shop has no usual order; any currency


def bounds(amount: np.ndarray, usual_order_amount: float) -> list[float]:
    """Least amount of each tier but the last, descending, above 0.

    Args:
        amount: Predicted spend of all customers, shop currency, shape (n,).
        usual_order_amount: Usual amount of an order, shop currency; 0 if there is none.
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
    """Round down to six digits, so that a customer on a bound gets the better tier."""
    unit = 10.0 ** (math.floor(math.log10(amount)) - 5)
    return float(f"{math.floor(amount / unit) * unit:.6g}")


def steady_tier(amount: np.ndarray, amount_before: np.ndarray, least: list[float]) -> np.ndarray:
    """Tier of each amount, shape (n,); the earlier tier holds unless MARGIN is exceeded.

    Args:
        amount: Predicted spend on the scored date, shop currency, shape (n,).
        amount_before: Predicted spend on the training date by the same model, shape (n,); NaN for
            a customer who was unknown then.
        least: As of `bounds`.
    """
    limits = np.array(least)
    before = _rank(np.nan_to_num(amount_before), limits)
    highest = _rank(amount, limits * (1 - MARGIN))
    lowest = _rank(amount, limits * (1 + MARGIN))
    steady = np.clip(before, highest, lowest)
    return _named(np.where(np.isnan(amount_before), _rank(amount, limits), steady))


def _rank(amount: np.ndarray, limits: np.ndarray) -> np.ndarray:
    """Position of the tier of each amount, shape (n,); 0 is the best."""
    return np.asarray((amount[:, None] < limits[None, :]).sum(axis=1))


def _named(rank: np.ndarray) -> np.ndarray:
    return np.array(list(TIERS), dtype=object)[rank]
