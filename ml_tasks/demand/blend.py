"""One forecast of several: weights per product by backtest, then bands that keep their promise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls

from ml_tasks.demand import arima
from ml_tasks.demand.model import CANDIDATES, OWN_SEASON, SEASONAL_NAIVE, Forecasts
from ml_tasks.demand.panel import SEASON_WEEKS, STEPS

# A product's own backtest counts as much as this many weeks' worth of its class'.
PRIOR_WEEKS = 16
# Weights fall with this power of the loss: 0 is the plain mean, endless the best one alone.
POWER = 3.0
SMALL_LOSS = 0.05
# Pulls the team's weights to equal ones: by so much of the candidates' mean squared error where
# they were tested on one horizon, by the n-th part of it where on n.
RIDGE = 0.6
SUM_WEIGHT = 1e3
# Scaled errors beyond it count as much: single orders are not to choose the team.
MAX_ERROR = 5.0
# Candidates that have a product's own last year.
OF_OWN_YEAR = (SEASONAL_NAIVE, OWN_SEASON)
# Weights were learnt in weeks of another season: the others' fall by a factor of e where the shop's
# season moves by so much, log scale.
SEASON_REACH = 0.1
RECENT_WEEKS = 8
# Products are put into classes by the size of their forecast, units a week.
SIZE_EDGES = (0.5, 2.0, 6.0, 20.0, 60.0)
COUNT_CLASSES = len(SIZE_EDGES) + 1
MIN_RESIDUALS = 200
BAND_LEVELS = (0.1, 0.9)
# No .9 quantile is above so many times the best week of the last year.
MOST_OF_BEST_WEEK = 4.0


@dataclass(frozen=True)
class Weights:
    """Weights of the CANDIDATES; each row sums to 1.

    Attributes:
        of_product: Shape (n_products, n_candidates).
        of_class: For products that were not tested, shape (COUNT_CLASSES, n_candidates).
    """

    of_product: np.ndarray
    of_class: np.ndarray


def team(cross: np.ndarray, count_horizons: float = 1.0) -> np.ndarray:
    """The shop's weights of the candidates by how their errors cancel out, shape (n_candidates,).

    Five that err alike count as little more than one. Least squares with weights of at least 0
    that add up to 1, pulled to equal ones.

    Args:
        cross: Sums of products of the candidates' errors, shape (n_candidates, n_candidates).
        count_horizons: How many horizons, side by side, they were tested on.

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
    found, _ = nnls(np.vstack([root, np.full(count, heavy)]), np.append(pull, heavy))
    return found / found.sum()


def weights(
    loss: np.ndarray,
    count_weeks: np.ndarray,
    size: np.ndarray,
    of_team: np.ndarray | None = None,
) -> Weights:
    """Weights by how the candidates did in the backtest.

    A few weeks of one product are mostly noise. So its losses, as shares of their mean, are pulled
    towards those of all products of its size, the less the longer it was tested; and the weights
    differ less than the losses would have it.

    Args:
        loss: Mean scaled error of each candidate, shape (n_products, n_candidates).
        count_weeks: Weeks that it is the mean of, shape (n_products,); 0 if never tested.
        size: Class of the forecasts' size, see `size_class`, shape (n_products,).
        of_team: See `team`; equal ones if it is not given.
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
        forecasts: Those of CANDIDATES; of what is not there the weight is 0.
        of_product: Shape (n_products, n_candidates).
        fade: As of `fade`.
    """
    has_year = np.array([name in OF_OWN_YEAR for name in CANDIDATES])
    share = of_product[:, None, :] * np.where(has_year, 1.0, fade[:, None])
    total = share.sum(axis=-1, keepdims=True)
    # weights may be left to candidates without an own year alone
    share = np.where(total > 0, share / np.where(total > 0, total, 1.0), of_product[:, None, :])
    return np.add.reduce(
        [
            share[..., place, None] * forecasts[name]
            for place, name in enumerate(CANDIDATES)
            if name in forecasts
        ]
    )


def fade(season: np.ndarray) -> np.ndarray:
    """What is left of the weights of candidates without a product's own year, shape (STEPS,).

    Before a peak nothing that happened lately says who foresees it; a flat mean would be weighed by
    the calm weeks in which it was right. 1 where the shop's season is as it was lately.

    Args:
        season: Log of the season's factor, shape (n_weeks + STEPS,).
    """
    n_weeks = len(season) - STEPS
    recent = season[max(n_weeks - RECENT_WEEKS, 0) : n_weeks].mean()
    return np.exp(-np.abs(season[n_weeks:] - recent) / SEASON_REACH)


def bands(forecasts: np.ndarray, actual: np.ndarray) -> np.ndarray:
    """How far the outer quantiles of one method have to move to hold what they promise.

    Args:
        forecasts: Past ones, shape (n, STEPS, 3).
        actual: log(1 + units) that came, shape (n, STEPS); NaN where not known.

    Returns:
        What to add to the .1 and .9 quantile, shape (COUNT_CLASSES, 2), by class of forecast size.

    Source:
        Romano, Patterson and Candes (2019), conformalized quantile regression; errors of past
        weeks stand in for those to come.
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
        Shape (n_products, STEPS, 3), at least 0, ascending in the last axis; 0 where less than half
        of the least that is sold at a time.
    """
    best_week = np.nanmax(units[:, -SEASON_WEEKS:], axis=1)[:, None]
    ceiling = np.log1p(best_week) + arima.HEADROOM
    median = np.clip(forecasts[..., 1], 0.0, ceiling)
    shift = shifts[size_class(forecasts[..., 1])]
    low = np.clip(forecasts[..., 0] + shift[..., 0], 0.0, median)
    high = np.maximum(forecasts[..., 2] + shift[..., 1], median)
    found = np.expm1(np.stack([low, median, np.minimum(high, ceiling + arima.HEADROOM)], axis=-1))
    most = np.maximum(MOST_OF_BEST_WEEK * best_week, found[..., 1])
    found[..., 2] = np.minimum(found[..., 2], most)
    return np.where(found < least_sold(units)[:, None, None] / 2, 0.0, found)


def least_sold(units: np.ndarray) -> np.ndarray:
    """The least that a product sold in a week, shape (n_products,); 1 if that is more."""
    return np.where(units > 0, units, 1.0).min(axis=1).clip(max=1.0)
