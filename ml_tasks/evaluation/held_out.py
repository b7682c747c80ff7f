"""Contacted customers beside those who were held out at random, as they were drawn.

By intention to treat: everybody who was drawn counts, whatever happened to them afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

NORMAL_95 = float(stats.norm.ppf(0.975))  # half a 95 % interval, in standard errors
ALPHA = 0.05  # false alarms of a verdict, over all days on which it is looked at
USUAL_DIFFERENCE = 0.03  # of order rates; the verdict is sharpest for about so much
LARGEST_SHARE = 0.99  # spend above this quantile counts as so much, or a few orders would decide
LEAST_A_GROUP = 30  # a difference of smaller groups is not given
HELPS, HARMS, CANNOT_TELL = "helps", "harms", "cannot tell"


@dataclass(frozen=True)
class Difference:
    """A mean of the contacted less that of the held-out.

    Attributes:
        value: The difference.
        error: Its standard error.
    """

    value: float
    error: float

    @property
    def lower(self) -> float:
        """Lower end of the 95 % confidence interval."""
        return self.value - NORMAL_95 * self.error

    @property
    def upper(self) -> float:
        """Upper end of the 95 % confidence interval."""
        return self.value + NORMAL_95 * self.error

    def at_every_look(self, usual: float) -> tuple[float, float]:
        """Ends of an interval that holds on all dates at once, with 95 % confidence.

        The table is looked at every day. Of daily 95 % intervals, a quarter excludes 0 some day
        though there is no effect.

        Args:
            usual: Size of a usual difference; the interval is narrowest for about so much data.

        Source:
            Robbins (1970), doi 10.1214/aoms/1177696786; Johari, Pekelis and Walsh (2015),
            arXiv:1512.04922.
        """
        own, prior = self.error**2, usual**2
        if not own:
            return self.value, self.value
        widened = own * (own + prior) / prior
        half = np.sqrt(widened * (2 * np.log(1 / ALPHA) + np.log((own + prior) / own)))
        return self.value - float(half), self.value + float(half)


def difference(outcome: np.ndarray, expected: np.ndarray, is_held_out: np.ndarray) -> Difference:
    """Difference of means with less noise: what was expected beforehand is taken out (CUPED).

    Args:
        outcome: What happened, shape (n,).
        expected: Known before the action, shape (n,); the part of the outcome that follows it
            linearly is subtracted.
        is_held_out: Shape (n,); both kinds occur at least twice.

    Source:
        Deng, Xu, Kohavi and Walker (2013), doi 10.1145/2433396.2433413.
    """
    spread = float(np.var(expected))
    slope = float(np.mean((expected - expected.mean()) * outcome)) / spread if spread > 0 else 0.0
    adjusted = outcome - slope * (expected - expected.mean())
    contacted, held_out = adjusted[~is_held_out], adjusted[is_held_out]
    error = np.sqrt(contacted.var(ddof=1) / len(contacted) + held_out.var(ddof=1) / len(held_out))
    return Difference(float(contacted.mean() - held_out.mean()), float(error))


def compared(
    orders: np.ndarray,
    orders_expected: np.ndarray,
    spend_amount: np.ndarray,
    spend_expected: np.ndarray,
    is_held_out: np.ndarray,
) -> dict[str, Any]:
    """Counts, order rates, differences with 95 % intervals, and the verdict.

    Args:
        orders: Orders after the draw, shape (n,).
        orders_expected: Known before it, and in line with the chance of an order, shape (n,).
        spend_amount: Net spend after the draw, shape (n,), shop currency.
        spend_expected: Known before it, and in line with the spend, shape (n,).
        is_held_out: Shape (n,), bool.

    Returns:
        count_contacted and count_held_out; if both are at least LEAST_A_GROUP, also
        order_rate_contacted, order_rate_held_out, order_rate_difference and spend_difference_amount
        (with _lower and _upper), order_rate_error (standard error) and verdict.
    """
    count_held_out = int(is_held_out.sum())
    count_contacted = len(is_held_out) - count_held_out
    row: dict[str, Any] = {
        "count_contacted": count_contacted,
        "count_held_out": count_held_out,
    }
    if min(count_contacted, count_held_out) < LEAST_A_GROUP:
        return row
    has_ordered = (orders > 0).astype(float)
    rate = difference(has_ordered, orders_expected.astype(float), is_held_out)
    spend = difference(without_largest(spend_amount), without_largest(spend_expected), is_held_out)
    return row | {
        "order_rate_contacted": has_ordered[~is_held_out].mean(),
        "order_rate_held_out": has_ordered[is_held_out].mean(),
        "order_rate_difference": rate.value,
        "order_rate_error": rate.error,
        "order_rate_difference_lower": rate.lower,
        "order_rate_difference_upper": rate.upper,
        "spend_difference_amount": spend.value,
        "spend_difference_amount_lower": spend.lower,
        "spend_difference_amount_upper": spend.upper,
        "verdict": verdict(rate),
    }


def without_largest(amount: np.ndarray) -> np.ndarray:
    """The amounts, those above the 99 % quantile cut down to it; same shape."""
    values = amount.astype(float)
    return np.minimum(values, np.quantile(values, LARGEST_SHARE))


def verdict(orders: Difference) -> str:
    """HELPS, HARMS or CANNOT_TELL, by an interval that holds on all dates at once."""
    lower, upper = orders.at_every_look(USUAL_DIFFERENCE)
    if lower > 0:
        return HELPS
    return HARMS if upper < 0 else CANNOT_TELL
