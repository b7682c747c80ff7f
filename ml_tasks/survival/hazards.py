"""Baseline hazards of Cox's model in shop days: by stratum, at the level of the last quarter."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ml_tasks.customers.shop_days import ShopDays
from ml_tasks.survival.curves import CAP_DAYS, MIN_AT_RISK, extended
from ml_tasks.survival.recency import MAX_HAZARD, MIN_EVENTS

# The level of the hazard is measured in the last quarter only; earlier levels do not count.
LEVEL_DAYS = 91
# Customers with an order in the last 90 days and those without have a baseline hazard each, because
# the hazards of the two are not proportional.
STRATUM_EDGE_DAYS = 90
MAX_SHOP_DAYS = 2 * CAP_DAYS


def stratum(snapshots: pd.DataFrame) -> np.ndarray:
    """0 for customers with an order in the last STRATUM_EDGE_DAYS, else 1; shape (n_rows,)."""
    return (snapshots["days_since_last_order"].to_numpy() > STRATUM_EDGE_DAYS).astype(int)


def in_shop_days(observations: pd.DataFrame, shop_days: ShopDays) -> pd.Series:
    """Shop days until the order or the end of observation: whole, at least 1, shape (n_rows,).

    Args:
        observations: As of `observations_of`.
        shop_days: Shop days in each calendar day.
    """
    watched = shop_days.between(observations["snapshot_date"], observations["days"].to_numpy())
    return pd.Series(np.maximum(np.round(watched), 1.0), index=observations.index)


def baselines(
    observations: pd.DataFrame, risk: np.ndarray, shop_days: ShopDays, known_date: pd.Timestamp
) -> tuple[list[list[float]], int]:
    """Cumulative hazard of each stratum in the last quarter, and the last observed shop day.

    A stratum with few orders in the quarter gets the hazard of both strata. A quarter with few
    orders, or without a snapshot that began in it, is replaced by the whole observed time.

    Args:
        observations: As of `observations_of`.
        risk: Hazard of each row as a multiple of the baseline hazard, shape (n_rows,).
        shop_days: Shop days in each calendar day.
        known_date: Day after the last observed one.

    Returns:
        A list per stratum with the cumulative hazard by the end of shop day 0..MAX_SHOP_DAYS; and
        the last observed shop day.
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
    """Breslow's cumulative baseline hazard, with delayed entry.

    Args:
        risk: Hazard as a multiple of the baseline hazard, shape (n,).
        entry: The row is observed after this day, at least 0, shape (n,).
        exit_: Day of the order or last observed day, above `entry`, shape (n,).
        is_ordered: False where the observation ended without an order, shape (n,).

    Returns:
        The hazard by the end of day 0..MAX_SHOP_DAYS, shape (MAX_SHOP_DAYS + 1,), and the last day
        with enough rows at risk. After that day the hazard is extrapolated (`extended`).
    """
    size = MAX_SHOP_DAYS + 2
    entry, is_ordered = np.minimum(entry, size - 1), is_ordered & (exit_ < size)
    exit_ = np.minimum(exit_, size - 1)

    def watched(weight: np.ndarray) -> np.ndarray:
        entered = np.bincount(entry + 1, weight, size + 1)
        left = np.bincount(exit_ + 1, weight, size + 1)
        return np.cumsum(entered - left)[:size]

    count = np.round(watched(np.ones(len(risk))))
    orders = np.bincount(exit_[is_ordered], minlength=size)
    step = np.divide(orders, watched(risk), out=np.zeros(size), where=count > 0)
    last_day = max(int(np.flatnonzero(count >= MIN_AT_RISK).max(initial=1)), 1)
    hazard = np.minimum(extended(np.cumsum(step), min(last_day, MAX_SHOP_DAYS)), MAX_HAZARD)
    return hazard[: MAX_SHOP_DAYS + 1], last_day
