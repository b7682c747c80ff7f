"""By how much the blend's totals were off at past origins, and what is corrected of that.

Totals are off by chance, and by the season's: a few horizons that disagree say nothing of the next.
So only what is beyond the chance of their mean is corrected.

Source:
    James and Stein (1961), Proceedings of the Fourth Berkeley Symposium 1, 361-379, with the
    positive part: the mean times 1 less its variance over its square, at least 0.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ml_tasks.demand import blend, reconcile
from ml_tasks.demand.backtest import BLEND, Backtest, count_horizons
from ml_tasks.demand.launches import launches_of
from ml_tasks.demand.model import Forecasts
from ml_tasks.demand.panel import AWAKE_WEEKS, HORIZON_WEEKS

# A total of eight weeks may be off by so much, log scale, however well the origins agree.
LEAST_ERROR = 0.1
MAX_FACTOR = 3.0


def factor(tested: Backtest, forecasts: Mapping[int, Forecasts], shifts: np.ndarray) -> float:
    """What expected units are to be multiplied by.

    Args:
        tested: The backtest.
        forecasts: Number of an origin to learn from -> its forecasts, the blend among them.
        shifts: Of the blend's bands, see `blend.bands`.
    """
    misses = [
        _log_miss(tested, number, found[BLEND], shifts) for number, found in forecasts.items()
    ]
    return corrected(np.array([miss for miss in misses if np.isfinite(miss)]))


def corrected(misses: np.ndarray) -> float:
    """The factor by logs of what came over what was expected, shape (n_origins,); 1 of none."""
    if not len(misses):
        return 1.0
    mean = float(misses.mean())
    spread = float(misses.std(ddof=1)) if len(misses) > 1 else 0.0
    error = max(spread / np.sqrt(count_horizons(len(misses))), LEAST_ERROR)
    trust = max(1 - error**2 / mean**2, 0.0) if mean else 0.0
    return float(np.clip(np.exp(trust * mean), 1 / MAX_FACTOR, MAX_FACTOR))


def _log_miss(tested: Backtest, number: int, quantiles: np.ndarray, shifts: np.ndarray) -> float:
    """Log of the total that came over the expected one; NaN where there was none."""
    origin, season = tested.origins[number], tested.seasons[number]
    past = tested.panel.until(origin)
    rows = np.searchsorted(tested.panel.product_ids, past.product_ids)
    awake = past.sold_within(AWAKE_WEEKS)
    if not awake.any():
        return float("nan")
    units = blend.units_of(quantiles[rows], shifts, past.units)[awake]
    expected = reconcile.means(units, past.only(awake), season, launches_of(past.units))
    came = np.nansum(tested.panel.units[rows[awake], origin : origin + HORIZON_WEEKS])
    total = expected[:, :HORIZON_WEEKS].sum()
    return float(np.log(came / total)) if came > 0 and total > 0 else float("nan")
