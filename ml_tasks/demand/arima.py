"""ARIMA on log(1 + units) freed from the shop's season, one per product, by statsmodels.

The order is chosen per product by AICc among those of ORDERS. Two years of weeks say little about
one product's coefficients, so each is pulled half way to the shop's median (on Online Retail II
this lowers the error, fitted freely or pooled wholly raises it). Four numbers are kept of a fit;
forecasts follow from them by the recursion below, for all products at once. A fit that fails or
diverges is counted and takes the medians, as a product that is not fitted does.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

from ml_tasks.demand.panel import SEASON_WEEKS, STEPS

# p, d, q with d = 1 throughout: likelihoods of other d are not of the same data.
ORDERS = ((0, 1, 1), (0, 1, 2), (1, 1, 1))
COEFFICIENTS = 3  # phi, theta_1, theta_2
MIN_WEEKS = 26
MIN_WEEKS_SOLD = 6
# The fits of one product take some 40 ms. More products than these do not move the medians.
MAX_FITTED = 200
MAX_ITERATIONS = 25
SHRINKAGE = 0.5
MAX_ROOT = 0.98
Z_P90 = 1.2815515655446004
# A forecast may be at most about twice the best week of the last year.
HEADROOM = np.log(2.0)
# Where nothing can be estimated: exponential smoothing with weight .25, and a wide band.
DEFAULT_COEFFICIENTS, DEFAULT_SIGMA = (0.0, -0.75, 0.0), 0.8
# A week this far below the usual says nothing of a product: the shop was closed.
CLOSED = np.log(0.3)


@dataclass(frozen=True)
class ArimaParameters:
    """Parameters of all products.

    Attributes:
        coefficients: phi, theta_1, theta_2 of each, shape (n_products, 3).
        sigma: Standard deviation of a one-week surprise on the log scale, shape (n_products,).
        is_own: False where the shop's medians stand in for a product's own estimates.
        count_diverged: Fits without a usable maximum; the medians stand in for them.
    """

    coefficients: np.ndarray
    sigma: np.ndarray
    is_own: np.ndarray
    count_diverged: int = 0


def fit(units: np.ndarray, season: np.ndarray, weight: np.ndarray) -> ArimaParameters:
    """Estimate by maximum likelihood, the heaviest products first.

    Args:
        units: Shape (n_products, n_weeks); NaN before a product's first sale.
        season: Log of the season's factor, of n_weeks or more weeks.
        weight: Shape (n_products,), takings for one; says whom to fit where there are too many.
    """
    logs = _usual_logs(units, season)
    known = ~np.isnan(logs)
    is_long = (known.sum(axis=1) >= MIN_WEEKS) & ((units > 0).sum(axis=1) >= MIN_WEEKS_SOLD)
    heaviest_first = np.argsort(-weight, kind="stable")
    fitted = heaviest_first[is_long[heaviest_first]][:MAX_FITTED]
    own = np.full((len(units), COEFFICIENTS), np.nan)
    import statsmodels.tsa.statespace.sarimax  # noqa: F401, so that its BLAS is there to be limited

    # of matrices of 2 by 2: waiting threads took nineteen times the work's CPU on a busy machine
    with threadpool_limits(limits=1):
        for row in fitted:
            own[row] = _fit_one(logs[row, known[row]])
    is_own = np.isfinite(own).all(axis=1)
    pooled = np.median(own[is_own], axis=0) if is_own.any() else np.array(DEFAULT_COEFFICIENTS)
    coefficients = pooled + (1 - SHRINKAGE) * (np.where(is_own[:, None], own, pooled) - pooled)
    sigma = _sigma(logs, coefficients)
    return ArimaParameters(coefficients, sigma, is_own, int(len(fitted) - is_own.sum()))


def defaults(count: int) -> ArimaParameters:
    """What stands in where nothing can be estimated, of so many products."""
    return ArimaParameters(
        coefficients=np.tile(DEFAULT_COEFFICIENTS, (count, 1)),
        sigma=np.full(count, DEFAULT_SIGMA),
        is_own=np.zeros(count, dtype=bool),
    )


def forecast(units: np.ndarray, season: np.ndarray, parameters: ArimaParameters) -> np.ndarray:
    """Quantiles .1, .5, .9 of log(1 + units) in the weeks to come, shape (n_products, STEPS, 3).

    Args:
        units: Shape (n_products, n_weeks), at least one week; NaN before a product's first sale.
        season: Log of the season's factor, shape (n_weeks + STEPS,).
        parameters: Of the same products.
    """
    n_weeks = units.shape[1]
    logs = _usual_logs(units, season)
    phi, theta_1, theta_2 = parameters.coefficients.T
    change, surprise = _filtered(logs, parameters.coefficients)
    step = phi * change[:, -1] + theta_1 * surprise[:, -1] + theta_2 * surprise[:, -2]
    weight = phi + theta_1  # of a surprise in the change of the next week
    level, reach = logs[:, -1], np.ones(len(logs))
    variance = np.zeros(len(logs))
    median, spread = np.empty((len(logs), STEPS)), np.empty((len(logs), STEPS))
    for ahead in range(STEPS):
        level, variance = level + step, variance + reach**2
        median[:, ahead], spread[:, ahead] = level, Z_P90 * parameters.sigma * np.sqrt(variance)
        step = phi * step + (theta_2 * surprise[:, -1] if ahead == 0 else 0.0)
        reach = reach + weight
        weight = phi * weight + (theta_2 if ahead == 0 else 0.0)
    ceiling = np.nanmax(logs[:, -SEASON_WEEKS:], axis=1, keepdims=True) + HEADROOM
    median = np.clip(median, 0.0, ceiling)
    # exp of a diverged fit would overflow; nothing sells e^20 units a week
    usual = np.stack([median - spread, median, median + spread], axis=-1).clip(-20.0, 20.0)
    coming = np.exp(season[n_weeks:])[None, :, None]
    return np.where(usual > 0, np.log1p(np.expm1(np.maximum(usual, 0.0)) * coming), usual)


def _usual_logs(units: np.ndarray, season: np.ndarray) -> np.ndarray:
    """log(1 + units) in a usual week, shape as `units`; a closed week repeats the one before."""
    past = season[: units.shape[1]]
    logs = np.log1p(units / np.exp(past))
    is_closed = np.isnan(units) | (past < CLOSED)
    for week in np.flatnonzero(is_closed.any(axis=0)[1:]) + 1:
        repeats = is_closed[:, week] & ~np.isnan(logs[:, week - 1])
        logs[:, week] = np.where(repeats, logs[:, week - 1], logs[:, week])
    return logs


def _fit_one(logs: np.ndarray) -> np.ndarray:
    """Coefficients of the order with the least AICc; NaN where no order has a usable maximum."""
    fits = [fit for order in ORDERS if (fit := _fit_order(logs, order)) is not None]
    if not fits:
        return np.full(COEFFICIENTS, np.nan)
    return min(fits, key=lambda fit: fit[0])[1]


def _fit_order(logs: np.ndarray, order: tuple[int, int, int]) -> tuple[float, np.ndarray] | None:
    """AICc and coefficients; None if the likelihood has no usable maximum."""
    from statsmodels.tsa.statespace.sarimax import SARIMAX

    p, _, q = order
    start = [0.1] * p + [-0.7] + [0.0] * (q - 1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of slow ends: the check is below
            model = SARIMAX(logs, order=order, simple_differencing=True, concentrate_scale=True)
            found = model.fit(
                start_params=start, maxiter=MAX_ITERATIONS, disp=0, return_params=True
            )
            likelihood = float(model.loglike(found))
    except (np.linalg.LinAlgError, ValueError):
        return None
    if not np.isfinite(likelihood) or not np.isfinite(found).all():
        return None
    phi, theta = (found[0] if p else 0.0), found[p:]
    roots = np.abs(np.roots([1.0, *theta]))
    if abs(phi) > MAX_ROOT or roots.max() > MAX_ROOT:
        return None
    count, size = len(logs) - 1, p + q + 1
    aicc = 2 * size - 2 * likelihood + 2 * size * (size + 1) / (count - size - 1)
    return aicc, np.array([phi, theta[0], theta[1] if q > 1 else 0.0])


def _sigma(logs: np.ndarray, coefficients: np.ndarray) -> np.ndarray:
    """Root mean squared one-week surprise of each product; the median where there is none."""
    _, surprise = _filtered(logs, coefficients)
    count = np.maximum((~np.isnan(logs)).sum(axis=1) - 1, 0)
    own = np.sqrt((surprise**2).sum(axis=1) / np.maximum(count, 1))
    enough = count >= MIN_WEEKS
    pooled = np.median(own[enough]) if enough.any() else DEFAULT_SIGMA
    return np.where(enough, own, pooled)


def _filtered(logs: np.ndarray, coefficients: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Changes and one-week surprises of an ARMA(1,2) on them, two weeks of 0 put before.

    Returns:
        Shape (n_products, n_weeks + 2) each; 0 before a product has a change.
    """
    phi, theta_1, theta_2 = coefficients.T
    change = np.zeros((len(logs), logs.shape[1] + 2))
    surprise = np.zeros_like(change)
    change[:, 3:] = np.nan_to_num(np.diff(logs, axis=1))
    is_live = ~np.isnan(logs)
    for week in range(3, change.shape[1]):
        expected = (
            phi * change[:, week - 1]
            + theta_1 * surprise[:, week - 1]
            + theta_2 * surprise[:, week - 2]
        )
        surprise[:, week] = np.where(is_live[:, week - 3], change[:, week] - expected, 0.0)
    return change, surprise
