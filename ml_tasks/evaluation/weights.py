"""Weights of several models in a weighted sum of their log odds.

The weights maximise the likelihood out of time, with a penalty for leaving the prior weights. Each
past date has a free level (see `levels`), so a weight measures how well a model separates the
customers of one date. A date counts as at most DATE_ROWS customers, however large the shop is:
customers of one date share its surprises, so a single date should move the weights little.

Source:
    Genest and Zidek (1986), doi 10.1214/ss/1177013825 (logarithmic opinion pools); Ranjan and
    Gneiting (2010), doi 10.1111/j.1467-9868.2009.00726.x (a pool must be sharpened again: weights
    need not add up to 1); Diebold and Pauly (1990), doi 10.1016/0169-2070(90)90028-A (shrinkage).
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize

DATE_ROWS = 1_000
# Precision of the prior of each weight.
PRIOR_STRENGTH = 200.0
# Dates with fewer customers of the rarer outcome are not used.
MIN_OF_A_KIND = 5
MAX_LEVEL = 15.0


def weights(
    log_odds: np.ndarray, happened: np.ndarray, date: np.ndarray, prior: np.ndarray
) -> np.ndarray:
    """Weights of the models, at least 0, shape (n_models,).

    Args:
        log_odds: Predictions out of time, shape (n_rows, n_models). NaN, for a model that could not
            be fitted, is replaced by the other models' mean.
        happened: Outcome 0 or 1, shape (n_rows,).
        date: Number of the date of each row, shape (n_rows,).
        prior: Weights before any evidence, shape (n_models,), with a sum above 0.
    """
    centered, level, share = _within_dates(log_odds, happened, date, prior)
    if centered is None:
        return prior
    count_models, outcome = len(prior), happened[level >= 0]
    level = level[level >= 0]
    count_dates = int(level.max()) + 1

    def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        own, levels = parameters[:count_models], parameters[count_models:]
        margin = (centered * own).sum(axis=1) + levels[level]
        slope = share * (1 / (1 + np.exp(-margin)) - outcome)
        off_prior = own - prior
        value = (share * (np.logaddexp(0.0, margin) - outcome * margin)).sum()
        gradient = (centered * slope[:, None]).sum(axis=0) + PRIOR_STRENGTH * off_prior
        return value + PRIOR_STRENGTH * (off_prior**2).sum() / 2, np.concatenate(
            [gradient, np.bincount(level, slope, count_dates)]
        )

    rate = np.bincount(level, outcome) / np.bincount(level)
    start = np.concatenate([prior, np.log(rate / (1 - rate))])
    bounds = [(0.0, None)] * count_models + [(-MAX_LEVEL, MAX_LEVEL)] * count_dates
    result = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds)
    return np.asarray(result.x[:count_models])


def filled(log_odds: np.ndarray, prior: np.ndarray) -> np.ndarray:
    """The log odds with NaN replaced by the other models' weighted mean, shape (n_rows, n_models).

    Args:
        log_odds: Shape (n_rows, n_models).
        prior: Weights of the mean, shape (n_models,).
    """
    known = ~np.isnan(log_odds)
    share = known * prior
    total = share.sum(axis=1, keepdims=True)
    mean = (np.nan_to_num(log_odds) * share).sum(axis=1, keepdims=True) / np.maximum(total, 1e-12)
    return np.where(known, log_odds, mean)


def _within_dates(
    log_odds: np.ndarray, happened: np.ndarray, date: np.ndarray, prior: np.ndarray
) -> tuple[np.ndarray | None, np.ndarray, np.ndarray]:
    """Log odds less their date's mean, number of the date (-1 if unused), weight of each row."""
    number = np.full(len(happened), -1)
    parts, shares, count_used = [], [], 0
    for one in np.unique(date):
        rows = date == one
        count_rarer = min(happened[rows].sum(), (1 - happened[rows]).sum())
        if count_rarer < MIN_OF_A_KIND:
            continue
        known = filled(log_odds[rows], prior)
        number[rows] = count_used
        parts.append((np.flatnonzero(rows), known - known.mean(axis=0)))
        shares.append(np.full(rows.sum(), min(1.0, DATE_ROWS / rows.sum())))
        count_used += 1
    if not parts:
        return None, number, np.empty(0)
    place = np.argsort(np.concatenate([rows for rows, _ in parts]), kind="stable")
    centered = np.concatenate([part for _, part in parts])[place]
    return centered, number, np.concatenate(shares)[place]
