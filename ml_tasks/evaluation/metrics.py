"""Metrics of scores in closed form. Arrays in, one number out; rows in any order.

A metric that is undefined (one class only, nothing spent) is NaN.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

PROBABILITY_FLOOR = 1e-6


def auc(is_event: ArrayLike, score: ArrayLike) -> float:
    """Chance that a random event scores above a random non-event; ties count half.

    Args:
        is_event: Shape (n,), 0 or 1.
        score: Shape (n,), higher means more likely.

    Returns:
        In [0, 1]; 0.5 is guessing. NaN without events, or with nothing but events.

    Source:
        Mann and Whitney (1947), doi 10.1214/aoms/1177730491.

    Example:
        >>> auc([0, 1, 0, 1], [0.1, 0.4, 0.4, 0.8])
        0.875
    """
    event, ranks = np.asarray(is_event, dtype=bool), _mean_ranks(np.asarray(score, dtype=float))
    count_events, count_others = int(event.sum()), int((~event).sum())
    if not count_events or not count_others:
        return float("nan")
    wins = ranks[event].sum() - count_events * (count_events + 1) / 2
    return float(wins / (count_events * count_others))


def log_loss(is_event: ArrayLike, probability: ArrayLike) -> float:
    """Mean of -log(probability of the actual outcome), in nats.

    Args:
        is_event: Shape (n,), 0 or 1.
        probability: Predicted probability of the event, shape (n,); clipped to
            [PROBABILITY_FLOOR, 1 - PROBABILITY_FLOOR].

    Example:
        >>> round(log_loss([0, 1], [0.2, 0.8]), 4)
        0.2231
    """
    event = np.asarray(is_event, dtype=float)
    p = np.clip(np.asarray(probability, dtype=float), PROBABILITY_FLOOR, 1 - PROBABILITY_FLOOR)
    return float(-np.mean(event * np.log(p) + (1 - event) * np.log1p(-p)))


def brier_skill(is_event: ArrayLike, probability: ArrayLike) -> float:
    """Reduction of the squared error compared with predicting the event rate for every row.

    Args:
        is_event: Shape (n,), 0 or 1.
        probability: Predicted probability of the event, shape (n,).

    Returns:
        At most 1; 0 is no better than the rate. NaN without events, or with nothing but events.

    Source:
        Murphy (1973), doi 10.1175/1520-0450(1973)012<0595:ANVPOT>2.0.CO;2.
    """
    event, p = np.asarray(is_event, dtype=float), np.asarray(probability, dtype=float)
    at_rate = event.var()
    return float(1 - np.mean((p - event) ** 2) / at_rate) if at_rate else float("nan")


def calibration_error(is_event: ArrayLike, probability: ArrayLike, count_bins: int = 10) -> float:
    """Expected calibration error over bins of equal count, in [0, 1].

    Args:
        is_event: Shape (n,), 0 or 1.
        probability: Predicted probability of the event, shape (n,).
        count_bins: Number of bins.

    Source:
        Naeini, Cooper and Hauskrecht (2015), AAAI; bins of equal count instead of equal width.

    Example:
        >>> calibration_error([0, 1, 1, 1], [0.5, 0.5, 0.75, 0.75], count_bins=2)
        0.125
    """
    bins = equal_count_bins(probability, count_bins)
    event, p = np.asarray(is_event, dtype=float), np.asarray(probability, dtype=float)
    return float(sum(len(b) * abs(event[b].mean() - p[b].mean()) for b in bins) / len(p))


def normalised_gini(amount: ArrayLike, score: ArrayLike) -> float:
    """How well a score ranks amounts: 1 for the order of the amounts themselves, 0 for chance.

    Rows with equal scores have equal ranks, so their order has no effect.

    Args:
        amount: Actual amounts, shape (n,).
        score: Higher means a higher amount, shape (n,).

    Returns:
        At most 1, negative if worse than random. NaN if the amounts are all equal.

    Source:
        Frees, Meyers and Cummings (2011), doi 10.1198/jasa.2011.tm10506.

    Example:
        >>> normalised_gini([0, 10, 50], [1, 3, 2])
        0.2
    """
    amounts = np.asarray(amount, dtype=float)
    best = _covariance_with_ranks(amounts, amounts)
    if best <= 0:
        return float("nan")
    return float(_covariance_with_ranks(amounts, np.asarray(score, dtype=float)) / best)


def total_error(amount: ArrayLike, predicted_amount: ArrayLike) -> float:
    """Predicted total over actual total, less 1. NaN if the actual total is 0.

    Args:
        amount: Actual amounts, shape (n,).
        predicted_amount: Shape (n,).

    Example:
        >>> total_error([10, 0, 30], [15, 5, 30])
        0.25
    """
    total = float(np.sum(np.asarray(amount, dtype=float)))
    return float(np.sum(predicted_amount)) / total - 1 if total else float("nan")


def concordance(days: ArrayLike, expected_days: ArrayLike, horizon_days: int) -> float:
    """Share of comparable pairs with expected days in the same order as the actual days.

    A pair is comparable if one event happened within the horizon and before the other. No row may
    be censored within the horizon. Equal expectations count half.

    Args:
        days: Whole days to the event, at least 1, shape (n,); more than `horizon_days` without an
            event.
        expected_days: Predicted days to the event, shape (n,).
        horizon_days: Pairs that differ only after the horizon do not count.

    Returns:
        In [0, 1]; 0.5 is guessing. NaN if no pair can be compared.

    Source:
        Harrell et al. (1982), doi 10.1001/jama.1982.03320430047030.

    Example:
        >>> float(round(concordance([5, 20, 91], [10, 40, 30], horizon_days=90), 3))
        0.667
    """
    last = np.minimum(np.asarray(days, dtype=int), horizon_days + 1)
    values, place = np.unique(np.asarray(expected_days, dtype=float), return_inverse=True)
    count_later = np.zeros(len(values))  # per expected value: rows with a later event
    wins = pairs = 0.0
    for day in range(horizon_days + 1, 0, -1):
        today = place[last == day]
        if day <= horizon_days and len(today):
            up_to = np.cumsum(count_later)
            wins += float((up_to[-1] - up_to[today] + count_later[today] / 2).sum())
            pairs += up_to[-1] * len(today)
        count_later += np.bincount(today, minlength=len(values))
    return wins / pairs if pairs else float("nan")


def equal_count_bins(score: ArrayLike, count_bins: int = 10) -> list[np.ndarray]:
    """Row numbers by rising score, in non-empty bins with sizes that differ by at most one.

    Args:
        score: Shape (n,).
        count_bins: Number of bins; fewer if n is smaller.
    """
    order = np.argsort(np.asarray(score, dtype=float), kind="stable")
    return [part for part in np.array_split(order, count_bins) if len(part)]


def _covariance_with_ranks(amounts: np.ndarray, score: np.ndarray) -> float:
    ranks = _mean_ranks(score)
    return float(np.dot(amounts - amounts.mean(), ranks))


def _mean_ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 1, shape (n,); equal values share their mean rank."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last_rank = np.cumsum(counts)
    return (last_rank - (counts - 1) / 2)[inverse]
