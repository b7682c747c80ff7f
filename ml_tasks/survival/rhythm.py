"""Curves in a customer's own time: days are counted in usual gaps between their orders.

Whoever orders each month is due a month after the last order, whoever orders each quarter is not.
So customers with a rhythm of their own are taken together who are equally overdue, and what is
learnt is how many gaps pass until the next order.

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

# Bands of the days since the last order, in gaps.
OVERDUE_EDGES = (0.25, 0.5, 0.75, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0, 3.0, 5.0)
# Gaps at which the hazard is kept; straight lines in between.
GAPS = np.concatenate([np.arange(0, 3, 0.05), np.arange(3, 12, 0.25), np.arange(12, 122, 2.0)])
# Two gaps between order days are a rhythm, one is not.
MIN_ORDER_DAYS = 3


@dataclass(frozen=True)
class RhythmModel:
    """Cumulative hazards in gaps, by how overdue an order is.

    Attributes:
        cumulative_hazards: Of each band of OVERDUE_EDGES at GAPS.
        observed_days: The hazards go on at their mean rate where nobody was watched for so long.
    """

    cumulative_hazards: list[list[float]]
    observed_days: int = CAP_DAYS

    name = "nelson_aalen_by_rhythm"

    def survival(self, snapshots: pd.DataFrame, day: pd.Timestamp) -> np.ndarray:
        """S(t) of each row, (n_rows, CAP_DAYS + 1); NaN of customers without a rhythm."""
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
    """Whether a customer has ordered on MIN_ORDER_DAYS days, shape (n_rows,)."""
    return (snapshots["count_order_days"] >= MIN_ORDER_DAYS).to_numpy(dtype=bool)


def overdue_band(snapshots: pd.DataFrame) -> np.ndarray:
    """Number of the band of OVERDUE_EDGES, 0 the least overdue, shape (n_rows,)."""
    since_last = snapshots["days_since_last_order"].to_numpy(dtype=float)
    return np.searchsorted(OVERDUE_EDGES, since_last / rhythm_days(snapshots).to_numpy(dtype=float))


def fit_rhythm(observations: pd.DataFrame) -> RhythmModel | None:
    """Nelson-Aalen hazards of the customers with a rhythm; None where too few of them ordered.

    A band in which few ordered takes the hazard of all bands.

    Args:
        observations: As of `observations_of`.
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
    """Cumulative hazard at GAPS; beyond the longest time watched it goes on at its mean rate.

    Args:
        gaps: Until the order or the end of watching, shape (n,), above 0.
        is_ordered: False where watching ended, shape (n,).
    """
    from lifelines import NelsonAalenFitter

    fitter = NelsonAalenFitter(nelson_aalen_smoothing=False).fit(gaps, is_ordered)
    found = fitter.predict(GAPS).to_numpy(dtype=float)
    beyond = np.maximum(GAPS - gaps.max(), 0.0)
    return found + beyond * found[-1] / gaps.max()
