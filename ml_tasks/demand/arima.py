"""ARIMA(0,1,1) on log(1 + units), one per product, estimated by statsmodels.

Two years of weeks say little about one product's coefficient, so each is pulled half way to the
shop's median (on Online Retail II this lowers the error, fitted freely or pooled wholly raises
it). Two numbers are kept of a fit; forecasts follow from them by the recursion below, for all
products at once. A fit that fails, and a product that is not fitted, takes the median.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np

from ml_tasks.demand.panel import SEASON_WEEKS, STEPS

MIN_WEEKS = 26
MIN_WEEKS_SOLD = 6
# One fit takes some 10 ms. More products than these do not move the shop's median.
MAX_FITTED = 1_000
MAX_ITERATIONS = 25
SHRINKAGE = 0.5
MAX_ABS_THETA = 0.98
Z_P90 = 1.2815515655446004
# A forecast may be at most about twice the best week of the last year.
HEADROOM = np.log(2.0)
# Where nothing can be estimated: exponential smoothing with weight .25, and a wide band.
DEFAULT_THETA, DEFAULT_SIGMA = -0.75, 0.8


@dataclass(frozen=True)
class ArimaParameters:
    """Parameters of all products, shape (n_products,) each.

    Attributes:
        theta: Moving-average coefficient, in (-1, 1); 1 + theta is the weight of the newest week.
        sigma: Standard deviation of a one-week surprise on the log scale.
        is_own: False where the shop's median stands in for a product's own estimate.
    """

    theta: np.ndarray
    sigma: np.ndarray
    is_own: np.ndarray


def fit(units: np.ndarray, weight: np.ndarray) -> ArimaParameters:
    """Estimate by maximum likelihood, the heaviest products first.

    Args:
        units: Shape (n_products, n_weeks); NaN before a product's first sale.
        weight: Shape (n_products,), takings for one; says whom to fit where there are too many.
    """
    known = ~np.isnan(units)
    is_long = (known.sum(axis=1) >= MIN_WEEKS) & ((units > 0).sum(axis=1) >= MIN_WEEKS_SOLD)
    heaviest_first = np.argsort(-weight, kind="stable")
    theta = np.full(len(units), np.nan)
    for row in heaviest_first[is_long[heaviest_first]][:MAX_FITTED]:
        theta[row] = _fit_one(np.log1p(units[row, known[row]]))
    is_own = np.isfinite(theta)
    pooled = float(np.median(theta[is_own])) if is_own.any() else DEFAULT_THETA
    theta = pooled + (1 - SHRINKAGE) * (np.where(is_own, theta, pooled) - pooled)
    return ArimaParameters(theta, _sigma(units, theta), is_own)


def _fit_one(logs: np.ndarray) -> float:
    """The coefficient of one series; NaN where the likelihood has no usable maximum."""
    from statsmodels.tsa.statespace.sarimax import SARIMAX

    model = SARIMAX(logs, order=(0, 1, 1), simple_differencing=True, concentrate_scale=True)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of slow ends: the check is below
            (theta,) = model.fit(
                start_params=[-0.7], maxiter=MAX_ITERATIONS, disp=0, return_params=True
            )
    except np.linalg.LinAlgError:
        return np.nan
    return float(theta) if abs(theta) < MAX_ABS_THETA else np.nan


def _sigma(units: np.ndarray, theta: np.ndarray) -> np.ndarray:
    """Root mean squared one-week surprise of each product; the median where there is none."""
    changes = np.diff(np.log1p(units), axis=1, prepend=np.nan)
    count = (~np.isnan(changes)).sum(axis=1)
    squares = (_surprises(changes, theta) ** 2).sum(axis=1)
    own = np.sqrt(squares / np.maximum(count, 1))
    enough = count >= MIN_WEEKS
    pooled = np.median(own[enough]) if enough.any() else DEFAULT_SIGMA
    return np.where(enough, own, pooled)


def forecast(units: np.ndarray, parameters: ArimaParameters) -> np.ndarray:
    """Quantiles .1, .5, .9 of log(1 + units) in the weeks to come, shape (n_products, STEPS, 3).

    Args:
        units: Shape (n_products, n_weeks), at least one week; NaN before a product's first sale.
        parameters: Of the same products.
    """
    logs = np.log1p(units)
    changes = np.diff(logs, axis=1, prepend=np.nan)
    surprise = _surprises(changes, parameters.theta)[:, -1]
    ceiling = np.nanmax(logs[:, -SEASON_WEEKS:], axis=1) + HEADROOM
    level = np.clip(logs[:, -1] + parameters.theta * surprise, 0.0, ceiling)
    # variance k weeks ahead is sigma^2 (1 + (k - 1) (1 + theta)^2)
    growth = 1 + np.arange(STEPS) * (1 + parameters.theta[:, None]) ** 2
    spread = Z_P90 * parameters.sigma[:, None] * np.sqrt(growth)
    median = np.repeat(level[:, None], STEPS, axis=1)
    return np.stack([median - spread, median, median + spread], axis=-1)


def _surprises(changes: np.ndarray, theta: np.ndarray) -> np.ndarray:
    """One-week errors of an MA(1), started at 0, shape as `changes`; 0 where that is NaN."""
    errors = np.zeros_like(changes)
    previous = np.zeros(len(changes))
    for week in range(changes.shape[1]):
        previous = np.where(
            np.isnan(changes[:, week]), 0.0, np.nan_to_num(changes[:, week]) - theta * previous
        )
        errors[:, week] = previous
    return errors
