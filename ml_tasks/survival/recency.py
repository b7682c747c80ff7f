"""Baseline of survival: the Kaplan-Meier curve of customers with a similar last order date."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ml_tasks.survival.curves import CAP_DAYS, extended, kaplan_meier, support_days
from ml_tasks.survival.observations import RECENCY_EDGES_DAYS, recency_band, recent

# Least observed days and least number of orders: less is not enough to estimate a quarter.
MIN_FOLLOW_UP_DAYS = 90
MIN_EVENTS = 50
MAX_HAZARD = 700.0  # exp(-700) is about the smallest chance that a double can hold


@dataclass(frozen=True)
class RecencyModel:
    """The baseline: a Kaplan-Meier curve per recency band.

    Attributes:
        cumulative_hazards: Cumulative hazard of each band by the end of day 0..CAP_DAYS, at most
            MAX_HAZARD (JSON has no infinity).
        observed_days: Last observed day; later hazards are extrapolated (`extended`).
    """

    cumulative_hazards: list[list[float]]
    observed_days: int

    name = "kaplan_meier_by_recency"

    def survival(self, snapshots: pd.DataFrame, day: pd.Timestamp) -> np.ndarray:
        """S(t) of each customer, shape (n_rows, CAP_DAYS + 1), first column 1; `day` is unused."""
        del day
        return np.exp(-np.array(self.cumulative_hazards)[recency_band(snapshots)])


def fit_recency(observations: pd.DataFrame) -> RecencyModel:
    """Fit a Kaplan-Meier curve per recency band; a band with few orders gets the curve of all.

    Args:
        observations: As of `observations_of`.
    """
    observations = recent(observations)
    band = recency_band(observations)
    of_all = _cumulative_hazard(observations)
    hazards = []
    for number in range(len(RECENCY_EDGES_DAYS) + 1):
        members = observations[band == number]
        is_enough = members["is_ordered"].sum() >= MIN_EVENTS
        hazards.append((_cumulative_hazard(members) if is_enough else of_all).tolist())
    return RecencyModel(hazards, support_days(observations["days"].to_numpy()))


def _cumulative_hazard(observations: pd.DataFrame) -> np.ndarray:
    """-log of the Kaplan-Meier curve by the end of day 0..CAP_DAYS, shape (CAP_DAYS + 1,)."""
    days = observations["days"].to_numpy()
    curve = kaplan_meier(days, observations["is_ordered"].to_numpy())["survival_probability"]
    with np.errstate(divide="ignore"):
        hazard = -np.log(curve.to_numpy())
    padded = np.pad(hazard, (0, CAP_DAYS + 1 - len(hazard)), mode="edge")
    return np.minimum(extended(padded, len(hazard) - 1), MAX_HAZARD)
