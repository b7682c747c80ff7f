"""Bands and ranks of the chance that a customer places no order in the next 90 days."""

from __future__ import annotations

import numpy as np

HIGH_RISK_FROM = 0.8
MEDIUM_RISK_FROM = 0.5
RISK_BANDS = ("high", "medium", "low")
# Share of the shop's customers, the most likely to stay away first, at which a relative band ends.
RELATIVE_BANDS = {"1 highest": 0.1, "2 raised": 0.3, "3 middle": 0.7, "4 lowest": 1.0}


def risk_band(probability: np.ndarray) -> np.ndarray:
    """`high` from 0.8, `medium` from 0.5, else `low`."""
    return np.select(
        [probability >= HIGH_RISK_FROM, probability >= MEDIUM_RISK_FROM], ["high", "medium"], "low"
    ).astype(object)


def risk_band_rank(band: np.ndarray) -> np.ndarray:
    """Place of each band in RISK_BANDS, from 1, so that bands sort by risk."""
    return np.array([RISK_BANDS.index(name) + 1 for name in band], dtype=np.int64)


def relative_band(probability: np.ndarray, everybody: np.ndarray) -> np.ndarray:
    """Band among the shop's customers: those who are equal share the middle of their places.

    Args:
        probability: Of those who are asked about, shape (n,).
        everybody: Of all customers, these included, ascending; NaN last.

    Returns:
        Names of RELATIVE_BANDS; None of NaN.
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
    """Percent of the customers whose probability is equal or lower, in (0, 100]; NaN of NaN.

    Args:
        probability: Of those who are asked about, shape (n,).
        everybody: Of all customers, these included, ascending; NaN last.
    """
    count = int(np.count_nonzero(~np.isnan(everybody)))
    no_higher = np.searchsorted(everybody[:count], probability, side="right")
    return np.where(np.isnan(probability), np.nan, no_higher / max(count, 1)) * 100
