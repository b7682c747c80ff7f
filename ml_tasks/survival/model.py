"""Cox's model of the days to a customer's next order, and the baseline it has to beat.

lifelines fits; what is kept is coefficients and a cumulative hazard per day, so that predictions
are three lines of numpy and the model is JSON.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from ml_tasks.survival.curves import CAP_DAYS, extended, kaplan_meier, support_days

HORIZONS_DAYS = (30, 60, 90, 180)
# A shop watched for a shorter time says nothing about a quarter, and few orders say little.
MIN_FOLLOW_UP_DAYS = 90
MIN_EVENTS = 50
PENALTY = 0.01
# More rows than these take longer and move no coefficient; every k-th row is kept.
MAX_ROWS = 40_000
CHUNK_ROWS = 20_000
# Models learn from customers looked at within the last year: each season once, and the customers
# of today. (On Online Retail II two years of them put the level 40 % too high in mid-2011.)
WINDOW_DAYS = 366
RECENCY_EDGES_DAYS = (30, 60, 90, 180, 365)


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


def observations_of(next_orders: pd.DataFrame) -> pd.DataFrame:
    """Add `days`, from the snapshot to the order or to the end of watching, at least 1.

    An order on the snapshot day itself (duration_days 0) came within 1 day. A customer without
    an order was watched for duration_days days, the last of them the day before the knowledge
    date. Rows not watched for a day are left out.
    """
    days = next_orders["duration_days"] + next_orders["is_ordered"].astype(int)
    return next_orders.assign(days=days.astype(int))[days >= 1]


def known_on(observations: pd.DataFrame, known_date: pd.Timestamp) -> pd.DataFrame:
    """The observations as they stood on an earlier date."""
    before = observations[observations["snapshot_date"] < known_date]
    watched = (known_date - before["snapshot_date"]).dt.days
    return before.assign(
        days=np.minimum(before["days"], watched),
        is_ordered=before["is_ordered"] & (before["days"] <= watched),
    )


def covariates(snapshots: pd.DataFrame) -> pd.DataFrame:
    """What the hazard depends on: recency, frequency, value and rhythm.

    Args:
        snapshots: Columns of features.customer_snapshots.

    Returns:
        Columns of finite floats, one row per row given.
    """
    since_last = snapshots["days_since_last_order"].astype(float)
    since_first = snapshots["days_since_first_order"].astype(float)
    gap = snapshots["avg_days_between_orders"].astype(float)
    # one order day so far is no rhythm yet: the gap is at least the wait till now
    rhythm = gap.fillna(since_first).clip(lower=1)
    spend = snapshots["net_spend_amount_365d"].astype(float).clip(lower=0)
    columns = {
        "log_days_since_last_order": np.log1p(since_last),
        "log_days_since_first_order": np.log1p(since_first),
        "log_count_orders": np.log1p(snapshots["count_orders"].astype(float)),
        "log_count_orders_90d": np.log1p(snapshots["count_orders_90d"].astype(float)),
        "log_count_orders_365d": np.log1p(snapshots["count_orders_365d"].astype(float)),
        "log_net_spend_amount_365d": np.log1p(spend),
        "log_days_between_orders": np.log(rhythm),
        "log_overdue": np.log1p(since_last / rhythm),
        "has_one_order_day": gap.isna().astype(float),
    }
    return pd.DataFrame(columns, index=snapshots.index)


def fit_cox(observations: pd.DataFrame) -> CoxModel:
    """Fit a penalised Cox model.

    Args:
        observations: As of `observations_of`, in a fixed order.

    Raises:
        lifelines.exceptions.ConvergenceError: If the likelihood has no maximum.

    Source:
        Cox (1972); ties by Efron, baseline by Breslow, as lifelines does.
    """
    from lifelines import CoxPHFitter

    recent = _recent(observations)
    kept = recent.iloc[:: -(-len(recent) // MAX_ROWS)]
    frame = covariates(kept)
    frame = frame.loc[:, frame.std() > 1e-6]
    scale = frame.std()
    scaled = (frame / scale).assign(days=kept["days"], is_ordered=kept["is_ordered"])
    fitter = CoxPHFitter(penalizer=PENALTY)
    fitter.fit(scaled, duration_col="days", event_col="is_ordered")
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
    observations = _recent(observations)
    band = recency_band(observations)
    of_all = _cumulative_hazard(observations)
    hazards = []
    for number in range(len(RECENCY_EDGES_DAYS) + 1):
        members = observations[band == number]
        is_enough = members["is_ordered"].sum() >= MIN_EVENTS
        hazards.append((_cumulative_hazard(members) if is_enough else of_all).tolist())
    return RecencyModel(hazards, support_days(observations["days"].to_numpy()))


def _recent(observations: pd.DataFrame) -> pd.DataFrame:
    end = observations["snapshot_date"].max()
    return observations[(end - observations["snapshot_date"]).dt.days < WINDOW_DAYS]


def _cumulative_hazard(observations: pd.DataFrame) -> np.ndarray:
    """-log of the Kaplan-Meier curve by the end of day 0..CAP_DAYS."""
    days = observations["days"].to_numpy()
    curve = kaplan_meier(days, observations["is_ordered"].to_numpy())["survival_probability"]
    with np.errstate(divide="ignore"):
        hazard = -np.log(curve.to_numpy())
    padded = np.pad(hazard, (0, CAP_DAYS + 1 - len(hazard)), mode="edge")
    return np.minimum(extended(padded, len(hazard) - 1), MAX_HAZARD)


def recency_band(snapshots: pd.DataFrame) -> np.ndarray:
    """Number of the recency band, 0 the most recent, shape (n_rows,)."""
    return np.searchsorted(RECENCY_EDGES_DAYS, snapshots["days_since_last_order"].to_numpy())


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
