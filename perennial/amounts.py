"""From which amount on an order is beyond any doubt a mistake, of any shop, in any currency."""

from __future__ import annotations

import math

# Robust standard deviations of the log of order amounts, above their median. Among 39,516 orders of
# a wholesaler the largest, 168,469.60, a true one that was cancelled, is 7.3 above.
MAX_SIGMAS = 8.0
# Shops of one price have no spread: no order below so many usual ones is beyond doubt.
MIN_FACTOR = 1_000.0
# The median of |x - median| of a normal distribution is 1 / this of its standard deviation.
SIGMA_PER_DEVIATION = 1.4826


def largest_believable(median: float, log_deviation: float) -> float:
    """The largest order amount that may be true, in the unit of `median`.

    Args:
        median: Of order amounts above 0.
        log_deviation: Median of |log(amount / median)|: no mistake, however large, moves it much.
    """
    spread = math.exp(MAX_SIGMAS * SIGMA_PER_DEVIATION * log_deviation)
    return median * max(spread, MIN_FACTOR)
