"""How good a score is, in closed form. Arrays in, one number out; rows in any order.

A score that can't be judged (one class only, nothing spent) gives NaN.
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
        In [0, 1]; 0.5 is guessing. NaN if there are no events or nothing else.

    Source:
        Mann and Whitney (1947), doi 10.1214/aoms/1177730491.
    """
    event, ranks = np.asarray(is_event, dtype=bool), _mean_ranks(np.asarray(score, dtype=float))
    count_events, count_others = int(event.sum()), int((~event).sum())
    if not count_events or not count_others:
        return float("nan")
    wins = ranks[event].sum() - count_events * (count_events + 1) / 2
    return float(wins / (count_events * count_others))


def log_loss(is_event: ArrayLike, probability: ArrayLike) -> float:
    """Mean of -log of the probability given to what happened, in nats."""
    event = np.asarray(is_event, dtype=float)
    p = np.clip(np.asarray(probability, dtype=float), PROBABILITY_FLOOR, 1 - PROBABILITY_FLOOR)
    return float(-np.mean(event * np.log(p) + (1 - event) * np.log1p(-p)))


def brier_skill(is_event: ArrayLike, probability: ArrayLike) -> float:
    """Share of the squared error that is saved against giving everyone the rate that happened.

    Returns:
        At most 1; 0 is no better than the rate. NaN if there are no events or nothing else.

    Source:
        Murphy (1973), doi 10.1175/1520-0450(1973)012<0595:ANVPOT>2.0.CO;2.
    """
    event, p = np.asarray(is_event, dtype=float), np.asarray(probability, dtype=float)
    at_rate = event.var()
    return float(1 - np.mean((p - event) ** 2) / at_rate) if at_rate else float("nan")


def calibration_error(is_event: ArrayLike, probability: ArrayLike, count_bins: int = 10) -> float:
    """Expected calibration error over bins of equal count, in [0, 1].

    Source:
        Naeini, Cooper and Hauskrecht (2015), AAAI; bins of equal count instead of equal width.
    """
    bins = equal_count_bins(probability, count_bins)
    event, p = np.asarray(is_event, dtype=float), np.asarray(probability, dtype=float)
    return float(sum(len(b) * abs(event[b].mean() - p[b].mean()) for b in bins) / len(p))


def normalised_gini(amount: ArrayLike, score: ArrayLike) -> float:
    """How well a score sorts amounts: 1 as well as the amounts themselves, 0 at random.

    Rows of equal score share their amounts equally, so their order does not count.

    Returns:
        At most 1, negative if worse than random. NaN if the amounts are all equal.

    Source:
        Frees, Meyers and Cummings (2011), doi 10.1198/jasa.2011.tm10506.
    """
    amounts = np.asarray(amount, dtype=float)
    best = _covariance_with_ranks(amounts, amounts)
    if best <= 0:
        return float("nan")
    return float(_covariance_with_ranks(amounts, np.asarray(score, dtype=float)) / best)


def total_error(amount: ArrayLike, predicted_amount: ArrayLike) -> float:
    """Predicted total over actual total, less 1. NaN if the actual total is 0."""
    total = float(np.sum(np.asarray(amount, dtype=float)))
    return float(np.sum(predicted_amount)) / total - 1 if total else float("nan")


def concordance(days: ArrayLike, expected_days: ArrayLike, horizon_days: int) -> float:
    """Share of the pairs that can be compared whose expected days are in the order of the true.

    A pair can be compared if one's event came within the horizon and before the other's. Nobody
    may be censored within it. Equal expectations count half.

    Args:
        days: Whole days to the event, at least 1, shape (n,); beyond the horizon if none came.
        expected_days: Shape (n,).
        horizon_days: Pairs that differ only after it don't count.

    Returns:
        In [0, 1]; 0.5 is guessing. NaN if no pair can be compared.

    Source:
        Harrell et al. (1982), doi 10.1001/jama.1982.03320430047030.
    """
    last = np.minimum(np.asarray(days, dtype=int), horizon_days + 1)
    values, place = np.unique(np.asarray(expected_days, dtype=float), return_inverse=True)
    count_later = np.zeros(len(values))  # by expectation: those whose event came later
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
    """Row numbers by rising score, in bins whose sizes differ by at most one; none is empty."""
    order = np.argsort(np.asarray(score, dtype=float), kind="stable")
    return [part for part in np.array_split(order, count_bins) if len(part)]


def _covariance_with_ranks(amounts: np.ndarray, score: np.ndarray) -> float:
    ranks = _mean_ranks(score)
    return float(np.dot(amounts - amounts.mean(), ranks))


def _mean_ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 1; equal values get the mean of theirs."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last_rank = np.cumsum(counts)
    return (last_rank - (counts - 1) / 2)[inverse]
