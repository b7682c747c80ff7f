"""Kaplan-Meier curves of the days to the next order, for all customers and for groups."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ml_tasks.survival.observations import once_each

CAP_DAYS = 365
# A curve ends where fewer observations are at risk: one order would move it by a tenth.
MIN_AT_RISK = 10
MIN_GROUP_CUSTOMERS = 50
# Upper ends of the spend tiers: cumulative shares of customers by net spend in the last 365 days.
SPEND_TIER_EDGES = (0.5, 0.8)
SPEND_TIERS = ("lower 50 %", "next 30 %", "top 20 %")

CURVE_COLUMNS = (
    "group_name",
    "day",
    "survival_probability",
    "survival_lower",
    "survival_upper",
    "count_at_risk",
)


def support_days(days: np.ndarray) -> int:
    """Last day, at most CAP_DAYS, on which at least MIN_AT_RISK observations are at risk.

    Args:
        days: Days until the order or the end of observation, at least 1, shape (n,).
    """
    return max(1, int((at_risk(days, np.arange(CAP_DAYS + 1)) >= MIN_AT_RISK).sum()) - 1)


def at_risk(days: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """Number of observations under observation and without an order at the start of each day.

    Args:
        days: Days until the order or the end of observation, shape (n,).
        grid: Days to count on, shape (n_days,).

    Returns:
        Shape (n_days,).
    """
    return len(days) - np.searchsorted(np.sort(days), grid)


def kaplan_meier(days: np.ndarray, is_ordered: np.ndarray) -> pd.DataFrame:
    """The Kaplan-Meier curve with its 95 % interval (log-log of Greenwood's variance).

    Args:
        days: Days until the order or the end of observation, whole, at least 1, shape (n,).
        is_ordered: False where the observation ended without an order, shape (n,).

    Returns:
        A row per day from 0 to the last supported one, with CURVE_COLUMNS except group_name. The
        interval is null where the curve is 0 or 1.

    Source:
        Kaplan and Meier (1958); interval of Kalbfleisch and Prentice (2002), by lifelines.
    """
    from lifelines import KaplanMeierFitter

    grid = np.arange(support_days(days) + 1)
    fitter = KaplanMeierFitter().fit(days, is_ordered, timeline=grid)
    survival = fitter.survival_function_.iloc[:, 0].to_numpy()
    interval = fitter.confidence_interval_.to_numpy()
    interval[(survival <= 0) | (survival >= 1)] = np.nan
    return pd.DataFrame(
        {
            "day": grid,
            "survival_probability": survival,
            "survival_lower": interval[:, 0],
            "survival_upper": interval[:, 1],
            "count_at_risk": at_risk(days, grid),
        }
    )


def curves_by_group(observations: pd.DataFrame) -> pd.DataFrame:
    """Curves of all customers, and by country, quarter of the first order and spend tier.

    Each customer counts once (`once_each`), because Greenwood's variance assumes independent
    observations.

    Args:
        observations: Columns customer_id, snapshot_date, days_since_first_order, country,
            net_spend_amount_365d, days, is_ordered; ordered by snapshot_date, customer_id.

    Returns:
        CURVE_COLUMNS; the group `all` first, then each group of at least MIN_GROUP_CUSTOMERS.
    """
    once = once_each(observations.assign(spend_tier=spend_tier(observations)))
    first_ordered = once["snapshot_date"] - pd.to_timedelta(once["days_since_first_order"], "D")
    quarter = pd.PeriodIndex(first_ordered, freq="Q").astype(str)
    groups = {"all": once}
    for names in (
        "country: " + once["country"],
        pd.Series("cohort: " + quarter, once.index),
        "spend tier: " + once["spend_tier"],
    ):
        for name, members in once.groupby(names):
            if len(members) >= MIN_GROUP_CUSTOMERS:
                groups[str(name)] = members
    curves = [
        kaplan_meier(members["days"].to_numpy(), members["is_ordered"].to_numpy()).assign(
            group_name=name
        )
        for name, members in groups.items()
    ]
    return pd.concat(curves, ignore_index=True)[list(CURVE_COLUMNS)]


def spend_tier(observations: pd.DataFrame) -> np.ndarray:
    """Tier of net_spend_amount_365d among the customers of the same date, shape (n,).

    Args:
        observations: Columns snapshot_date, net_spend_amount_365d.
    """
    share = observations.groupby("snapshot_date")["net_spend_amount_365d"].rank(pct=True)
    return np.array(SPEND_TIERS, dtype=object)[np.searchsorted(SPEND_TIER_EDGES, share)]


def extended(cumulative_hazard: np.ndarray, last_day: int) -> np.ndarray:
    """Extrapolate a cumulative hazard after `last_day` at the mean rate of its later half.

    Args:
        cumulative_hazard: Cumulative hazard by the end of day 0..n, shape (n + 1,).
        last_day: Last day with enough observations, at least 1.

    Returns:
        Shape (n + 1,); infinite after `last_day` if everybody has ordered by then.
    """
    days = np.arange(len(cumulative_hazard))
    half, end = last_day // 2, cumulative_hazard[last_day]
    if not np.isfinite(end):  # everybody has ordered
        return np.where(days > last_day, np.inf, cumulative_hazard)
    rate = (end - cumulative_hazard[half]) / (last_day - half)
    return np.where(days > last_day, end + rate * (days - last_day), cumulative_hazard)
