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

# Fewer customers who came back say little of a population of rates.
MIN_REPEAT_CUSTOMERS = 50
# Log parameters stay within these: beyond, customers are all alike, or none ever leaves.
LOG_BOUND = 9.0
MAX_GRADIENT = 1e-4
# Along a ridge the search may stop for want of progress, on one kind of processor and not on
# another; begun again where it stopped, without its notion of the curvature, it goes on.
MAX_STARTS = 5
CHUNK_ROWS = 20_000

LogLikelihood = Callable[[np.ndarray], tuple[float, np.ndarray]]


def rounded(model: Any) -> dict[str, float]:
    """Parameters of a fitted model (a dataclass) to six digits, as JSON: more are noise."""
    return {name: float(f"{value:.6g}") for name, value in asdict(model).items()}


def maximise(
    mean_log_likelihood: LogLikelihood, count: int, lowest: dict[int, float] | None = None
) -> np.ndarray | None:
    """The positive parameters of the highest likelihood; None if the search does not settle.

    Args:
        mean_log_likelihood: From parameters, shape (count,), to the mean log likelihood of a
            customer and its gradient by the *parameters*.
        count: Number of parameters. Data should be scaled so that they are of the order of 1.
        lowest: Lower bounds of parameters by their place; e**-9 unless named.
    """
    lower = np.full(count, -LOG_BOUND)
    for place, value in (lowest or {}).items():
        lower[place] = np.log(value)

    def loss(log_parameters: np.ndarray) -> tuple[float, np.ndarray]:
        parameters = np.exp(log_parameters)
        value, gradient = mean_log_likelihood(parameters)
        return -value, -gradient * parameters

    start = np.maximum(np.zeros(count), lower)
    for _ in range(MAX_STARTS):
        found = optimize.minimize(
            loss,
            start,
            jac=True,
            method="L-BFGS-B",
            bounds=[(low, LOG_BOUND) for low in lower],
            options={"maxiter": 1000, "maxfun": 2000, "maxcor": 20, "ftol": 1e-14, "gtol": 1e-8},
        )
        inside = (found.x > lower) & (found.x < LOG_BOUND)
        steepest = np.abs(found.jac[inside]).max(initial=0.0)
        if np.isfinite(found.fun) and steepest <= MAX_GRADIENT:
            return np.exp(found.x)
        start = found.x
    log.warning("no maximum found, gradient %.1e: %s", steepest, found.message)
    return None


def in_chunks(
    predict: Callable[..., np.ndarray],
    histories: pd.DataFrame,
    columns: tuple[str, ...],
    *more: float | np.ndarray,
) -> np.ndarray:
    """Predictions of all rows, shape (n_rows,), made a bounded number of rows at a time.

    Args:
        predict: Takes an array for each of `columns`, then for each of `more`.
        histories: Columns as named.
        columns: Names.
        more: One number for all rows, or one for each.
    """
    count = len(histories)
    arrays = [histories[column].to_numpy(dtype=float) for column in columns]
    arrays += [np.broadcast_to(np.asarray(values, dtype=float), count) for values in more]
    result = np.empty(count)
    for start in range(0, count, CHUNK_ROWS):
        rows = slice(start, start + CHUNK_ROWS)
        result[rows] = predict(*(array[rows] for array in arrays))
    return result
