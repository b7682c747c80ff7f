"""features.customer_rfm of a planted shop, in plain pandas."""

from __future__ import annotations

import pandas as pd

FACTS = ["days_since_last_order", "count_order_days", "net_spend_amount"]


def rows(orders: pd.DataFrame, day: pd.Timestamp) -> pd.DataFrame:
    """One row per customer with an order before the day, ordered by customer_id."""
    now, before = _as_of(orders, day), _as_of(orders, day - pd.Timedelta(days=28))
    year = orders[orders["ordered_date"].between(day - pd.Timedelta(days=365), day, "left")]
    now["net_spend_amount_365d"] = (
        year.groupby("customer_id")["amount"].sum().reindex(now.index, fill_value=0.0)
    )
    now = now.join(before.add_suffix("_28d_before"))
    return now.sort_index().rename_axis("customer_id").reset_index().assign(as_of_date=day)


def _as_of(orders: pd.DataFrame, day: pd.Timestamp) -> pd.DataFrame:
    by = orders[orders["ordered_date"] < day].groupby("customer_id")
    columns = (day - by["ordered_date"].max()).dt.days, by["ordered_date"].nunique()
    return pd.DataFrame(dict(zip(FACTS, (*columns, by["amount"].sum()), strict=True)))
