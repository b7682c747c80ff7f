"""Survival curves in a customer's own time: days divided by the usual gap between their orders.

A customer who orders each month is due a month after the last order; a customer who orders each
quarter is not. So customers with a rhythm are grouped by how overdue they are, and the model
estimates how many gaps pass until the next order.

Source:
    Wheat and Morrison (1990), doi 10.2307/3172616 (regular purchase timing); Nelson (1972) and
    Aalen (1978) for the cumulative hazard.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ml_tasks.customers.matrix import rhythm_days
from ml_tasks.survival.curves import CAP_DAYS
from ml_tasks.survival.observations import recent
from ml_tasks.survival.recency import MIN_EVENTS

# Edges of the bands of days since the last order, in gaps.
OVERDUE_EDGES = (0.25, 0.5, 0.75, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0, 3.0, 5.0)
# Gaps at which the hazard is stored; in between it is interpolated.
GAPS = np.concatenate([np.arange(0, 3, 0.05), np.arange(3, 12, 0.25), np.arange(12, 122, 2.0)])
# Two gaps between order days are a rhythm, one is not.
MIN_ORDER_DAYS = 3


@dataclass(frozen=True)
class RhythmModel:
    """Cumulative hazards in gaps, by how overdue an order is.

    Attributes:
        cumulative_hazards: Cumulative hazard at GAPS of each band of OVERDUE_EDGES.
        observed_days: Always CAP_DAYS: hazards are extrapolated in gaps, not in days.
    """

    cumulative_hazards: list[list[float]]
    observed_days: int = CAP_DAYS

    name = "nelson_aalen_by_rhythm"

    def survival(self, snapshots: pd.DataFrame, day: pd.Timestamp) -> np.ndarray:
        """S(t) of each customer, shape (n_rows, CAP_DAYS + 1); NaN without a rhythm."""
        del day
        rhythm, band = rhythm_days(snapshots).to_numpy(dtype=float), overdue_band(snapshots)
        is_known = has_rhythm(snapshots)
        gaps = np.arange(CAP_DAYS + 1)[None, :] / rhythm[:, None]
        hazard = np.full(gaps.shape, np.nan)
        for number, own in enumerate(self.cumulative_hazards):
            rows = (band == number) & is_known
            hazard[rows] = np.interp(gaps[rows], GAPS, own)
        return np.exp(-hazard)


def has_rhythm(snapshots: pd.DataFrame) -> np.ndarray:
    """True for customers with orders on at least MIN_ORDER_DAYS days, shape (n_rows,).

    Args:
        snapshots: Column count_order_days.
    """
    return (snapshots["count_order_days"] >= MIN_ORDER_DAYS).to_numpy(dtype=bool)


def overdue_band(snapshots: pd.DataFrame) -> np.ndarray:
    """Number of the customer's band of OVERDUE_EDGES, 0 is the least overdue, shape (n_rows,).

    Args:
        snapshots: Columns of features.customer_snapshots.
    """
    since_last = snapshots["days_since_last_order"].to_numpy(dtype=float)
    return np.searchsorted(OVERDUE_EDGES, since_last / rhythm_days(snapshots).to_numpy(dtype=float))


def fit_rhythm(observations: pd.DataFrame) -> RhythmModel | None:
    """Fit Nelson-Aalen hazards to the customers with a rhythm.

    A band with few orders gets the hazard of all bands.

    Args:
        observations: As of `observations_of`.

    Returns:
        None if fewer than MIN_EVENTS customers with a rhythm ordered.
    """
    observations = recent(observations)
    observations = observations[has_rhythm(observations)]
    is_ordered = observations["is_ordered"].to_numpy(dtype=bool)
    if is_ordered.sum() < MIN_EVENTS:
        return None
    gaps = observations["days"].to_numpy() / rhythm_days(observations).to_numpy(dtype=float)
    band = overdue_band(observations)
    of_all = nelson_aalen(gaps, is_ordered)
    hazards = []
    for number in range(len(OVERDUE_EDGES) + 1):
        rows = band == number
        is_enough = is_ordered[rows].sum() >= MIN_EVENTS
        own = nelson_aalen(gaps[rows], is_ordered[rows]) if is_enough else of_all
        hazards.append(own.round(9).tolist())
    return RhythmModel(hazards)


def nelson_aalen(gaps: np.ndarray, is_ordered: np.ndarray) -> np.ndarray:
    """Nelson-Aalen cumulative hazard at GAPS, shape (len(GAPS),).

    After the longest observation the hazard is extrapolated at its mean rate.

    Args:
        gaps: Gaps until the order or the end of observation, above 0, shape (n,).
        is_ordered: False where the observation ended without an order, shape (n,).
    """
    from lifelines import NelsonAalenFitter

    fitter = NelsonAalenFitter(nelson_aalen_smoothing=False).fit(gaps, is_ordered)
    hazard = fitter.predict(GAPS).to_numpy(dtype=float)
    beyond = np.maximum(GAPS - gaps.max(), 0.0)
    return hazard + beyond * hazard[-1] / gaps.max()
