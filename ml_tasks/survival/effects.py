"""What hastens the next order and what delays it: hazard ratios with intervals, for people.

A model of its own, fitted without penalty to each customer once: its intervals are those of
independent observations, and its few covariates can be read one by one. The model that predicts
has more of them, which share what they say.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ml_tasks.survival.hazards import STRATUM_EDGE_DAYS, in_shop_days, stratum
from ml_tasks.survival.observations import covariates, once_each, recent
from ml_tasks.survival.shop_days import ShopDays

if TYPE_CHECKING:
    from lifelines import CoxPHFitter

log = logging.getLogger(__name__)

TWICE, YES = "twice as much", "yes against no"
# covariate -> its name in the table, what it is, the step that the hazard ratio is about
COVARIATES = {
    "log_days_since_last_order": ("days_since_last_order", "days since the last order", TWICE),
    "log_days_since_first_order": ("days_since_first_order", "days since the first order", TWICE),
    "log_days_between_orders": ("days_between_orders", "usual days between orders", TWICE),
    "log_count_orders_365d": ("count_orders_365d", "1 + orders in the last 365 days", TWICE),
    "log_count_orders_90d": ("count_orders_90d", "1 + orders in the last 90 days", TWICE),
    "log_net_spend_amount_365d": (
        "net_spend_amount_365d",
        "1 + net spend in the last 365 days",
        TWICE,
    ),
    "has_one_order_day": ("has_one_order_day", "has ordered on one day only", YES),
}
EFFECT_COLUMNS = (
    "covariate",
    "description",
    "unit",
    "hazard_ratio",
    "hazard_ratio_lower",
    "hazard_ratio_upper",
    "proportional_p_value",
)
# Below this chance the hazards are taken not to be proportional.
PROPORTIONAL_LEVEL = 0.01


def fit_effects(
    observations: pd.DataFrame, shop_days: ShopDays
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Hazard ratios, and what the check of proportional hazards said before and after strata.

    Where the check fails, those who ordered in the last 90 days and those who did not get a
    baseline hazard each. A covariate that still fails has a ratio that is the mean over the time
    watched.

    Args:
        observations: As of `observations_of`.
        shop_days: Of the model that predicts.

    Returns:
        One row per covariate, EFFECT_COLUMNS, none if the likelihood has no maximum; the report.

    Source:
        Grambsch and Therneau (1994), doi 10.1093/biomet/81.3.515, by lifelines.
    """
    once = once_each(recent(observations))
    frame = covariates(once)[list(COVARIATES)]
    frame = frame.loc[:, frame.std() > 1e-6]
    data = frame.assign(
        days=in_shop_days(once, shop_days),
        is_ordered=once["is_ordered"],
        stratum=stratum(once),
    )
    plain = _fit(data.drop(columns="stratum"), None) if len(frame.columns) else None
    if plain is None:
        return pd.DataFrame(columns=list(EFFECT_COLUMNS)), {"decision": "no effects can be told"}
    before = _p_values(plain, data.drop(columns="stratum"))
    kept, after = plain, before
    if before.min() < PROPORTIONAL_LEVEL and data["stratum"].nunique() > 1:
        stratified = _fit(data, ["stratum"])
        if stratified is not None:
            kept, after = stratified, _p_values(stratified, data)
    report = {
        "decision": "one baseline hazard" if kept is plain else "a baseline hazard per stratum",
        "strata": f"ordered in the last {STRATUM_EDGE_DAYS} days, or not",
        "count_customers": len(once),
        "p_values_before": before.to_dict(),
        "p_values_after": after.to_dict(),
    }
    return _table(kept, after), report


def _fit(data: pd.DataFrame, strata: list[str] | None) -> CoxPHFitter | None:
    from lifelines import CoxPHFitter
    from lifelines.exceptions import ConvergenceError

    try:
        return CoxPHFitter().fit(data, "days", "is_ordered", strata=strata)
    except ConvergenceError as error:
        log.warning("effects can't be fitted to %d observations: %s", len(data), error)
        return None


def _p_values(fitter: CoxPHFitter, data: pd.DataFrame) -> pd.Series:
    """Chance of residuals that trend so with the rank of time, were hazards proportional."""
    from lifelines.statistics import proportional_hazard_test

    test = proportional_hazard_test(fitter, data, time_transform="rank")
    return test.summary["p"].astype(float)


def _table(fitter: CoxPHFitter, p_values: pd.Series) -> pd.DataFrame:
    rows = []
    for name in fitter.params_.index:
        covariate, words, unit = COVARIATES[name]
        step = np.log(2.0) if unit == TWICE else 1.0
        estimate, error = fitter.params_[name], fitter.standard_errors_[name]
        ends = np.exp(step * (estimate + 1.959964 * error * np.array([0.0, -1.0, 1.0])))
        ratio, lower, upper = (float(end) for end in ends)
        rows.append(
            (covariate, _sentence(words, unit, ratio), unit, ratio, lower, upper, p_values[name])
        )
    return pd.DataFrame(rows, columns=list(EFFECT_COLUMNS))


def _sentence(words: str, unit: str, ratio: float) -> str:
    """What the ratio says, in words."""
    change = f"{abs(ratio - 1):.0%} {'more' if ratio >= 1 else 'less'} likely"
    subject = f"Twice the {words}" if unit == TWICE else words.capitalize()
    return f"{subject}: an order on any day is {change}, all else equal."
