"""Linear predictors (log odds, or logs of a mean) and the correction of their level."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ml_tasks.customers.matrix import history_days

# Bound on the linear predictor: e^15 times the mean is not a meaningful prediction.
MAX_MARGIN = 15.0
# With fewer days of data the features of a snapshot cover truncated windows.
MIN_HISTORY_DAYS = 90
# Newest dates used for the level, and how many consecutive dates share a quarter: their levels are
# one independent observation.
LEVEL_DATES, COUNT_OVERLAPPING = 12, 3


def inverse_link(margin: np.ndarray, family: str) -> np.ndarray:
    """Convert a linear predictor to a probability or a mean, same shape.

    Args:
        margin: Log odds (`logistic`) or logs of a mean; clipped to +-MAX_MARGIN.
        family: `logistic`, `poisson` or `gamma`.

    Example:
        >>> inverse_link(np.array([0.0, np.log(3)]), "logistic").round(2)
        array([0.5 , 0.75])
        >>> inverse_link(np.array([0.0, np.log(3)]), "poisson").round(2)
        array([1., 3.])
    """
    bounded = np.clip(margin, -MAX_MARGIN, MAX_MARGIN)
    return 1 / (1 + np.exp(-bounded)) if family == "logistic" else np.exp(bounded)


def log_odds(probability: np.ndarray) -> np.ndarray:
    """Log odds of probabilities, same shape; probabilities are clipped to [1e-5, 1 - 1e-5].

    Example:
        >>> log_odds(np.array([0.5, 0.75])).round(2)
        array([0. , 1.1])
    """
    clipped = np.clip(probability, 1e-5, 1 - 1e-5)
    return np.log(clipped / (1 - clipped))


def shift_to_mean(margin: np.ndarray, mean: float) -> float:
    """Constant to add to log odds so that the mean probability becomes `mean`; six decimals.

    Args:
        margin: Log odds, shape (n,), at least one.
        mean: The wanted mean probability, between 0 and 1.

    Example:
        >>> shift_to_mean(np.array([0.0, 0.0]), 0.75)
        1.098612
    """
    low, high = -MAX_MARGIN, MAX_MARGIN
    for _ in range(60):
        middle = (low + high) / 2
        if inverse_link(margin + middle, "logistic").mean() < mean:
            low = middle
        else:
            high = middle
    return round((low + high) / 2, 6)


def missed_level(snapshots: pd.DataFrame, offset: np.ndarray, happened: np.ndarray) -> float:
    """The offset's common error over past dates, in log odds; near 0 where dates disagree.

    Args:
        snapshots: Columns of features.customer_snapshots, whole dates.
        offset: Predicted log odds, shape (n_snapshots,).
        happened: Outcome 0 or 1, shape (n_snapshots,).

    Source:
        James and Stein (1961): the mean over the newest dates, shrunk to 0 by its own variance.
    """
    is_whole = (history_days(snapshots) >= MIN_HISTORY_DAYS).to_numpy()
    dates = snapshots["as_of_date"].to_numpy()
    errors = []
    for date in np.unique(dates[is_whole])[-LEVEL_DATES:]:
        rows = dates == date
        rate = float(happened[rows].mean())
        if 0 < rate < 1:
            errors.append(shift_to_mean(offset[rows], rate))
    if len(errors) < COUNT_OVERLAPPING:
        return 0.0
    mean = float(np.mean(errors))
    variance = float(np.var(errors)) * COUNT_OVERLAPPING / len(errors)
    return mean * max(0.0, 1 - variance / mean**2) if mean else 0.0


def slopes(
    offset: np.ndarray, trees: np.ndarray, outcome: np.ndarray, family: str
) -> tuple[float, float]:
    """Regress the outcome on offset and trees, with an intercept, by Newton's method.

    Args:
        offset: Linear predictor without the trees, shape (n,).
        trees: Sum of the trees, shape (n,).
        outcome: 0 or 1, counts, or amounts, shape (n,).
        family: `logistic`, `poisson` or `gamma`.

    Returns:
        Slopes of offset and trees.

    Source:
        Platt (1999) for `logistic`, with two scores instead of one.
    """
    design = np.column_stack([np.ones(len(trees)), offset - offset.mean(), trees - trees.mean()])
    coefficients = np.array([offset.mean(), 1.0, 0.0])
    for _ in range(50):
        mean = inverse_link(design @ coefficients, family)
        if family == "logistic":
            score, weight = outcome - mean, mean * (1 - mean)
        elif family == "poisson":
            score, weight = outcome - mean, mean
        else:
            score, weight = outcome / mean - 1, outcome / mean
        hessian = design.T @ (design * weight[:, None]) + 1e-6 * np.eye(3)
        step = np.clip(np.linalg.solve(hessian, design.T @ score), -1.0, 1.0)
        coefficients = coefficients + step
        if np.abs(step).max() < 1e-8:
            break
    return float(coefficients[1]), float(coefficients[2])
