"""How much each of several models counts where their log odds are added up.

The weights are those of the highest likelihood out of time, drawn to prior ones. Each past date has
a level of its own, which is not asked here (see `levels`): a weight says how well a model tells
customers of one date apart. A date counts as no more than DATE_ROWS customers however large the
shop is, because customers of one date share its surprises; so a single date moves little.

Source:
    Genest and Zidek (1986), doi 10.1214/ss/1177013825 (logarithmic opinion pools); Ranjan and
    Gneiting (2010), doi 10.1111/j.1467-9868.2009.00726.x (a pool has to be sharpened anew: weights
    need not add up to 1); Diebold and Pauly (1990), doi 10.1016/0169-2070(90)90028-A (shrinkage).
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize

DATE_ROWS = 1_000
# The prior counts as so many units of information on each weight.
PRIOR_STRENGTH = 200.0
# A date on which fewer did the rarer thing says nothing of weights.
MIN_OF_A_KIND = 5
MAX_LEVEL = 15.0


def weights(
    log_odds: np.ndarray, happened: np.ndarray, date: np.ndarray, prior: np.ndarray
) -> np.ndarray:
    """Weights of the models, at least 0, shape (n_models,).

    Args:
        log_odds: What each model said before it happened, shape (n_rows, n_models); NaN where a
            model could not be fitted then: it counts as saying what the others say on average.
        happened: 0 or 1, shape (n_rows,).
        date: Number of the date of each row, shape (n_rows,).
        prior: Weights before any evidence, shape (n_models,), above 0 in all.
    """
    said, level, share = _within_dates(log_odds, happened, date, prior)
    if said is None:
        return prior
    count_models, outcome = len(prior), happened[level >= 0]
    level = level[level >= 0]
    count_dates = int(level.max()) + 1

    def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        own, levels = parameters[:count_models], parameters[count_models:]
        margin = (said * own).sum(axis=1) + levels[level]
        slope = share * (1 / (1 + np.exp(-margin)) - outcome)
        away = own - prior
        value = (share * (np.logaddexp(0.0, margin) - outcome * margin)).sum()
        gradient = (said * slope[:, None]).sum(axis=0) + PRIOR_STRENGTH * away
        return value + PRIOR_STRENGTH * (away**2).sum() / 2, np.concatenate(
            [gradient, np.bincount(level, slope, count_dates)]
        )

    rate = np.bincount(level, outcome) / np.bincount(level)
    start = np.concatenate([prior, np.log(rate / (1 - rate))])
    bounds = [(0.0, None)] * count_models + [(-MAX_LEVEL, MAX_LEVEL)] * count_dates
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds)
    return np.asarray(found.x[:count_models])


def filled(log_odds: np.ndarray, prior: np.ndarray) -> np.ndarray:
    """The log odds, with the others' mean (by prior weights) where a model says nothing."""
    known = ~np.isnan(log_odds)
    share = known * prior
    total = share.sum(axis=1, keepdims=True)
    mean = (np.nan_to_num(log_odds) * share).sum(axis=1, keepdims=True) / np.maximum(total, 1e-12)
    return np.where(known, log_odds, mean)


def _within_dates(
    log_odds: np.ndarray, happened: np.ndarray, date: np.ndarray, prior: np.ndarray
) -> tuple[np.ndarray | None, np.ndarray, np.ndarray]:
    """Log odds less their date's mean, number of the date (-1: not used), share of each row."""
    number = np.full(len(happened), -1)
    parts, shares, count_used = [], [], 0
    for one in np.unique(date):
        rows = date == one
        count_rarer = min(happened[rows].sum(), (1 - happened[rows]).sum())
        if count_rarer < MIN_OF_A_KIND:
            continue
        said = filled(log_odds[rows], prior)
        number[rows] = count_used
        parts.append((np.flatnonzero(rows), said - said.mean(axis=0)))
        shares.append(np.full(rows.sum(), min(1.0, DATE_ROWS / rows.sum())))
        count_used += 1
    if not parts:
        return None, number, np.empty(0)
    place = np.argsort(np.concatenate([rows for rows, _ in parts]), kind="stable")
    said = np.concatenate([part for _, part in parts])[place]
    return said, number, np.concatenate(shares)[place]
