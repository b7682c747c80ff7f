"""Cox's model of the days to a customer's next order.

lifelines fits the model. The model keeps coefficients, a cumulative hazard per shop day and the
shop days, so that it predicts in a few lines of numpy and is stored as JSON.
"""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
import pandas as pd

from ml_tasks.customers.shop_days import ShopDays
from ml_tasks.survival.curves import CAP_DAYS
from ml_tasks.survival.hazards import baselines, in_shop_days, stratum
from ml_tasks.survival.observations import (
    covariates,
    one_turn_each,
    recent,
    usual_order_amount,
)
from ml_tasks.survival.recency import RecencyModel
from ml_tasks.survival.rhythm import RhythmModel

log = logging.getLogger(__name__)

HORIZONS_DAYS = (30, 60, 90, 180)
PENALTY = 0.01
MAX_ROWS = 40_000  # more rows take longer and change no coefficient
CHUNK_ROWS = 20_000
MAX_LOG_RISK = 15.0


@dataclass(frozen=True)
class CoxModel:
    """A stratified proportional hazards model in shop days, as numbers.

    Attributes:
        features: Names of covariates, see `covariates`.
        center: Value of each feature at which the baseline hazard holds.
        coefficients: Change in the log hazard per unit of each feature.
        cumulative_hazards: Baseline hazard of each stratum by the end of shop day 0..n; 0 on day 0.
        observed_days: Last observed shop day; later hazards are extrapolated (`extended`).
        shop_days: Shop days in each calendar day.
        order_amount: Unit of spend, shop currency; 1 in models of earlier versions.
    """

    features: list[str]
    center: list[float]
    coefficients: list[float]
    cumulative_hazards: list[list[float]]
    observed_days: int
    shop_days: ShopDays
    order_amount: float = 1.0

    name = "cox"

    def survival(self, snapshots: pd.DataFrame, day: pd.Timestamp) -> np.ndarray:
        """S(t) of each customer from `day` on, shape (n_rows, CAP_DAYS + 1), first column 1."""
        path = self.shop_days.path(day, CAP_DAYS)
        hazards = [np.interp(path, np.arange(len(h)), h) for h in self.cumulative_hazards]
        own = np.array(hazards)[np.minimum(stratum(snapshots), len(hazards) - 1)]
        return np.exp(-self._risk(snapshots)[:, None] * own)

    def _risk(self, snapshots: pd.DataFrame) -> np.ndarray:
        """Hazard as a multiple of the baseline hazard, shape (n_rows,)."""
        values = np.ascontiguousarray(covariates(snapshots, self.order_amount)[self.features])
        # no matrix product: its last digits depend on the number of rows
        log_risk = ((values - np.array(self.center)) * np.array(self.coefficients)).sum(axis=1)
        return np.exp(np.clip(log_risk, -MAX_LOG_RISK, MAX_LOG_RISK))


SurvivalModel = CoxModel | RecencyModel | RhythmModel


class Curves(Protocol):
    """A model that predicts a survival curve per customer."""

    def survival(self, snapshots: pd.DataFrame, day: pd.Timestamp) -> np.ndarray:
        """S(t) of each customer from `day` on, shape (n_rows, CAP_DAYS + 1), first column 1."""


def to_dict(model: SurvivalModel) -> dict[str, Any]:
    """The model as JSON."""
    return {"kind": model.name, **asdict(model)}


def from_dict(content: dict[str, Any]) -> SurvivalModel:
    """The model, rebuilt from the result of `to_dict`, also of versions without strata."""
    fields = dict(content)
    kind = fields.pop("kind")
    if kind == RecencyModel.name:
        return RecencyModel(**fields)
    if kind == RhythmModel.name:
        return RhythmModel(**fields)
    if "cumulative_hazard" in fields:
        fields["cumulative_hazards"] = [fields.pop("cumulative_hazard")]
        fields["shop_days"] = {"first_day": "2000-01-01", "speeds": [1.0]}
    return CoxModel(**{**fields, "shop_days": ShopDays(**fields["shop_days"])})


