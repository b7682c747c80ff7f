"""Blend of the candidates: weights per product from the backtest, and calibrated bands."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls

from ml_tasks.demand import arima
from ml_tasks.demand.model import CANDIDATES, OWN_SEASON, SEASONAL_NAIVE, Forecasts
from ml_tasks.demand.panel import SEASON_WEEKS, STEPS

# A product tested for this many weeks gets equal parts of its own losses and of its class.
PRIOR_WEEKS = 16
# Weights fall with this power of the loss: 0 gives equal weights, infinity the best one alone.
POWER = 3.0
SMALL_LOSS = 0.05
# Shrinks the team's weights to equal ones: ridge as a share of the candidates' mean squared error
# when tested on one horizon, divided by n when tested on n horizons.
RIDGE = 0.6
SUM_WEIGHT = 1e3
# Scaled errors are clipped to this, so that single orders do not decide the weights.
MAX_ERROR = 5.0
# Candidates that use the product's own last year.
OF_OWN_YEAR = (SEASONAL_NAIVE, OWN_SEASON)
# Weights are learnt in weeks of another season. Where the shop's season moves by this much on the
# log scale, the weights of the other candidates fall by a factor of e.
SEASON_REACH = 0.1
RECENT_WEEKS = 8
# Edges of the product classes by size of the forecast, units a week.
SIZE_EDGES = (0.5, 2.0, 6.0, 20.0, 60.0)
COUNT_CLASSES = len(SIZE_EDGES) + 1
MIN_RESIDUALS = 200
BAND_LEVELS = (0.1, 0.9)
# No .9 quantile exceeds this multiple of the best week of the last year.
MOST_OF_BEST_WEEK = 4.0


@dataclass(frozen=True)
class Weights:
    """Weights of the CANDIDATES; each row sums to 1.

    Attributes:
        of_product: Shape (n_products, n_candidates).
        of_class: For products without a backtest, shape (COUNT_CLASSES, n_candidates).
    """

    of_product: np.ndarray
    of_class: np.ndarray


def team(cross: np.ndarray, count_horizons: float = 1.0) -> np.ndarray:
    """The shop's weights of the candidates by how their errors cancel out, shape (n_candidates,).

    Candidates with similar errors share the weight of about one. The weights solve least squares,
    are at least 0, sum to 1, and are shrunk to equal weights.

    Args:
        cross: Sums of products of the candidates' errors, shape (n_candidates, n_candidates).
        count_horizons: Number of consecutive horizons of the backtest.

    Source:
        Bates and Granger (1969), doi 10.2307/3008764; Diebold and Pauly (1990),
        doi 10.1016/0169-2070(90)90028-A (shrinkage to equal weights).
    """
    count = len(cross)
    ridge = RIDGE / count_horizons * float(np.trace(cross)) / count
    if ridge <= 0:
        return np.full(count, 1 / count)
    root = np.linalg.cholesky(cross + ridge * np.eye(count)).T
    pull = np.linalg.solve(root.T, np.full(count, ridge / count))
    heavy = SUM_WEIGHT * np.sqrt(ridge)
    solution, _ = nnls(np.vstack([root, np.full(count, heavy)]), np.append(pull, heavy))
    return solution / solution.sum()


def weights(
    loss: np.ndarray,
    count_weeks: np.ndarray,
    size: np.ndarray,
    of_team: np.ndarray | None = None,
) -> Weights:
    """Weights of the candidates by their losses in the backtest.

    A few weeks of one product are mostly noise. So a product's losses, as shares of their mean, are
    shrunk to those of its size class, the less the more weeks were tested.

    Args:
        loss: Mean scaled error of each candidate, shape (n_products, n_candidates).
        count_weeks: Number of weeks behind each mean, shape (n_products,); 0 without a backtest.
        size: Class of the forecasts' size, see `size_class`, shape (n_products,).
        of_team: As of `team`; None: equal weights.
    """
    of_class = np.empty((COUNT_CLASSES, loss.shape[1]))
    shop = _share_of_mean((loss * count_weeks[:, None]).sum(axis=0) / max(count_weeks.sum(), 1))
    for number in range(COUNT_CLASSES):
        tested = count_weeks * (size == number)
        enough = tested.sum() >= MIN_RESIDUALS
        total = (loss * tested[:, None]).sum(axis=0) / max(tested.sum(), 1)
        of_class[number] = _share_of_mean(total) if enough else shop
    trust = (count_weeks / (count_weeks + PRIOR_WEEKS))[:, None]
    pulled = of_class[size] + trust * (_share_of_mean(loss) - of_class[size])
    shares = np.ones(loss.shape[1]) if of_team is None else of_team
    return Weights(_falling(pulled, shares), _falling(of_class, shares))


def _share_of_mean(loss: np.ndarray) -> np.ndarray:
    return (loss + SMALL_LOSS) / (loss.mean(axis=-1, keepdims=True) + SMALL_LOSS)


def _falling(loss: np.ndarray, shares: np.ndarray) -> np.ndarray:
    raw = shares * loss**-POWER  # docs/decisions/demand.md: other powers were tried
    return raw / raw.sum(axis=-1, keepdims=True)


def blended(forecasts: Forecasts, of_product: np.ndarray, fade: np.ndarray) -> np.ndarray:
    """Weighted mean of the candidates' quantiles, shape (n_products, STEPS, 3).

    Args:
        forecasts: Forecasts of CANDIDATES; an absent candidate must have the weight 0.
        of_product: Weights of CANDIDATES, shape (n_products, n_candidates).
        fade: As of `fade`.
    """
    has_year = np.array([name in OF_OWN_YEAR for name in CANDIDATES])
    share = of_product[:, None, :] * np.where(has_year, 1.0, fade[:, None])
    total = share.sum(axis=-1, keepdims=True)
    # where only candidates that fade have a weight, their weights stay as they are
    share = np.where(total > 0, share / np.where(total > 0, total, 1.0), of_product[:, None, :])
    return np.add.reduce(
        [
            share[..., place, None] * forecasts[name]
            for place, name in enumerate(CANDIDATES)
            if name in forecasts
        ]
    )


def fade(season: np.ndarray) -> np.ndarray:
    """Factor on the weights of candidates that do not use a product's own year, shape (STEPS,).

    Recent weeks do not show which candidate predicts a peak: a flat mean would have a large weight
    from the calm weeks before it. So these weights fade as the season moves away from the recent
    one.

    Args:
        season: Log of the season's factor, shape (n_weeks + STEPS,).

    Returns:
        In (0, 1]; 1 where the shop's season is as in recent weeks.
    """
    n_weeks = len(season) - STEPS
    recent = season[max(n_weeks - RECENT_WEEKS, 0) : n_weeks].mean()
    return np.exp(-np.abs(season[n_weeks:] - recent) / SEASON_REACH)


def bands(forecasts: np.ndarray, actual: np.ndarray) -> np.ndarray:
    """Shifts of a method's outer quantiles that give them their nominal coverage.

    Args:
        forecasts: Past quantiles of log(1 + units), shape (n, STEPS, 3).
        actual: Actual log(1 + units), shape (n, STEPS); NaN where not known.

    Returns:
        Shifts to add to the .1 and .9 quantile, by class of forecast size, (COUNT_CLASSES, 2).

    Source:
        Romano, Patterson and Candes (2019), conformalized quantile regression, with the errors of
        past weeks in place of exchangeable ones.
    """
    known = ~np.isnan(actual)
    size = size_class(forecasts[..., 1][known])
    misses = [actual[known] - forecasts[..., edge][known] for edge in (0, 2)]
    shifts = np.empty((COUNT_CLASSES, 2))
    for number in range(COUNT_CLASSES):
        members = size == number
        if members.sum() < MIN_RESIDUALS:
            members = np.ones(len(size), dtype=bool)
        for edge, (miss, level) in enumerate(zip(misses, BAND_LEVELS, strict=True)):
            shifts[number, edge] = np.quantile(miss[members], level)
    return shifts


def size_class(log_median: np.ndarray) -> np.ndarray:
    """Number of the class of forecast size, shape as `log_median` (log(1 + units))."""
    return np.searchsorted(np.log1p(SIZE_EDGES), log_median)


def units_of(forecasts: np.ndarray, shifts: np.ndarray, units: np.ndarray) -> np.ndarray:
    """Units a week from quantiles on the log scale, with shifted and bounded bands.

    Medians are at most about twice the best week of the last year, .9 quantiles at most
    MOST_OF_BEST_WEEK times that week.

    Args:
        forecasts: Quantiles of log(1 + units), shape (n_products, STEPS, 3).
        shifts: As of `bands`.
        units: Sales so far, shape (n_products, n_weeks).

    Returns:
        Shape (n_products, STEPS, 3), at least 0, ascending in the last axis. Values below half of
        the least units sold in a week (`least_sold`) are 0.
    """
    best_week = np.nanmax(units[:, -SEASON_WEEKS:], axis=1)[:, None]
    ceiling = np.log1p(best_week) + arima.HEADROOM
    median = np.clip(forecasts[..., 1], 0.0, ceiling)
    shift = shifts[size_class(forecasts[..., 1])]
    low = np.clip(forecasts[..., 0] + shift[..., 0], 0.0, median)
    high = np.maximum(forecasts[..., 2] + shift[..., 1], median)
    result = np.expm1(np.stack([low, median, np.minimum(high, ceiling + arima.HEADROOM)], axis=-1))
    most = np.maximum(MOST_OF_BEST_WEEK * best_week, result[..., 1])
    result[..., 2] = np.minimum(result[..., 2], most)
    return np.where(result < least_sold(units)[:, None, None] / 2, 0.0, result)


def least_sold(units: np.ndarray) -> np.ndarray:
    """Least units that each product sold in a week with a sale, at most 1, shape (n_products,)."""
    return np.where(units > 0, units, 1.0).min(axis=1).clip(max=1.0)
