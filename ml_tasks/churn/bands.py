"""Bands and ranks of the probability that a customer places no order in the next 90 days."""

from __future__ import annotations

import numpy as np

HIGH_RISK_FROM = 0.8
MEDIUM_RISK_FROM = 0.5
RISK_BANDS = ("high", "medium", "low")
# Cumulative share of the shop's customers, highest churn probability first, where each band ends.
RELATIVE_BANDS = {"1 highest": 0.1, "2 raised": 0.3, "3 middle": 0.7, "4 lowest": 1.0}


def risk_band(probability: np.ndarray) -> np.ndarray:
    """Risk band of each churn probability: `high` from 0.8, `medium` from 0.5, else `low`.

    Args:
        probability: Shape (n,), in [0, 1].
    """
    return np.select(
        [probability >= HIGH_RISK_FROM, probability >= MEDIUM_RISK_FROM], ["high", "medium"], "low"
    ).astype(object)


def risk_band_rank(band: np.ndarray) -> np.ndarray:
    """Position of each band in RISK_BANDS, from 1 (`high`), shape (n,); bands sort by it."""
    return np.array([RISK_BANDS.index(name) + 1 for name in band], dtype=np.int64)


def relative_band(probability: np.ndarray, everybody: np.ndarray) -> np.ndarray:
    """Band of each customer by rank among all customers of the shop.

    Customers with equal probabilities share the middle of their ranks, and so the band.

    Args:
        probability: Churn probabilities to band, shape (n,).
        everybody: Churn probabilities of all customers, those of `probability` included, shape
            (n_customers,), ascending with NaN last.

    Returns:
        Keys of RELATIVE_BANDS, shape (n,); None where the probability is NaN.
    """
    count = int(np.count_nonzero(~np.isnan(everybody)))
    lower = np.searchsorted(everybody[:count], probability, side="left")
    no_higher = np.searchsorted(everybody[:count], probability, side="right")
    place = 1 - (lower + no_higher) / (2 * max(count, 1))
    ends = np.array(list(RELATIVE_BANDS.values())[:-1])
    names = np.array(list(RELATIVE_BANDS), dtype=object)[np.searchsorted(ends, place)]
    names[np.isnan(probability)] = None
    return names


def percentile(probability: np.ndarray, everybody: np.ndarray) -> np.ndarray:
    """Percent of all customers with an equal or lower churn probability.

    Args:
        probability: Churn probabilities to rank, shape (n,).
        everybody: Churn probabilities of all customers, those of `probability` included, shape
            (n_customers,), ascending with NaN last.

    Returns:
        Shape (n,), in (0, 100]; NaN where the probability is NaN.
    """
    count = int(np.count_nonzero(~np.isnan(everybody)))
    no_higher = np.searchsorted(everybody[:count], probability, side="right")
    return np.where(np.isnan(probability), np.nan, no_higher / max(count, 1)) * 100
