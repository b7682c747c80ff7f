"""Cox's model of the days to a customer's next order, and the baseline it has to beat.

lifelines fits; what is kept is coefficients and a cumulative hazard per day, so that predictions
are three lines of numpy and the model is JSON.
"""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from ml_tasks.survival.curves import CAP_DAYS, extended, kaplan_meier, support_days
from ml_tasks.survival.observations import RECENCY_EDGES_DAYS, covariates, recency_band, recent

log = logging.getLogger(__name__)

HORIZONS_DAYS = (30, 60, 90, 180)
# A shop watched for a shorter time says nothing about a quarter, and few orders say little.
MIN_FOLLOW_UP_DAYS = 90
MIN_EVENTS = 50
PENALTY = 0.01
# More rows than these take longer and move no coefficient; every k-th row is kept.
MAX_ROWS = 40_000
CHUNK_ROWS = 20_000


@dataclass(frozen=True)
class CoxModel:
    """A proportional hazards model as numbers.

    Attributes:
        features: Names, see `covariates`.
        center: Value of each feature at which the baseline hazard holds.
        coefficients: Change in the log hazard per unit of each feature.
        cumulative_hazard: Of the baseline by the end of day 0..CAP_DAYS; 0 on day 0.
        observed_days: The hazard was observed so far; beyond, see `extended`.
    """

    features: list[str]
    center: list[float]
    coefficients: list[float]
    cumulative_hazard: list[float]
    observed_days: int

    name = "cox"

    def survival(self, snapshots: pd.DataFrame) -> np.ndarray:
        """S(t) of each row, shape (n_rows, CAP_DAYS + 1), first column 1."""
        values = covariates(snapshots)[self.features].to_numpy()
        risk = np.exp((values - np.array(self.center)) @ np.array(self.coefficients))
        return np.exp(-risk[:, None] * np.array(self.cumulative_hazard))


@dataclass(frozen=True)
class RecencyModel:
    """The baseline: the Kaplan-Meier curve of those who ordered about as long ago.

    Attributes:
        cumulative_hazards: Of each recency band by the end of day 0..CAP_DAYS, at most
            MAX_HAZARD (JSON has no infinity).
        observed_days: The curves were observed so far; beyond, see `extended`.
    """

    cumulative_hazards: list[list[float]]
    observed_days: int

    name = "kaplan_meier_by_recency"

    def survival(self, snapshots: pd.DataFrame) -> np.ndarray:
        """S(t) of each row, shape (n_rows, CAP_DAYS + 1), first column 1."""
        return np.exp(-np.array(self.cumulative_hazards)[recency_band(snapshots)])


SurvivalModel = CoxModel | RecencyModel
KINDS: dict[str, type[CoxModel] | type[RecencyModel]] = {
    kind.name: kind for kind in (CoxModel, RecencyModel)
}
MAX_HAZARD = 700.0  # exp(-700) is about the smallest chance that a double can hold


def to_dict(model: SurvivalModel) -> dict[str, Any]:
    """The model as JSON."""
    return {"kind": model.name, **asdict(model)}


def from_dict(content: dict[str, Any]) -> SurvivalModel:
    """The model that `to_dict` wrote."""
    fields = dict(content)
    return KINDS[fields.pop("kind")](**fields)


def fit_cox(observations: pd.DataFrame) -> CoxModel | None:
    """Fit a penalised Cox model; None if customers don't differ or the likelihood has no maximum.

    Args:
        observations: As of `observations_of`, in a fixed order.

    Source:
        Cox (1972); ties by Efron, baseline by Breslow, as lifelines does.
    """
    from lifelines import CoxPHFitter
    from lifelines.exceptions import ConvergenceError

    newest = recent(observations)
    kept = newest.iloc[:: -(-len(newest) // MAX_ROWS)]
    frame = covariates(kept)
    frame = frame.loc[:, frame.std() > 1e-6]
    if frame.empty:
        return None
    scale = frame.std()
    scaled = (frame / scale).assign(days=kept["days"], is_ordered=kept["is_ordered"])
    fitter = CoxPHFitter(penalizer=PENALTY)
    try:
        fitter.fit(scaled, duration_col="days", event_col="is_ordered")
    except ConvergenceError as error:
        log.warning("Cox's model can't be fitted to %d observations: %s", len(kept), error)
        return None
    hazard = fitter.baseline_cumulative_hazard_.iloc[:, 0]
    by_day = hazard.reindex(np.arange(CAP_DAYS + 1), method="ffill").fillna(0.0).to_numpy()
    observed_days = support_days(kept["days"].to_numpy())
    return CoxModel(
        features=list(frame.columns),
        center=frame.mean().tolist(),
        coefficients=(fitter.params_ / scale).tolist(),
        cumulative_hazard=extended(by_day, observed_days).tolist(),
        observed_days=observed_days,
    )


def fit_recency(observations: pd.DataFrame) -> RecencyModel:
    """Kaplan-Meier curves by recency; a band of few observations takes the curve of all."""
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
    """-log of the Kaplan-Meier curve by the end of day 0..CAP_DAYS."""
    days = observations["days"].to_numpy()
    curve = kaplan_meier(days, observations["is_ordered"].to_numpy())["survival_probability"]
    with np.errstate(divide="ignore"):
        hazard = -np.log(curve.to_numpy())
    padded = np.pad(hazard, (0, CAP_DAYS + 1 - len(hazard)), mode="edge")
    return np.minimum(extended(padded, len(hazard) - 1), MAX_HAZARD)


def predict(model: SurvivalModel, snapshots: pd.DataFrame) -> pd.DataFrame:
    """When each customer will be back, counted from the date of the snapshots.

    Args:
        model: Fitted on earlier dates.
        snapshots: One row per customer_id.

    Returns:
        customer_id, expected_days_to_next_order (in [0, CAP_DAYS]), order_probability_<n>d.
    """
    parts = [
        _predict_chunk(model, snapshots.iloc[start : start + CHUNK_ROWS])
        for start in range(0, max(len(snapshots), 1), CHUNK_ROWS)
    ]
    return pd.concat(parts)


def _predict_chunk(model: SurvivalModel, snapshots: pd.DataFrame) -> pd.DataFrame:
    survival = model.survival(snapshots)
    columns = {
        "customer_id": snapshots["customer_id"],
        "expected_days_to_next_order": restricted_mean_days(survival),
    }
    for horizon_days in HORIZONS_DAYS:
        columns[f"order_probability_{horizon_days}d"] = 1.0 - survival[:, horizon_days]
    return pd.DataFrame(columns, index=snapshots.index)


def restricted_mean_days(survival: np.ndarray) -> np.ndarray:
    """Expected whole days before the order, CAP_DAYS for one that has not come by then.

    Args:
        survival: S(t) for t = 0..CAP_DAYS, shape (n_rows, CAP_DAYS + 1).

    Source:
        Royston and Parmar (2013), BMC Medical Research Methodology 13:152.
    """
    return survival[:, 1:].sum(axis=1)
