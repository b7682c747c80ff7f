"""Effects on the time to the next order: hazard ratios with intervals, for human readers.

The effects come from a separate Cox model, fitted without penalty to one observation per customer.
Its intervals are valid because the observations are independent, and its few covariates can be read
one by one. The predicting model has more covariates, which overlap.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ml_tasks.customers.shop_days import ShopDays
from ml_tasks.survival.hazards import STRATUM_EDGE_DAYS, in_shop_days, stratum
from ml_tasks.survival.observations import (
    covariates,
    once_each,
    recent,
    usual_order_amount,
)

if TYPE_CHECKING:
    from lifelines import CoxPHFitter

log = logging.getLogger(__name__)

TWICE, YES = "twice as much", "yes against no"
# covariate -> name in the table, description, step that the hazard ratio compares
COVARIATES = {
    "log_days_since_last_order": ("days_since_last_order", "days since the last order", TWICE),
    "log_days_since_first_order": ("days_since_first_order", "days since the first order", TWICE),
    "log_days_between_orders": ("days_between_orders", "usual days between orders", TWICE),
    "log_count_orders_365d": ("count_orders_365d", "1 + orders in the last 365 days", TWICE),
    "log_count_orders_90d": ("count_orders_90d", "1 + orders in the last 90 days", TWICE),
    "log_net_spend_amount_365d": (
        "net_spend_amount_365d",
        "1 + net spend in the last 365 days, counted in usual orders",
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
# Below this p-value the hazards count as not proportional.
PROPORTIONAL_LEVEL = 0.01
MIN_DEVIATION = 1e-6
MIN_OWN_SHARE = 0.01
# An interval that reaches 1,000 times the hazard, or a thousandth, means nothing: all customers of
# one kind ordered, or none did, and the estimate diverged.
MAX_RATIO = 1e3
SAME_FOR_ALL = "it is the same for all of these customers"
NO_END = "its interval has no believable end: too few who differ in it, or all of them did the same"
NO_MAXIMUM = "Cox's likelihood has no maximum on these customers"


def fit_effects(
    observations: pd.DataFrame, shop_days: ShopDays
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Estimate hazard ratios, and test proportional hazards without and with strata.

    A covariate that repeats others, or that has no finite ratio, is left out; its row has the
    reason. Where the test fails, customers with an order in the last 90 days and those without get
    a baseline hazard each. The ratio of a covariate that still fails is a mean over the observed
    time.

    Args:
        observations: As of `observations_of`.
        shop_days: Shop days of the predicting model.

    Returns:
        A row per covariate, with EFFECT_COLUMNS and `reason` (None where there is a ratio); and the
        report of the test, as JSON.

    Source:
        Grambsch and Therneau (1994), doi 10.1093/biomet/81.3.515, by lifelines.
    """
    once = once_each(recent(observations))
    frame, reasons = distinct(covariates(once, usual_order_amount(once))[list(COVARIATES)])
    data = frame.assign(
        days=in_shop_days(once, shop_days),
        is_ordered=once["is_ordered"],
        stratum=stratum(once),
    )
    plain = _finite_fit(data.drop(columns="stratum"), reasons)
    if plain is None:
        no_effect = {"decision": "no effect can be estimated"}
        return _table(None, pd.Series(dtype=float), reasons), no_effect
    data = data[[*plain.params_.index, "days", "is_ordered", "stratum"]]
    before = _p_values(plain, data.drop(columns="stratum"))
    kept, after = plain, before
    if before.min() < PROPORTIONAL_LEVEL and data["stratum"].nunique() > 1:
        stratified = _fit(data, ["stratum"])
        if stratified is not None and not _without_end(stratified):
            kept, after = stratified, _p_values(stratified, data)
    report = {
        "decision": "one baseline hazard" if kept is plain else "a baseline hazard per stratum",
        "strata": f"ordered in the last {STRATUM_EDGE_DAYS} days, or not",
        "count_customers": len(once),
        "p_values_before": before.to_dict(),
        "p_values_after": after.to_dict(),
    }
    return _table(kept, after, reasons), report


def distinct(frame: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, str]]:
    """Drop covariates that are constant or that repeat earlier ones.

    A covariate is dropped if the kept covariates before it explain all but MIN_OWN_SHARE of its
    variance.

    Args:
        frame: Finite floats, a column per covariate.

    Returns:
        The kept columns; and dropped covariate -> reason.
    """
    kept: list[str] = []
    reasons: dict[str, str] = {}
    centred = frame - frame.mean()
    for name in map(str, frame):
        own = centred[name].to_numpy()
        if not frame[name].std() > MIN_DEVIATION:
            reasons[name] = SAME_FOR_ALL
            continue
        others = centred[kept].to_numpy()
        slopes = np.linalg.lstsq(others, own, rcond=None)[0] if kept else np.empty(0)
        if ((own - others @ slopes) ** 2).mean() < MIN_OWN_SHARE * (own**2).mean():
            nearest = kept[int(np.argmax([abs(np.corrcoef(each, own)[0, 1]) for each in others.T]))]
            reasons[name] = f"it repeats {COVARIATES[nearest][0]} among these customers"
            continue
        kept.append(name)
    return frame[kept], reasons


