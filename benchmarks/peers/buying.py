"""BG/NBD and Pareto/NBD of lifetimes, with their exact probability of no order."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

WEEK = 7.0  # the fits converge better in weeks than in days
PENALTIES = (0.0, 0.001, 0.01, 0.1)

Arrays = tuple[np.ndarray, np.ndarray, np.ndarray]


def history_of(features: pd.DataFrame) -> Arrays:
    """Repeat order days, weeks from the first to the last, and age in weeks, shapes (n,)."""
    repeats = (features["count_order_days"] - 1).to_numpy(dtype=float)
    last_weeks = ((features["age_days"] - features["recency_days"]) / WEEK).to_numpy()
    return repeats, last_weeks, (features["age_days"] / WEEK).to_numpy()


def fitted_to(history: Arrays, kind: Any) -> Any:
    """Fit a BetaGeoFitter or ParetoNBDFitter; equal histories are one row with a weight."""
    rows, counts = np.unique(np.column_stack(history), axis=0, return_counts=True)
    return fitted(kind, *rows.T, weights=counts)


def fitted(kind: Any, *arrays: np.ndarray, **more: np.ndarray) -> Any:
    """The fit with the smallest penalty that converges."""
    for penalty in PENALTIES:
        try:
            return kind(penalizer_coef=penalty).fit(*arrays, **more)
        except Exception as error:  # lifetimes raises ConvergenceError, numpy LinAlgError and more
            failure = error
    raise failure


def no_order_chance(fitter: Any, history: Arrays, days: float) -> np.ndarray:
    """Probability of no order in the next `days` days, shape (n,).

    Args:
        fitter: A fitted BetaGeoFitter or ParetoNBDFitter, in weeks.
        history: Arrays of `history_of`.
        days: Horizon in days.
    """
    parameters = fitter.params_.to_dict()
    if "a" in parameters:
        alive = np.asarray(fitter.conditional_probability_alive(*history), dtype=float)
        return bg_nbd_no_order(parameters, alive, history, days / WEEK)
    return pareto_nbd_no_order(fitter, history, days / WEEK)


def bg_nbd_no_order(
    parameters: dict[str, float], alive: np.ndarray, history: Arrays, weeks: float
) -> np.ndarray:
    """Probability of no order under BG/NBD, shape (n,).

    An active customer stays so until the next order, at a rate that is gamma(r + x, alpha + age).

    Source:
        Fader, Hardie and Lee (2005), Marketing Science 24:275-284.
    """
    repeats, _, age = history
    r, alpha = parameters["r"], parameters["alpha"]
    still_none = ((alpha + age) / (alpha + age + weeks)) ** (r + repeats)
    return np.clip(1 - alive * (1 - still_none), 0, 1)


def pareto_nbd_no_order(fitter: Any, history: Arrays, weeks: float) -> np.ndarray:
    """Probability of no order under Pareto/NBD, shape (n,).

    The ratio of two likelihoods of the same orders: with no order until then, and until now. Equal
    to lifetimes' conditional_probability_of_n_purchases_up_to_time(0, ...) to twelve digits, but
    without its sums of large terms that cancel.
    """
    repeats, last, age = history
    names = ("r", "alpha", "s", "beta")
    parameters = [float(fitter.params_[name]) for name in names]
    with np.errstate(all="ignore"):
        until_now, until_then = (
            fitter._conditional_log_likelihood(parameters, repeats, last, end)
            for end in (age, age + weeks)
        )
        chance = np.exp(until_then - until_now)
    alive_only = ((parameters[1] + age) / (parameters[1] + age + weeks)) ** (
        parameters[0] + repeats
    )
    return np.clip(np.where(np.isfinite(chance), chance, alive_only), 0, 1)


def expected_orders(fitter: Any, history: Arrays, days: float) -> np.ndarray:
    """Expected order days of the next `days` days, shape (n,).

    Where a value cannot be computed, the median of the others.
    """
    orders = fitter.conditional_expected_number_of_purchases_up_to_time(days / WEEK, *history)
    orders = np.asarray(orders, dtype=float)
    return np.where(np.isfinite(orders), orders, np.nanmedian(orders)).clip(min=0)
