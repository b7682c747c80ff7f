"""The amount above which an order is certainly a mistake, for any shop and currency."""

from __future__ import annotations

import math

# Robust standard deviations of the log of order amounts, above their median. Among a wholesaler's
# 39,516 orders the largest (168,469.60, a true order that was cancelled later) is at 7.3.
MAX_SIGMAS = 8.0
# Shops with a single price have no spread: no order below this multiple of the median is a mistake.
MIN_FACTOR = 1_000.0
# Standard deviation of a normal distribution over the median of |x - median|.
SIGMA_PER_DEVIATION = 1.4826


def largest_believable(median: float, log_deviation: float) -> float:
    """The largest order amount that may be true, in the unit of `median`.

    Args:
        median: Median of the order amounts above 0.
        log_deviation: Median of |log(amount / median)|, which a few mistakes hardly change.
    """
    spread = math.exp(MAX_SIGMAS * SIGMA_PER_DEVIATION * log_deviation)
    return median * max(spread, MIN_FACTOR)
