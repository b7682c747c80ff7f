"""From features.customer_snapshots to the numbers that trees read.

Only quantities that mean the same in a young shop and an old one: a lifetime total grows with the
shop's own age, so a model trained on early snapshots would misread it on later ones. Lifetime
columns enter as ratios, or not at all.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

DAYS_OF_YEAR = 365

# More of these never lowers, more of those never raises the chance and amount of what follows.
RISING = (
    "count_orders_30d", "count_orders_90d", "count_orders_180d", "count_orders_365d",
    "net_spend_amount_30d", "net_spend_amount_90d",
    "net_spend_amount_180d", "net_spend_amount_365d",
    "count_active_months_365d",
)  # fmt: skip
FALLING = ("days_since_last_order",)
AS_THEY_ARE = (
    *RISING, *FALLING,
    "avg_order_amount", "max_order_amount", "last_order_amount", "first_order_amount",
    "avg_days_between_orders", "stddev_days_between_orders",
    "refund_amount_365d", "count_units_365d",
)  # fmt: skip


def matrix(snapshots: pd.DataFrame) -> pd.DataFrame:
    """Features of shape (n_snapshots, n_features), float64, same row order and index.

    Args:
        snapshots: Columns of features.customer_snapshots; one or more whole dates, because a
            date's oldest customer tells how long the shop had been watched; or a sample of them
            with `days_watched`.
    """
    table = snapshots[list(AS_THEY_ARE)].astype(float)
    days_known = snapshots["days_since_first_order"].astype(float)
    table["days_since_first_order"] = days_known.clip(upper=DAYS_OF_YEAR)
    table["order_days_per_day"] = snapshots["count_order_days"] / days_known
    table["net_spend_per_day"] = snapshots["net_spend_amount"] / days_known
    table["recency_of_age"] = snapshots["days_since_last_order"] / days_known
    table["recency_of_gap"] = (
        snapshots["days_since_last_order"] / table["avg_days_between_orders"]
    ).replace(np.inf, np.nan)
    # Zero orders a year ago says nothing of a shop that was not watched then.
    was_watched = history_days(snapshots) >= DAYS_OF_YEAR
    for column in ("count_orders_season_last_year", "net_spend_amount_season_last_year"):
        table[column] = snapshots[column].astype(float).where(was_watched)
    return table


def content_order(snapshots: pd.DataFrame) -> np.ndarray:
    """Positions of the rows in an order that does not know what the customers are called.

    By date, then by all that trees read and what came; ids decide between customers who are alike
    in all of it. Sums and samples are the same then, however the ids were given.

    Args:
        snapshots: Columns of features.customer_snapshots, and outcomes where they are known.
    """
    outcomes = [name for name in snapshots if str(name).startswith("outcome_")]
    content = ["days_since_first_order", "count_order_days", "net_spend_amount"]
    numbers = [
        snapshots[name].to_numpy(dtype=float) for name in [*content, *AS_THEY_ARE, *outcomes]
    ]
    ids = snapshots["customer_id"].astype(str).to_numpy()
    return np.lexsort([ids, *reversed(numbers), snapshots["as_of_date"].to_numpy()])


def first_days(snapshots: pd.DataFrame) -> np.ndarray:
    """Day of each customer's first order, as a number; the same on every date."""
    dates = snapshots["as_of_date"].to_numpy().astype("datetime64[D]").astype(np.int64)
    return np.asarray(dates - snapshots["days_since_first_order"].to_numpy(dtype=np.int64))


def monotone_constraints(columns: pd.Index) -> str:
    """XGBoost's monotone_constraints for these features, in their order."""
    signs = {**dict.fromkeys(RISING, 1), **dict.fromkeys(FALLING, -1)}
    return "(" + ",".join(str(signs.get(column, 0)) for column in columns) + ")"


def rhythm_days(snapshots: pd.DataFrame) -> pd.Series:
    """Mean days between a customer's orders, at least 1.

    One order day so far is no rhythm yet: it is at least the wait till now.
    """
    gap = snapshots["avg_days_between_orders"].astype(float)
    return gap.fillna(snapshots["days_since_first_order"].astype(float)).clip(lower=1)


def history_days(snapshots: pd.DataFrame) -> pd.Series:
    """Days that the shop had been watched on each row's date: the age of its oldest customer.

    A sample of customers says so itself, in `days_watched`.
    """
    if "days_watched" in snapshots:
        return snapshots["days_watched"]
    return snapshots.groupby("as_of_date")["days_since_first_order"].transform("max")
