"""A product's own yearly season: a drifting level, a repeating year, and noise.

log(1 + units) minus the shop's season is a random walk plus a curve of the year plus noise (a
Gaussian process regression). Drift and strength of the season are not chosen: each of SETTINGS
forecasts, weighted by its likelihood on the product's weeks and by how common it is in the shop.
So a product with noise or little history leans on the shop's season and usual drift. Outliers are
pulled towards a product's curve first.

Source:
    Harvey (1989), Forecasting, Structural Time Series Models and the Kalman Filter, 2.3;
    Rasmussen and Williams (2006), Gaussian Processes for Machine Learning, 2.2 and 5.4.1;
    Hoeting, Madigan, Raftery and Volinsky (1999), doi 10.1214/ss/1009212519 (averaging models).
"""

from __future__ import annotations

from itertools import product

import numpy as np

from ml_tasks.demand.panel import STEPS, Panel
from ml_tasks.demand.season import curve_of_year, days_of_year, week_of_year

# Variances, relative to a week's noise: of a week's drift; and of the season, first the part that
# is equally strong all year, then the part that is strong where the shop's season is.
DRIFTS = (0.003, 0.02, 0.1, 0.5)
SEASONS = ((0.1, 0.2), (0.3, 1.0), (1.0, 4.0))
SETTINGS = tuple((drift, *season) for drift, season in product(DRIFTS, SEASONS))
TYPICAL = (0.1, 0.3, 1.0)
EQUAL_SHARES = (1 / len(SETTINGS),) * len(SETTINGS)
# Smoothness of the season in weeks, and the share of its variance in single weeks.
CURVE_WEEKS, WEEK_SHARE = 4.5, 0.25
# Prior variances of a product's response to the shop's season, and of its level.
FOLLOWING, LEVEL = 0.3, 100.0
LEAST_STRENGTH, MOST_STRENGTH = 0.2, 16.0
OUTLIER_SDS, MIN_SD = 4.0, 0.1
NOISE_SD, NOISE_WEEKS = 0.4, 4.0
# Weeks depend on each other in ways that the model lacks, so each counts half.
EVIDENCE = 0.5
LEARNT_WEEKS, LEARNT_ROUNDS = 26, 20
SMALL_SHARE = 1e-6
# Products are computed together in groups of equal length: their first weeks, fewer than
# ROUNDED_WEEKS, are dropped to round the length down.
ROUNDED_WEEKS, MAX_WEEKS = 13, 261
# Rows are computed in blocks of this size: the last digits of a matrix product depend on its size.
BLOCK_ROWS = 512
Z_P90 = 1.2815515655446004


def learn(panel: Panel, season: np.ndarray) -> np.ndarray:
    """Share of each of SETTINGS among a shop's products, shape (n_settings,), with the sum 1.

    Args:
        panel: All products.
        season: As of `season_of`, shape (n_weeks + STEPS,).
    """
    shares = np.array(EQUAL_SHARES)
    is_long = (~np.isnan(panel.units)).sum(axis=1) >= LEARNT_WEEKS
    if not is_long.any():
        return shares
    evidence = _of_settings(panel.only(is_long), season)[2]
    for _ in range(LEARNT_ROUNDS):
        shares = _likely(evidence, shares).mean(axis=0)
    return shares


