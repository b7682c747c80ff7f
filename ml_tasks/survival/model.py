"""Cox's model of the days to a customer's next order, and the baseline it has to beat.

lifelines fits; what is kept is coefficients, a cumulative hazard per shop day and the months'
levels, so that predictions are a few lines of numpy and the model is JSON.
"""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from ml_tasks.survival.curves import CAP_DAYS, MIN_AT_RISK, extended, kaplan_meier, support_days
from ml_tasks.survival.observations import (
    RECENCY_EDGES_DAYS,
    covariates,
    one_turn_each,
    recency_band,
    recent,
)
from ml_tasks.survival.shop_days import ShopDays, fit_shop_days

log = logging.getLogger(__name__)

HORIZONS_DAYS = (30, 60, 90, 180)
# A shop watched for a shorter time says nothing about a quarter, and few orders say little.
MIN_FOLLOW_UP_DAYS = 90
MIN_EVENTS = 50
PENALTY = 0.01
MAX_ROWS = 40_000  # more take longer and move no coefficient
CHUNK_ROWS = 20_000
# The level of the hazard is that of the last quarter, whatever the year before it was like.
LEVEL_DAYS = 91
# Those who ordered in the last 90 days and those who did not have a baseline hazard each: theirs
# are not proportional.
STRATUM_EDGE_DAYS = 90
MAX_SHOP_DAYS = 2 * CAP_DAYS
MAX_LOG_RISK = 15.0


@dataclass(frozen=True)
class CoxModel:
    """A stratified proportional hazards model in shop days, as numbers.

    Attributes:
        features: Names, see `covariates`.
        center: Value of each feature at which the baseline hazard holds.
        coefficients: Change in the log hazard per unit of each feature.
        cumulative_hazards: Of each stratum's baseline by the end of shop day 0..n; 0 on day 0.
        observed_days: The hazards were observed so far, in shop days; beyond, see `extended`.
        shop_days: How many shop days each day counts.
    """

    features: list[str]
    center: list[float]
    coefficients: list[float]
    cumulative_hazards: list[list[float]]
    observed_days: int
    shop_days: ShopDays

    name = "cox"

    def survival(self, snapshots: pd.DataFrame, day: pd.Timestamp) -> np.ndarray:
        """S(t) of each row, looked at on `day`: (n_rows, CAP_DAYS + 1), first column 1."""
        path = self.shop_days.path(day, CAP_DAYS)
        hazards = [np.interp(path, np.arange(len(h)), h) for h in self.cumulative_hazards]
        own = np.array(hazards)[np.minimum(stratum(snapshots), len(hazards) - 1)]
        return np.exp(-self._risk(snapshots)[:, None] * own)

    def _risk(self, snapshots: pd.DataFrame) -> np.ndarray:
        """Hazard as a multiple of the baseline's, shape (n_rows,)."""
        values = covariates(snapshots)[self.features].to_numpy()
        log_risk = (values - np.array(self.center)) @ np.array(self.coefficients)
        return np.exp(np.clip(log_risk, -MAX_LOG_RISK, MAX_LOG_RISK))


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

    def survival(self, snapshots: pd.DataFrame, day: pd.Timestamp) -> np.ndarray:
        """S(t) of each row, whatever the day: (n_rows, CAP_DAYS + 1), first column 1."""
        del day
        return np.exp(-np.array(self.cumulative_hazards)[recency_band(snapshots)])


SurvivalModel = CoxModel | RecencyModel
MAX_HAZARD = 700.0  # exp(-700) is about the smallest chance that a double can hold


def to_dict(model: SurvivalModel) -> dict[str, Any]:
    """The model as JSON."""
    return {"kind": model.name, **asdict(model)}


def from_dict(content: dict[str, Any]) -> SurvivalModel:
    """The model that `to_dict` wrote, today or before it knew strata and shop days."""
    fields = dict(content)
    if fields.pop("kind") == RecencyModel.name:
        return RecencyModel(**fields)
    if "cumulative_hazard" in fields:
        fields["cumulative_hazards"] = [fields.pop("cumulative_hazard")]
        fields["shop_days"] = {"first_month": "2000-01-01", "levels": [0.0]}
    return CoxModel(**{**fields, "shop_days": ShopDays(**fields["shop_days"])})


def stratum(snapshots: pd.DataFrame) -> np.ndarray:
    """0 who ordered in the last STRATUM_EDGE_DAYS, 1 who did not, shape (n_rows,)."""
    return (snapshots["days_since_last_order"].to_numpy() > STRATUM_EDGE_DAYS).astype(int)


def fit_cox(observations: pd.DataFrame, known_date: pd.Timestamp) -> CoxModel | None:
    """Fit a penalised Cox model; None if customers don't differ or the likelihood has no maximum.

    Coefficients come from all that was watched of the last year's snapshots. The baseline hazards
    come from the last quarter alone, in which older snapshots take part from the day that it
    began ("period analysis"): customers of today, at their present level.

    Args:
        observations: As of `observations_of`, by what was known on `known_date`, in a fixed order.
        known_date: Day after the last one watched.

    Source:
        Cox (1972); ties by Efron, as lifelines does. Baselines by Breslow (1972). Period analysis:
        Brenner and Gefeller (1996), Cancer 78:2004.
    """
    shop_days = fit_shop_days(observations, known_date)
    newest = recent(observations)
    coefficients = _coefficients(one_turn_each(newest, MAX_ROWS), shop_days)
    if coefficients is None:
        return None
    features = list(coefficients.index)
    center = covariates(newest)[features].mean()
    log_risk = (covariates(newest)[features] - center).to_numpy() @ coefficients.to_numpy()
    risk = np.exp(np.clip(log_risk, -MAX_LOG_RISK, MAX_LOG_RISK))
    hazards, observed_days = _baselines(newest, risk, shop_days, known_date)
    return CoxModel(
        features=features,
        center=center.tolist(),
        coefficients=coefficients.tolist(),
        cumulative_hazards=hazards,
        observed_days=observed_days,
        shop_days=shop_days,
    )