def _finite_fit(data: pd.DataFrame, reasons: dict[str, str]) -> CoxPHFitter | None:
    """A fit with finite ratios only, or None. Adds the dropped covariates to `reasons`."""
    names = [name for name in COVARIATES if name in data]
    while names:
        fitter = _fit(data[[*names, "days", "is_ordered"]], None)
        if fitter is None:
            reasons |= dict.fromkeys(names, NO_MAXIMUM)
            return None
        farthest = _without_end(fitter)
        if not farthest:
            return fitter
        reasons[farthest] = NO_END
        names.remove(farthest)
    return None


def _without_end(fitter: CoxPHFitter) -> str:
    """The covariate with the interval farthest beyond MAX_RATIO; empty if there is none."""
    reach = {
        name: np.abs(np.log(np.maximum(ends, np.finfo(float).tiny))).max()
        for name, ends in ((name, np.array(_ratios(fitter, name))) for name in fitter.params_.index)
    }
    beyond = {name: r for name, r in reach.items() if not r <= np.log(MAX_RATIO)}
    return max(beyond, key=lambda name: np.nan_to_num(beyond[name], nan=np.inf), default="")


def _ratios(fitter: CoxPHFitter, name: str) -> tuple[float, float, float]:
    """Hazard ratio for the covariate's step, and the ends of its 95 % interval."""
    step = np.log(2.0) if COVARIATES[name][2] == TWICE else 1.0
    estimate, error = fitter.params_[name], fitter.standard_errors_[name]
    with np.errstate(over="ignore"):
        ends = np.exp(step * (estimate + 1.959964 * error * np.array([0.0, -1.0, 1.0])))
    return float(ends[0]), float(ends[1]), float(ends[2])


def _fit(data: pd.DataFrame, strata: list[str] | None) -> CoxPHFitter | None:
    from lifelines import CoxPHFitter
    from lifelines.exceptions import ConvergenceError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # on separation: `_without_end` detects it
            return CoxPHFitter().fit(data, "days", "is_ordered", strata=strata)
    except (ConvergenceError, ArithmeticError, ValueError) as error:
        log.warning("Cox's model of the effects failed on %d observations: %s", len(data), error)
        return None


def _p_values(fitter: CoxPHFitter, data: pd.DataFrame) -> pd.Series:
    """P-value per covariate of the test of proportional hazards, by the rank of time."""
    from lifelines.statistics import proportional_hazard_test

    try:
        test = proportional_hazard_test(fitter, data, time_transform="rank")
    except (ArithmeticError, ValueError) as error:
        log.warning("the test of proportional hazards failed: %s", error)
        return pd.Series(np.nan, index=fitter.params_.index)
    return test.summary["p"].astype(float)


def _table(
    fitter: CoxPHFitter | None, p_values: pd.Series, reasons: Mapping[str, str]
) -> pd.DataFrame:
    rows: list[tuple[Any, ...]] = []
    for name, (covariate, words, unit) in COVARIATES.items():
        if name in reasons:
            text = f"{words.capitalize()}: no ratio, as {reasons[name]}."
            rows.append((covariate, text, None, None, None, None, None, reasons[name]))
            continue
        ratio, lower, upper = _ratios(fitter, name)
        p_value = float(p_values[name]) if np.isfinite(p_values[name]) else None
        text = _sentence(words, unit, ratio)
        rows.append((covariate, text, unit, ratio, lower, upper, p_value, None))
    return pd.DataFrame(rows, columns=[*EFFECT_COLUMNS, "reason"])


def with_reasons(effects: pd.DataFrame) -> pd.DataFrame:
    """The effects with a reason, and no numbers, in each row with an unbelievable ratio.

    Models stored by earlier versions have such rows without a reason. A bad effect must not make
    the gate reject the survival scores.

    Args:
        effects: Columns EFFECT_COLUMNS, and `reason` if stored.
    """
    numbers = list(EFFECT_COLUMNS[3:])
    ratios = effects[numbers[:3]].astype(float)
    is_believable = (ratios.ge(1 / MAX_RATIO) & ratios.le(MAX_RATIO)).all(axis=1)
    given = effects.get("reason", pd.Series(None, index=effects.index, dtype=object))
    reason = given.where(given.notna(), None).mask(given.isna() & ~is_believable, NO_END)
    kept = effects[["unit", *numbers]].astype(object).where(reason.isna(), None)
    cleaned = effects.assign(reason=reason)
    cleaned[["unit", *numbers]] = kept
    return cleaned


def _sentence(words: str, unit: str, ratio: float) -> str:
    """The hazard ratio as a sentence."""
    change = f"{abs(ratio - 1):.0%} {'more' if ratio >= 1 else 'less'} likely"
    subject = f"Twice the {words}" if unit == TWICE else words.capitalize()
    return f"{subject}: an order on any day is {change}, all else equal."