def forecast(panel: Panel, season: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Quantiles .1, .5, .9 of log(1 + units) in the weeks to come, shape (n_products, STEPS, 3).

    Args:
        panel: Some products of the shop, or all, at least one week.
        season: As of `season_of`, shape (n_weeks + STEPS,).
        shares: As of `learn`.
    """
    medians, variances, evidence = _of_settings(panel, season)
    weight = _likely(evidence, shares)[..., None]
    median = (weight * medians).sum(axis=1)
    variance = (weight * (variances + (medians - median[:, None]) ** 2)).sum(axis=1)
    spread = Z_P90 * np.sqrt(variance)
    return np.stack([median - spread, median, median + spread], axis=-1)


def _likely(evidence: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Posterior weights of SETTINGS, shape as `evidence`: (n_products, n_settings)."""
    logs = EVIDENCE * evidence + np.log(shares + SMALL_SHARE)
    raw = np.exp(logs - logs.max(axis=1, keepdims=True))
    return raw / raw.sum(axis=1, keepdims=True)


def _of_settings(panel: Panel, season: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Medians, variances and log likelihood by each setting.

    Returns:
        Shapes (n_products, n_settings, STEPS) twice, and (n_products, n_settings).
    """
    n_weeks = panel.n_weeks
    logs = _without_gaps(np.log1p(panel.units)) - season[:n_weeks]
    count = (~np.isnan(logs)).sum(axis=1)
    rounded = np.where(count > ROUNDED_WEEKS, count // ROUNDED_WEEKS * ROUNDED_WEEKS, count)
    used = np.minimum(np.where(count == n_weeks, count, rounded), MAX_WEEKS)
    shape = (len(logs), len(SETTINGS), STEPS)
    medians, variances, evidence = np.empty(shape), np.empty(shape), np.empty(shape[:2])
    covariances = [_covariance(panel, season, *setting) for setting in (TYPICAL, *SETTINGS)]
    for weeks in np.unique(used):
        rows = np.flatnonzero(used == weeks)
        recent = [covariance[n_weeks - weeks :, n_weeks - weeks :] for covariance in covariances]
        for start in range(0, len(rows), BLOCK_ROWS):
            block = rows[start : start + BLOCK_ROWS]
            own = np.zeros((BLOCK_ROWS, weeks))
            own[: len(block)] = logs[block, n_weeks - weeks :]
            results = _of_block(own, recent)
            medians[block], variances[block], evidence[block] = (r[: len(block)] for r in results)
    return medians + season[n_weeks:], variances, evidence


def _of_block(
    logs: np.ndarray, covariances: list[np.ndarray]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """As `_of_settings`, for products with all weeks known, without the shop's season.

    Args:
        logs: Shape (BLOCK_ROWS, n_weeks).
        covariances: For TYPICAL and then each of SETTINGS, shape (n_weeks + STEPS,) squared each.
    """
    n_weeks = logs.shape[1]
    middle = np.median(logs[:, -8:], axis=1, keepdims=True)
    logs = _without_outliers(logs - middle, covariances[0])
    medians, variances, evidence = [], [], []
    for covariance in covariances[1:]:
        observed = covariance[:n_weeks, :n_weeks] + np.eye(n_weeks)
        inverse, ahead = np.linalg.inv(observed), covariance[n_weeks:, :n_weeks]
        weight = ahead @ inverse
        unknown = np.diag(covariance[n_weeks:, n_weeks:]) - (weight * ahead).sum(axis=1) + 1.0
        square = ((logs @ inverse) * logs).sum(axis=1)
        noise = (square + NOISE_WEEKS * NOISE_SD**2) / (n_weeks + NOISE_WEEKS)
        medians.append(logs @ weight.T + middle)
        variances.append(noise[:, None] * np.maximum(unknown, 1.0))
        size = np.linalg.slogdet(observed)[1]
        evidence.append(-0.5 * ((n_weeks - 1) * np.log(noise) + size))
    return np.stack(medians, axis=1), np.stack(variances, axis=1), np.stack(evidence, axis=1)


def _covariance(
    panel: Panel, season: np.ndarray, drift: float, steady: float, strong: float
) -> np.ndarray:
    """Covariance of weeks without noise, in units of the noise's variance.

    Args:
        panel: Gives the calendar.
        season: The shop's season: a product may follow it more or less than usual.
        drift: As in DRIFTS.
        steady: First figure of SEASONS.
        strong: Second figure of SEASONS.

    Returns:
        Shape (n_weeks + STEPS, n_weeks + STEPS).
    """
    day, week = days_of_year(panel), np.arange(len(season))
    year = (1 - WEEK_SHARE) * curve_of_year(day, CURVE_WEEKS) + WEEK_SHARE * week_of_year(day)
    strength = np.zeros(len(season))
    if season.any():
        squares = np.minimum(season**2 / np.mean(season**2), MOST_STRENGTH)
        strength = np.sqrt(LEAST_STRENGTH + (1 - LEAST_STRENGTH) * squares)
    return (
        LEVEL
        + drift * (np.minimum(week[:, None], week) + 1.0)
        + (steady + strong * np.outer(strength, strength)) * year
        + FOLLOWING * np.outer(season, season)
    )


def _without_outliers(logs: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """Clip each week to OUTLIER_SDS from the value that all other weeks predict; same shape."""
    n_weeks = logs.shape[1]
    known = covariance[:n_weeks, :n_weeks]
    smooth = np.linalg.solve(known + np.eye(n_weeks), known)
    kept = logs
    for _ in range(2):
        expected = kept @ smooth
        miss = logs - expected
        usual = np.median(np.abs(miss), axis=1, keepdims=True)
        reach = OUTLIER_SDS * np.maximum(1.4826 * usual, MIN_SD)
        kept = expected + np.clip(miss, -reach, reach)
    return kept


def _without_gaps(logs: np.ndarray) -> np.ndarray:
    """Fill unknown weeks after the first known one with the week before; same shape."""
    filled = logs.copy()
    for week in range(1, logs.shape[1]):
        filled[:, week] = np.where(np.isnan(logs[:, week]), filled[:, week - 1], logs[:, week])
    return filled