def in_shop_days(observations: pd.DataFrame, shop_days: ShopDays) -> pd.Series:
    """Shop days until the order or the end of watching: whole, at least 1."""
    watched = shop_days.between(observations["snapshot_date"], observations["days"].to_numpy())
    return pd.Series(np.maximum(np.round(watched), 1.0), index=observations.index)


def _coefficients(observations: pd.DataFrame, shop_days: ShopDays) -> pd.Series | None:
    """Change in the log hazard per unit, by feature; features that don't vary are left out."""
    from lifelines import CoxPHFitter
    from lifelines.exceptions import ConvergenceError

    frame = covariates(observations)
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
        log.warning("Cox's model can't be fitted to %d observations: %s", len(frame), error)
        return None
    return fitter.params_ / scale


def _baselines(
    observations: pd.DataFrame, risk: np.ndarray, shop_days: ShopDays, known_date: pd.Timestamp
) -> tuple[list[list[float]], int]:
    """Cumulative hazard of each stratum in the last quarter, and the last shop day observed.

    A stratum of few orders in the quarter takes the hazard of both; a quarter of few orders, or
    without a snapshot whose first days it could show, that of all that was watched.
    """
    ages = (known_date - observations["snapshot_date"]).dt.days.to_numpy()
    days = observations["days"].to_numpy()
    skipped = np.maximum(ages - LEVEL_DAYS, 0)
    rows = days > skipped
    is_new = rows & (skipped == 0)
    if not is_new.any() or observations["is_ordered"].to_numpy()[rows].sum() < MIN_EVENTS:
        rows, skipped = np.ones(len(days), dtype=bool), np.zeros(len(days), dtype=int)
    used = observations[rows]
    entry = np.round(shop_days.between(used["snapshot_date"], skipped[rows])).astype(int)
    exit_ = np.maximum(in_shop_days(used, shop_days).to_numpy().astype(int), entry + 1)
    is_ordered, own, risk = used["is_ordered"].to_numpy(), stratum(used), risk[rows]
    of_all, observed_days = breslow(risk, entry, exit_, is_ordered)
    hazards = []
    for number in (0, 1):
        m = own == number
        is_enough = is_ordered[m].sum() >= MIN_EVENTS
        hazard = breslow(risk[m], entry[m], exit_[m], is_ordered[m])[0] if is_enough else of_all
        hazards.append(hazard.tolist())
    return hazards, observed_days


def breslow(
    risk: np.ndarray, entry: np.ndarray, exit_: np.ndarray, is_ordered: np.ndarray
) -> tuple[np.ndarray, int]:
    """Cumulative baseline hazard of observations that may have come in late.

    Args:
        risk: Hazard as a multiple of the baseline's, shape (n,).
        entry: Watched from after this day on, at least 0, shape (n,).
        exit_: Day of the order or last day watched, above entry, shape (n,).
        is_ordered: False where watching ended, shape (n,).

    Returns:
        The hazard by the end of day 0..MAX_SHOP_DAYS, and the last day on which enough were
        watched; beyond it the hazard goes on, see `extended`.
    """
    size = MAX_SHOP_DAYS + 2
    entry, is_ordered = np.minimum(entry, size - 1), is_ordered & (exit_ < size)
    exit_ = np.minimum(exit_, size - 1)

    def watched(weight: np.ndarray) -> np.ndarray:
        came = np.bincount(entry + 1, weight, size + 1)
        left = np.bincount(exit_ + 1, weight, size + 1)
        return np.cumsum(came - left)[:size]

    count = np.round(watched(np.ones(len(risk))))
    orders = np.bincount(exit_[is_ordered], minlength=size)
    step = np.divide(orders, watched(risk), out=np.zeros(size), where=count > 0)
    last_day = max(int(np.flatnonzero(count >= MIN_AT_RISK).max(initial=1)), 1)
    hazard = np.minimum(extended(np.cumsum(step), min(last_day, MAX_SHOP_DAYS)), MAX_HAZARD)
    return hazard[: MAX_SHOP_DAYS + 1], last_day


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


def predict(model: SurvivalModel, snapshots: pd.DataFrame, day: pd.Timestamp) -> pd.DataFrame:
    """When each customer will be back, counted from the date of the snapshots.

    Rows go through in chunks, so that no more than CHUNK_ROWS curves are held at a time.

    Args:
        model: Fitted on earlier dates.
        snapshots: One row per customer_id.
        day: Date of the snapshots.

    Returns:
        customer_id, expected_days_to_next_order (in [0, CAP_DAYS]), order_probability_<n>d.
    """
    parts = [
        _predict_chunk(model, snapshots.iloc[start : start + CHUNK_ROWS], day)
        for start in range(0, max(len(snapshots), 1), CHUNK_ROWS)
    ]
    return pd.concat(parts)


def _predict_chunk(
    model: SurvivalModel, snapshots: pd.DataFrame, day: pd.Timestamp
) -> pd.DataFrame:
    survival = model.survival(snapshots, day)
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
