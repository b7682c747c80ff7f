"""The rows of scores.loyalty and scores.loyalty_ledger for the customers of a shard."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ml_tasks.loyalty.entries import E4, EPOCH, History
from ml_tasks.loyalty.points import Points, ledger
from ml_tasks.loyalty.programme import POINTS, Version
from ml_tasks.loyalty.standing import (
    SOON_DAYS,
    WINDOW_DAYS,
    qualifying,
    standing,
    thresholds,
)

EXPIRING_DAYS = 30


def loyalty_rows(
    history: History, points: Points, versions: Sequence[Version], as_of_day: int
) -> pd.DataFrame:
    """One row per customer, with the question's columns of scores.loyalty."""
    version, now = versions[-1], standing(history, points, versions, as_of_day)
    held, least, rank = qualifying(now, version), thresholds(version), now["rank"].to_numpy()
    is_top = rank == len(least) - 1
    to_next = np.append(least, 0)[rank + 1] - held
    to_keep = np.maximum(least[rank] - (held - now["leaving"]), 0)
    scale = 1 if version.qualify_by == POINTS else E4
    is_expiring = points.last_day < as_of_day + EXPIRING_DAYS
    # nothing is above the highest tier; a fall that never comes has -1, the last place
    names = np.array([*(tier.name for tier in version.tiers), None], dtype=object)
    return pd.DataFrame(
        {
            "customer_id": history.customers,
            "tier": names[rank],
            "tier_rank": rank + 1,
            "tier_since_date": _dates(now["since_day"]),
            "benefits": np.array(version.benefits, dtype=object)[rank],
            "qualifies_by": version.qualify_by,
            "qualifying_amount_365d": held / scale,
            "next_tier": names[rank + 1],
            "amount_to_next_tier": np.where(is_top, np.nan, to_next / scale),
            "is_about_to_rise": ~is_top
            & (to_next <= _usual_order(history, points, version, as_of_day)),
            "leaving_amount_90d": now["leaving"] / scale,
            "amount_to_keep_tier_90d": to_keep / scale,
            "will_fall_on_date": _dates(now["fall_day"]),
            "fall_to_tier": names[now["fall_rank"]],
            "is_about_to_fall": now["fall_day"].between(0, as_of_day + SOON_DAYS),
            "points_balance": _per_customer(history, points.open),
            "points_expiring_30d": _per_customer(history, np.where(is_expiring, points.open, 0)),
            "points_earned_365d": now["points"],
            "net_order_amount_365d": (now["spend_e4"] / E4).round(2),
        }
    )


def ledger_rows(history: History, points: Points, as_of_day: int) -> pd.DataFrame:
    """One row per customer and month with an entry, the columns of scores.loyalty_ledger.

    A customer without an entry has a row of nothing for the month of the last day before the date.
    """
    rows = ledger(history, points, as_of_day)
    silent = np.setdiff1d(np.arange(len(history.customers)), rows["customer"])
    month = pd.Timestamp.fromordinal(as_of_day - 1).replace(day=1)
    empty = pd.DataFrame({"customer": silent, "month_date": month}).astype(
        {"month_date": "datetime64[ns]"}
    )
    rows = pd.concat([rows, empty], ignore_index=True) if len(silent) else rows
    figures = {name: np.int64 for name in rows.columns if name not in ("customer", "month_date")}
    rows = rows.fillna(dict.fromkeys(figures, 0)).astype(figures)
    return rows.assign(
        customer_id=history.customers[rows.pop("customer")],
        order_amount=(rows.pop("order_amount_e4") / E4).round(2),
        refund_amount=(rows.pop("refund_amount_e4") / E4).round(2),
    )


def _usual_order(history: History, points: Points, version: Version, as_of_day: int) -> pd.Series:
    """Mean order of each customer within WINDOW_DAYS, less refunds, in the qualifying unit.

    0 without an order that something is left of.
    """
    orders, takings = history.orders, history.takings
    values = {POINTS: points.earned, "spend": orders["amount_e4"].to_numpy()}[version.qualify_by]
    less = {POINTS: points.reduced, "spend": takings["amount_e4"].to_numpy()}[version.qualify_by]
    left = values.copy()
    np.subtract.at(left, takings["order"].to_numpy(), less)
    counts = (orders["day"] >= as_of_day - WINDOW_DAYS).to_numpy() & (left > 0)
    means = pd.Series(left[counts]).groupby(orders["customer"].to_numpy()[counts]).mean()
    return means.reindex(range(len(history.customers)), fill_value=0)


def _per_customer(history: History, values: np.ndarray) -> np.ndarray:
    sums = np.zeros(len(history.customers), dtype=np.int64)
    np.add.at(sums, history.orders["customer"].to_numpy(), values)
    return sums


def _dates(days: pd.Series) -> np.ndarray:
    """Ordinals as dates, shape (n_customers,); -1 becomes missing."""
    dates = (days.to_numpy() - EPOCH).astype("datetime64[D]").astype("datetime64[ns]")
    return np.where(days < 0, np.datetime64("NaT"), dates)
