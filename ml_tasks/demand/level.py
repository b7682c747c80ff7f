"""Correction of the blend's level by the errors of its totals at past origins.

Totals are wrong by chance and by the season: a few horizons that disagree are no evidence on the
next one. So only the part of the mean error beyond its own sampling error is corrected.

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

# Least standard error of an eight-week total, log scale, however well the origins agree.
LEAST_ERROR = 0.1
MAX_FACTOR = 3.0


def factor(tested: Backtest, forecasts: Mapping[int, Forecasts], shifts: np.ndarray) -> float:
    """Factor to multiply the blend's expected units by, in [1 / MAX_FACTOR, MAX_FACTOR].

    Args:
        tested: The backtest.
        forecasts: Number of an origin to learn from -> its forecasts, the blend among them.
        shifts: Shifts of the blend's bands, see `blend.bands`.
    """
    misses = [_log_miss(tested, number, of[BLEND], shifts) for number, of in forecasts.items()]
    return corrected(np.array([miss for miss in misses if np.isfinite(miss)]))


def corrected(misses: np.ndarray) -> float:
    """The factor from past errors; 1 if there are none.

    Args:
        misses: Log of the actual over the expected total at each origin, shape (n_origins,).
    """
    if not len(misses):
        return 1.0
    mean = float(misses.mean())
    spread = float(misses.std(ddof=1)) if len(misses) > 1 else 0.0
    error = max(spread / np.sqrt(count_horizons(len(misses))), LEAST_ERROR)
    trust = max(1 - error**2 / mean**2, 0.0) if mean else 0.0
    return float(np.clip(np.exp(trust * mean), 1 / MAX_FACTOR, MAX_FACTOR))


def _log_miss(tested: Backtest, number: int, quantiles: np.ndarray, shifts: np.ndarray) -> float:
    """Log of the actual over the expected total; NaN where either is 0."""
    origin, season = tested.origins[number], tested.seasons[number]
    past = tested.panel.until(origin)
    rows = np.searchsorted(tested.panel.product_ids, past.product_ids)
    awake = past.sold_within(AWAKE_WEEKS)
    if not awake.any():
        return float("nan")
    units = blend.units_of(quantiles[rows], shifts, past.units)[awake]
    expected = reconcile.means(units, past.only(awake), season, launches_of(past.units))
    actual = np.nansum(tested.panel.units[rows[awake], origin : origin + HORIZON_WEEKS])
    total = expected[:, :HORIZON_WEEKS].sum()
    return float(np.log(actual / total)) if actual > 0 and total > 0 else float("nan")
