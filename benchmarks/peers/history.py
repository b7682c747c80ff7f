"""Recency, frequency and money, as a notebook would compute them from the orders before a cut."""

from __future__ import annotations

import numpy as np
import pandas as pd

WINDOWS_DAYS = (30, 90, 180, 365)
# Past cuts to learn from; with more, models rank worse (docs/decisions/benchmarks.md).
MAX_PAST_CUTS = 3
MIN_HISTORY_DAYS = 90
RECENCY_EDGES_DAYS = (30, 60, 90, 180, 365)


def rfm(days: pd.DataFrame, cut: pd.Timestamp) -> pd.DataFrame:
    """Recency, frequency and money of each customer with an order before a cut.

    Args:
        days: Columns customer_id, day_date, count_orders, net_amount; one row per customer and day.
        cut: Only days before it are read.

    Returns:
        Columns of days, counts and amounts; index customer_id, ascending.
    """
    past = days[days["day_date"] < cut]
    orders = past[past["count_orders"] > 0]
    by_customer = orders.groupby("customer_id", sort=True)
    first, last = by_customer["day_date"].min(), by_customer["day_date"].max()
    frame = pd.DataFrame(
        {
            "recency_days": (cut - last).dt.days,
            "age_days": (cut - first).dt.days,
            "count_order_days": by_customer.size(),
            "count_orders": by_customer["count_orders"].sum(),
        }
    )
    frame["net_amount"] = past.groupby("customer_id")["net_amount"].sum()
    for window in WINDOWS_DAYS:
        recent = past[past["day_date"] >= cut - pd.Timedelta(days=window)]
        sums = recent.groupby("customer_id")[["count_orders", "net_amount"]].sum()
        sums = sums.reindex(frame.index, fill_value=0)
        frame[f"count_orders_{window}d"] = sums["count_orders"]
        frame[f"net_amount_{window}d"] = sums["net_amount"]
    frame["avg_gap_days"] = (last - first).dt.days / (frame["count_order_days"] - 1).clip(lower=1)
    frame["avg_order_amount"] = frame["net_amount"] / frame["count_orders"]
    return frame


def outcome(days: pd.DataFrame, frame: pd.DataFrame, cut: pd.Timestamp, horizon: int) -> np.ndarray:
    """Orders and net spend, at least 0, of [cut, cut + horizon); shape (n_customers, 2)."""
    end = cut + pd.Timedelta(days=horizon)
    window = days[(days["day_date"] >= cut) & (days["day_date"] < end)]
    sums = window.groupby("customer_id")[["count_orders", "net_amount"]].sum()
    return sums.reindex(frame.index, fill_value=0).clip(lower=0).to_numpy(dtype=float)


def past_cuts(days: pd.DataFrame, cut: pd.Timestamp, horizon: int) -> list[pd.Timestamp]:
    """Earlier dates, a month apart, with a horizon that ended by the cut; newest first."""
    oldest = days["day_date"].min() + pd.Timedelta(days=MIN_HISTORY_DAYS)
    dates = [cut - pd.Timedelta(days=horizon + 30 * month) for month in range(MAX_PAST_CUTS)]
    return [date for date in dates if date >= oldest]


def labelled(
    days: pd.DataFrame, cut: pd.Timestamp, horizon: int
) -> tuple[pd.DataFrame, np.ndarray] | None:
    """Features and outcomes of all past cuts, one below the other; None if there are none."""
    frames, outcomes = [], []
    for date in past_cuts(days, cut, horizon):
        frame = rfm(days, date)
        frames.append(frame)
        outcomes.append(outcome(days, frame, date, horizon))
    return (pd.concat(frames), np.concatenate(outcomes)) if frames else None


def band_of_recency(recency_days: pd.Series) -> np.ndarray:
    """Number of the band between RECENCY_EDGES_DAYS, shape (n,)."""
    return np.searchsorted(RECENCY_EDGES_DAYS, recency_days)