def fit_cox(
    observations: pd.DataFrame, known_date: pd.Timestamp, shop_days: ShopDays
) -> CoxModel | None:
    """Fit a penalised Cox model.

    Coefficients are fitted to the last year's snapshots. The baseline hazards are fitted to the
    last quarter alone, which older snapshots enter on its first day ("period analysis"), so that
    they have the present level.

    Args:
        observations: As of `observations_of`, as known on `known_date`, in a fixed order.
        known_date: Day after the last observed one.
        shop_days: Shop days in each calendar day, as known on `known_date`.

    Returns:
        None if the customers do not differ or the likelihood has no maximum.

    Source:
        Cox (1972); ties by Efron, as lifelines does. Baselines by Breslow (1972). Period analysis:
        Brenner and Gefeller (1996), Cancer 78:2004.
    """
    newest = recent(observations)
    order_amount = usual_order_amount(newest)
    coefficients = _coefficients(one_turn_each(newest, MAX_ROWS), shop_days, order_amount)
    if coefficients is None:
        return None
    features = list(coefficients.index)
    values = covariates(newest, order_amount)[features]
    center = values.mean()
    log_risk = (values - center).to_numpy() @ coefficients.to_numpy()
    risk = np.exp(np.clip(log_risk, -MAX_LOG_RISK, MAX_LOG_RISK))
    hazards, observed_days = baselines(newest, risk, shop_days, known_date)
    return CoxModel(
        features=features,
        center=center.tolist(),
        coefficients=coefficients.tolist(),
        cumulative_hazards=hazards,
        observed_days=observed_days,
        shop_days=shop_days,
        order_amount=order_amount,
    )


def _coefficients(
    observations: pd.DataFrame, shop_days: ShopDays, order_amount: float
) -> pd.Series | None:
    """Change in the log hazard per unit of each feature; constant features are left out."""
    from lifelines import CoxPHFitter
    from lifelines.exceptions import ConvergenceError

    frame = covariates(observations, order_amount)
    frame = frame.loc[:, frame.std() > 1e-6]
    if frame.empty:
        return None
    scale = frame.std()
    scaled = (frame / scale).assign(
        days=in_shop_days(observations, shop_days),
        is_ordered=observations["is_ordered"],
        stratum=stratum(observations),
    )
    fitter = CoxPHFitter(penalizer=PENALTY)
    try:
        fitter.fit(scaled, duration_col="days", event_col="is_ordered", strata=["stratum"])
    except ConvergenceError as error:
        log.warning("Cox's model did not converge on %d observations: %s", len(frame), error)
        return None
    return fitter.params_ / scale


def predict(model: Curves, snapshots: pd.DataFrame, day: pd.Timestamp) -> pd.DataFrame:
    """Predict each customer's days to the next order, counted from the date of the snapshots.

    Rows are predicted in chunks, so that memory holds at most CHUNK_ROWS curves at a time.

    Args:
        model: The fitted model.
        snapshots: Columns of features.customer_snapshots, one row per customer_id.
        day: Date of the snapshots.

    Returns:
        Columns customer_id, expected_days_to_next_order (in [0, CAP_DAYS]) and
        order_probability_<n>d for each of HORIZONS_DAYS.
    """
    parts = [
        _predict_chunk(model, snapshots.iloc[start : start + CHUNK_ROWS], day)
        for start in range(0, max(len(snapshots), 1), CHUNK_ROWS)
    ]
    return pd.concat(parts)


def _predict_chunk(model: Curves, snapshots: pd.DataFrame, day: pd.Timestamp) -> pd.DataFrame:
    survival = model.survival(snapshots, day)
    columns = {
        "customer_id": snapshots["customer_id"],
        "expected_days_to_next_order": restricted_mean_days(survival),
    }
    for horizon_days in HORIZONS_DAYS:
        columns[f"order_probability_{horizon_days}d"] = 1.0 - survival[:, horizon_days]
    return pd.DataFrame(columns, index=snapshots.index)


def restricted_mean_days(survival: np.ndarray) -> np.ndarray:
    """Expected days before the next order, capped at CAP_DAYS, shape (n_rows,).

    Args:
        survival: S(t) for t = 0..CAP_DAYS, shape (n_rows, CAP_DAYS + 1).

    Source:
        Royston and Parmar (2013), BMC Medical Research Methodology 13:152.
    """
    return survival[:, 1:].sum(axis=1)
