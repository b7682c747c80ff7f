"""ARIMA per product on log(1 + units) without the shop's season, fitted by statsmodels.

AICc chooses the order of each product among ORDERS. Two years of weeks determine one product's
coefficients poorly, so each coefficient is shrunk half way to the shop's median (on Online Retail
II this lowers the error; no shrinkage or full pooling raises it). A fit is stored as four numbers,
from which the recursion below forecasts all products at once. A product without a fit, or with one
that failed or diverged, gets the medians; failed fits are counted.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

from ml_tasks.demand.panel import SEASON_WEEKS, STEPS

# p, d, q; always d = 1, because likelihoods with another d are of other data.
ORDERS = ((0, 1, 1), (0, 1, 2), (1, 1, 1))
COEFFICIENTS = 3  # phi, theta_1, theta_2
MIN_WEEKS = 26
MIN_WEEKS_SOLD = 6
# The fits of one product take about 40 ms. More products do not change the medians.
MAX_FITTED = 200
MAX_ITERATIONS = 25
SHRINKAGE = 0.5
MAX_ROOT = 0.98
Z_P90 = 1.2815515655446004
# A forecast may be at most about twice the best week of the last year.
HEADROOM = np.log(2.0)
# Where nothing can be estimated: exponential smoothing with weight .25, and a wide band.
DEFAULT_COEFFICIENTS, DEFAULT_SIGMA = (0.0, -0.75, 0.0), 0.8
# A season's factor this low means that the shop was closed: no evidence on a product.
CLOSED = np.log(0.3)


@dataclass(frozen=True)
class ArimaParameters:
    """Parameters of all products.

    Attributes:
        coefficients: phi, theta_1, theta_2 of each product, shape (n_products, 3).
        sigma: Standard deviation of the one-week error on the log scale, shape (n_products,).
        is_own: False where the shop's medians replace the product's estimates, (n_products,).
        count_diverged: Number of fits without a usable maximum, replaced by the medians.
    """

    coefficients: np.ndarray
    sigma: np.ndarray
    is_own: np.ndarray
    count_diverged: int = 0


def fit(units: np.ndarray, season: np.ndarray, weight: np.ndarray) -> ArimaParameters:
    """Estimate by maximum likelihood, the heaviest products first.

    Args:
        units: Shape (n_products, n_weeks); NaN before a product's first sale.
        season: Log of the season's factor, shape (n_weeks or more,).
        weight: For example takings, shape (n_products,): the MAX_FITTED heaviest are fitted.
    """
    logs = _usual_logs(units, season)
    known = ~np.isnan(logs)
    is_long = (known.sum(axis=1) >= MIN_WEEKS) & ((units > 0).sum(axis=1) >= MIN_WEEKS_SOLD)
    heaviest_first = np.argsort(-weight, kind="stable")
    fitted = heaviest_first[is_long[heaviest_first]][:MAX_FITTED]
    own = np.full((len(units), COEFFICIENTS), np.nan)
    import statsmodels.tsa.statespace.sarimax  # noqa: F401, so that its BLAS is there to be limited

    # 2 by 2 matrices: on a busy machine, waiting threads took 19 times the CPU of the work
    with threadpool_limits(limits=1):
        for row in fitted:
            own[row] = _fit_one(logs[row, known[row]])
    is_own = np.isfinite(own).all(axis=1)
    pooled = np.median(own[is_own], axis=0) if is_own.any() else np.array(DEFAULT_COEFFICIENTS)
    coefficients = pooled + (1 - SHRINKAGE) * (np.where(is_own[:, None], own, pooled) - pooled)
    sigma = _sigma(logs, coefficients)
    return ArimaParameters(coefficients, sigma, is_own, int(len(fitted) - is_own.sum()))


def defaults(count: int) -> ArimaParameters:
    """Default parameters for `count` products, where nothing can be estimated."""
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
        parameters: Parameters of the same products.
    """
    n_weeks = units.shape[1]
    logs = _usual_logs(units, season)
    phi, theta_1, theta_2 = parameters.coefficients.T
    change, surprise = _filtered(logs, parameters.coefficients)
    step = phi * change[:, -1] + theta_1 * surprise[:, -1] + theta_2 * surprise[:, -2]
    weight = phi + theta_1  # of this week's error in next week's change
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
    """log(1 + units) without the season, shape as `units`; a closed week repeats the last one."""
    past = season[: units.shape[1]]
    logs = np.log1p(units / np.exp(past))
    is_closed = np.isnan(units) | (past < CLOSED)
    for week in np.flatnonzero(is_closed.any(axis=0)[1:]) + 1:
        repeats = is_closed[:, week] & ~np.isnan(logs[:, week - 1])
        logs[:, week] = np.where(repeats, logs[:, week - 1], logs[:, week])
    return logs


def _fit_one(logs: np.ndarray) -> np.ndarray:
    """Coefficients of the order with the least AICc, shape (3,); NaN if no order converged."""
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
            warnings.simplefilter("ignore")  # on slow convergence: checked below
            model = SARIMAX(logs, order=order, simple_differencing=True, concentrate_scale=True)
            estimate = model.fit(
                start_params=start, maxiter=MAX_ITERATIONS, disp=0, return_params=True
            )
            likelihood = float(model.loglike(estimate))
    except (np.linalg.LinAlgError, ValueError):
        return None
    if not np.isfinite(likelihood) or not np.isfinite(estimate).all():
        return None
    phi, theta = (estimate[0] if p else 0.0), estimate[p:]
    roots = np.abs(np.roots([1.0, *theta]))
    if abs(phi) > MAX_ROOT or roots.max() > MAX_ROOT:
        return None
    count, size = len(logs) - 1, p + q + 1
    aicc = 2 * size - 2 * likelihood + 2 * size * (size + 1) / (count - size - 1)
    return aicc, np.array([phi, theta[0], theta[1] if q > 1 else 0.0])


def _sigma(logs: np.ndarray, coefficients: np.ndarray) -> np.ndarray:
    """Root mean squared one-week error, shape (n_products,); the median for short histories."""
    _, surprise = _filtered(logs, coefficients)
    count = np.maximum((~np.isnan(logs)).sum(axis=1) - 1, 0)
    own = np.sqrt((surprise**2).sum(axis=1) / np.maximum(count, 1))
    enough = count >= MIN_WEEKS
    pooled = np.median(own[enough]) if enough.any() else DEFAULT_SIGMA
    return np.where(enough, own, pooled)


def _filtered(logs: np.ndarray, coefficients: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weekly changes, and the one-week errors of an ARMA(1,2) on the changes.

    Returns:
        Shape (n_products, n_weeks + 2) each, with two weeks of 0 in front; 0 before a product's
        first change.
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
