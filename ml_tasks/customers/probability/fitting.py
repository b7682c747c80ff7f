"""Maximum likelihood of a few positive parameters, and predictions in chunks."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd
from scipy import optimize

log = logging.getLogger(__name__)

# Fewer repeat customers do not identify the distribution of rates.
MIN_REPEAT_CUSTOMERS = 50
# Bound on log parameters. Beyond it customers are all alike, or none ever leaves.
LOG_BOUND = 9.0
MAX_GRADIENT = 1e-4
# On a ridge the search may stop early on one kind of processor and not on another. A restart from
# the same point drops the curvature estimate and lets the search go on.
MAX_STARTS = 5
CHUNK_ROWS = 20_000

LogLikelihood = Callable[[np.ndarray], tuple[float, np.ndarray]]


def rounded(model: Any) -> dict[str, float]:
    """Parameters of a fitted model, rounded to six significant digits, as JSON.

    Args:
        model: A dataclass with numbers.

    Example:
        >>> from ml_tasks.customers.probability.gamma_gamma import GammaGamma
        >>> rounded(GammaGamma(p=2.00000049, q=3.7654321, gamma=15.4))
        {'p': 2.0, 'q': 3.76543, 'gamma': 15.4}
    """
    return {name: float(f"{value:.6g}") for name, value in asdict(model).items()}


def maximise(
    mean_log_likelihood: LogLikelihood, count: int, lowest: dict[int, float] | None = None
) -> np.ndarray | None:
    """Find the positive parameters with the highest likelihood.

    Args:
        mean_log_likelihood: Function of the parameters, shape (count,). Returns the mean log
            likelihood of a customer and the gradient by the parameters (not their logs).
        count: Number of parameters. Scale the data so that parameters are of the order of 1.
        lowest: Index of a parameter -> lower bound; e**-9 for all others.

    Returns:
        Shape (count,), or None, with a warning, if the search does not converge.
    """
    lower = np.full(count, -LOG_BOUND)
    for index, value in (lowest or {}).items():
        lower[index] = np.log(value)

    def loss(log_parameters: np.ndarray) -> tuple[float, np.ndarray]:
        parameters = np.exp(log_parameters)
        value, gradient = mean_log_likelihood(parameters)
        return -value, -gradient * parameters

    start = np.maximum(np.zeros(count), lower)
    for _ in range(MAX_STARTS):
        result = optimize.minimize(
            loss,
            start,
            jac=True,
            method="L-BFGS-B",
            bounds=[(low, LOG_BOUND) for low in lower],
            options={"maxiter": 1000, "maxfun": 2000, "maxcor": 20, "ftol": 1e-14, "gtol": 1e-8},
        )
        inside = (result.x > lower) & (result.x < LOG_BOUND)
        steepest = np.abs(result.jac[inside]).max(initial=0.0)
        if np.isfinite(result.fun) and steepest <= MAX_GRADIENT:
            return np.exp(result.x)
        start = result.x
    log.warning("no maximum found, gradient %.1e: %s", steepest, result.message)
    return None


def in_chunks(
    predict: Callable[..., np.ndarray],
    histories: pd.DataFrame,
    columns: tuple[str, ...],
    *more: float | np.ndarray,
) -> np.ndarray:
    """Predict CHUNK_ROWS rows at a time; shape (n_rows,).

    Args:
        predict: Takes an array for each of `columns`, then an array for each of `more`.
        histories: Frame with these columns, n_rows rows.
        columns: Names of the columns that `predict` takes.
        more: Further arguments, each a number or shape (n_rows,).

    Example:
        >>> frame = pd.DataFrame({"x": [1.0, 2.0, 3.0]})
        >>> in_chunks(lambda x, horizon: x * horizon, frame, ("x",), 10.0)
        array([10., 20., 30.])
    """
    count = len(histories)
    arrays = [histories[column].to_numpy(dtype=float) for column in columns]
    arrays += [np.broadcast_to(np.asarray(values, dtype=float), count) for values in more]
    result = np.empty(count)
    for start in range(0, count, CHUNK_ROWS):
        rows = slice(start, start + CHUNK_ROWS)
        result[rows] = predict(*(array[rows] for array in arrays))
    return result
