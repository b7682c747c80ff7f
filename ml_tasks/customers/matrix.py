"""The feature matrix of the trees, computed from features.customer_snapshots.

Each feature means the same in a young shop and in an old one. A lifetime total does not: it grows
with the shop's age, so a model trained on early snapshots would misread later ones. Lifetime
columns are therefore used as ratios, or not at all.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

DAYS_OF_YEAR = 365

# A larger value of a RISING feature never lowers the prediction, one of a FALLING never raises it.
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
    """Features, shape (n_snapshots, n_features), float64, same row order and index.

    Args:
        snapshots: Columns of features.customer_snapshots. Whole dates, because `history_days` reads
            the oldest customer of a date, or a sample with the column `days_watched`.
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
    # Zero orders a year ago means nothing if the data begin later.
    has_last_year = history_days(snapshots) >= DAYS_OF_YEAR
    for column in ("count_orders_season_last_year", "net_spend_amount_season_last_year"):
        table[column] = snapshots[column].astype(float).where(has_last_year)
    return table


def content_order(snapshots: pd.DataFrame) -> np.ndarray:
    """Row positions in a total order that ids do not influence, shape (n_snapshots,).

    Rows are sorted by date, then by the trees' features and the outcomes. Ids only decide between
    customers that are equal in all of these. So sums and samples do not depend on how a shop
    numbers its customers.

    Args:
        snapshots: Columns of features.customer_snapshots, and outcomes if known.
    """
    outcomes = [name for name in snapshots if str(name).startswith("outcome_")]
    content = ["days_since_first_order", "count_order_days", "net_spend_amount"]
    numbers = [
        snapshots[name].to_numpy(dtype=float) for name in [*content, *AS_THEY_ARE, *outcomes]
    ]
    ids = snapshots["customer_id"].astype(str).to_numpy()
    return np.lexsort([ids, *reversed(numbers), snapshots["as_of_date"].to_numpy()])


def first_days(snapshots: pd.DataFrame) -> np.ndarray:
    """Day of each customer's first order as days since 1970-01-01, shape (n_snapshots,).

    Args:
        snapshots: Columns as_of_date, days_since_first_order.
    """
    dates = snapshots["as_of_date"].to_numpy().astype("datetime64[D]").astype(np.int64)
    return np.asarray(dates - snapshots["days_since_first_order"].to_numpy(dtype=np.int64))


def monotone_constraints(columns: pd.Index) -> str:
    """XGBoost's parameter monotone_constraints for these features, in their order."""
    signs = {**dict.fromkeys(RISING, 1), **dict.fromkeys(FALLING, -1)}
    return "(" + ",".join(str(signs.get(column, 0)) for column in columns) + ")"


def rhythm_days(snapshots: pd.DataFrame) -> pd.Series:
    """Mean days between a customer's order days, at least 1.

    A customer with one order day has no gap yet; the days since that order stand in for it.

    Args:
        snapshots: Columns avg_days_between_orders, days_since_first_order.

    Example:
        >>> snapshots = pd.DataFrame(
        ...     {"avg_days_between_orders": [30.0, None], "days_since_first_order": [90, 12]}
        ... )
        >>> rhythm_days(snapshots).tolist()
        [30.0, 12.0]
    """
    gap = snapshots["avg_days_between_orders"].astype(float)
    return gap.fillna(snapshots["days_since_first_order"].astype(float)).clip(lower=1)


def history_days(snapshots: pd.DataFrame) -> pd.Series:
    """Days of data before each row's date: the age of the date's oldest customer.

    Args:
        snapshots: Columns as_of_date, days_since_first_order; of a sample also `days_watched`,
            which is returned.

    Example:
        >>> snapshots = pd.DataFrame(
        ...     {"as_of_date": ["2024-03-01"] * 2, "days_since_first_order": [60, 7]}
        ... )
        >>> history_days(snapshots).tolist()
        [60, 60]
    """
    if "days_watched" in snapshots:
        return snapshots["days_watched"]
    return snapshots.groupby("as_of_date")["days_since_first_order"].transform("max")
