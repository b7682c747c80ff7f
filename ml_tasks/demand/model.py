"""The forecasters together: fit them, let them forecast, choose per product, set the bands right.

Forecasts are quantiles .1, .5, .9 of log(1 + units), arrays of shape (n_products, STEPS, 3); step 0
is the week after the panel's last.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ml_tasks.demand import arima, lstm
from ml_tasks.demand.panel import SEASON_WEEKS, STEPS, Panel

SEASONAL_NAIVE, ARIMA, LSTM = "seasonal_naive", "arima", "lstm"
MEAN_WEEKS = 8

# A product's own backtest counts as much as this many weeks' worth of its class'.
PRIOR_WEEKS = 96
SMALL_LOSS = 0.05
# Bands are corrected within classes of forecast size, units a week.
SIZE_EDGES = (0.5, 2.0, 6.0, 20.0, 60.0)
MIN_RESIDUALS = 200
BAND_LEVELS = (0.1, 0.9)

Forecasts = dict[str, np.ndarray]


@dataclass(frozen=True)
class Fitted:
    """What was learnt from one panel; the arrays are of that panel's products."""

    product_ids: np.ndarray
    arima: arima.ArimaParameters
    lstm_weights: bytes


def fit(panel: Panel, seed: int) -> Fitted:
    """Fit every candidate to all weeks of the panel."""
    recent_amount = panel.amount[:, -26:].sum(axis=1)
    return Fitted(panel.product_ids, arima.fit(panel.units, recent_amount), lstm.fit(panel, seed))


def forecast(fitted: Fitted, panel: Panel) -> Forecasts:
    """What each candidate and the baseline say of the weeks after a panel.

    Args:
        fitted: From the same or an earlier panel; a product it does not know takes the medians.
        panel: At least one week.
    """
    parameters = _aligned(fitted, panel.product_ids)
    return {
        SEASONAL_NAIVE: seasonal_naive(panel.units),
        ARIMA: arima.forecast(panel.units, parameters),
        LSTM: lstm.forecast(panel, fitted.lstm_weights),
    }


def seasonal_naive(units: np.ndarray) -> np.ndarray:
    """The same week of last year; the mean of the last weeks where there is none.

    It has no spread of its own: the bands come from its errors in the backtest.
    """
    steps = np.arange(STEPS)
    n_weeks = units.shape[1]
    year_ago = n_weeks + steps - SEASON_WEEKS
    last_year = np.where(year_ago >= 0, units[:, np.maximum(year_ago, 0)], np.nan)
    recent = np.nanmean(units[:, -MEAN_WEEKS:], axis=1, keepdims=True)
    median = np.log1p(np.where(np.isnan(last_year), recent, last_year))
    return np.repeat(median[:, :, None], 3, axis=2)


def choose(loss: dict[str, np.ndarray], count_weeks: np.ndarray, size: np.ndarray) -> np.ndarray:
    """The better candidate of each product by its backtest, shape (n_products,) of names.

    A few weeks of one product are mostly noise. So the difference of its losses, as a share of
    them, is pulled towards that of all products of its size, the less the longer it was tested.

    Args:
        loss: Candidate -> mean absolute error of each product, log scale, shape (n_products,).
        count_weeks: Weeks that it is the mean of, shape (n_products,); 0 if never tested.
        size: Class of the forecasts' size, see `size_class`, shape (n_products,).
    """
    lead = (loss[LSTM] - loss[ARIMA]) / ((loss[LSTM] + loss[ARIMA]) / 2 + SMALL_LOSS)
    expected = np.zeros(len(lead))
    for number in np.unique(size):
        members = size == number
        total = {name: (value * count_weeks)[members].sum() for name, value in loss.items()}
        mean = (total[LSTM] + total[ARIMA]) / 2
        expected[members] = (total[LSTM] - total[ARIMA]) / mean if mean else 0.0
    share = count_weeks / (count_weeks + PRIOR_WEEKS)
    pulled = expected + share * (lead - expected)
    return np.where(pulled < 0, LSTM, ARIMA).astype(object)


def bands(forecasts: np.ndarray, actual: np.ndarray) -> np.ndarray:
    """How far the outer quantiles of one method have to move to hold what they promise.

    Args:
        forecasts: Past ones, shape (n, STEPS, 3).
        actual: log(1 + units) that came, shape (n, STEPS); NaN where not known.

    Returns:
        What to add to the .1 and .9 quantile, shape (n_classes, 2), by class of forecast size.

    Source:
        Romano, Patterson and Candes (2019), conformalized quantile regression; errors of past
        weeks stand in for those to come.
    """
    known = ~np.isnan(actual)
    size = size_class(forecasts[..., 1][known])
    misses = [actual[known] - forecasts[..., edge][known] for edge in (0, 2)]
    shifts = np.empty((len(SIZE_EDGES) + 1, 2))
    for number in range(len(shifts)):
        members = size == number
        if members.sum() < MIN_RESIDUALS:
            members = np.ones(len(size), dtype=bool)
        for edge, (miss, level) in enumerate(zip(misses, BAND_LEVELS, strict=True)):
            shifts[number, edge] = np.quantile(miss[members], level)
    return shifts


def size_class(log_median: np.ndarray) -> np.ndarray:
    """Number of the class of forecast size, same shape."""
    return np.searchsorted(np.log1p(SIZE_EDGES), log_median)


def units_of(forecasts: np.ndarray, shifts: np.ndarray, units: np.ndarray) -> np.ndarray:
    """Units a week from quantiles on the log scale: bands shifted, bounded, in order.

    Args:
        forecasts: Shape (n_products, STEPS, 3).
        shifts: As of `bands`.
        units: Sales so far, shape (n_products, n_weeks): no median above about twice the best
            week of the last year, no .9 quantile above four times.

    Returns:
        Shape (n_products, STEPS, 3), at least 0, ascending in the last axis.
    """
    ceiling = np.log1p(np.nanmax(units[:, -SEASON_WEEKS:], axis=1))[:, None] + arima.HEADROOM
    median = np.clip(forecasts[..., 1], 0.0, ceiling)
    shift = shifts[size_class(forecasts[..., 1])]
    low = np.clip(forecasts[..., 0] + shift[..., 0], 0.0, median)
    high = np.clip(forecasts[..., 2] + shift[..., 1], median, ceiling + arima.HEADROOM)
    return np.expm1(np.stack([low, median, high], axis=-1))


def _aligned(fitted: Fitted, product_ids: np.ndarray) -> arima.ArimaParameters:
    """The ARIMA parameters of the given products; medians for those not fitted."""
    place = {product_id: row for row, product_id in enumerate(fitted.product_ids)}
    rows = np.array([place.get(product_id, -1) for product_id in product_ids], dtype=int)
    known = rows >= 0
    theta, sigma, is_own = fitted.arima.theta, fitted.arima.sigma, fitted.arima.is_own
    pooled = theta[~is_own][0] if (~is_own).any() else float(np.median(theta))
    return arima.ArimaParameters(
        np.where(known, theta[rows], pooled),
        np.where(known, sigma[rows], np.median(sigma)),
        known & is_own[rows],
    )
