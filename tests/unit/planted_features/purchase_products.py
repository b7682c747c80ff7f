"""features.purchase_products of a planted shop, in plain pandas; products have no names."""

from __future__ import annotations

import pandas as pd


def rows(orders: pd.DataFrame, day: pd.Timestamp) -> pd.DataFrame:
    """One row per product with an order before the day."""
    seen = orders[orders["ordered_date"] < day]
    seen = seen.assign(age=(day - seen["ordered_date"]).dt.days)
    windows = {
        "count_customers_28d": seen["age"] <= 28,
        "count_customers_28d_before": seen["age"].between(29, 56),
        "count_customers_90d": seen["age"] <= 90,
        "count_customers_season_last_year": seen["age"].between(276, 365),
        "count_customers_365d": seen["age"] <= 365,
    }
    age = seen.groupby("product_id")["age"]
    found = pd.DataFrame({"days_since_first_sale": age.max(), "days_since_last_sale": age.min()})
    for name, is_in in windows.items():
        counts = seen[is_in].groupby("product_id")["customer_id"].nunique()
        found[name] = counts.reindex(found.index, fill_value=0)
    twice = seen[seen["age"] <= 365].groupby(["product_id", "customer_id"]).size().gt(1)
    repeats = twice.groupby("product_id").sum().reindex(found.index, fill_value=0)
    active = seen.loc[seen["age"] <= 28, "customer_id"].nunique()
    return (
        found.assign(count_repeat_customers_365d=repeats, count_active_customers_28d=active)
        .rename_axis("product_id")
        .reset_index()
        .assign(
            as_of_date=day,
            product_name=None,
            product_family=None,
            returned_share_365d=0.0,
            is_discontinued=False,
        )
    )
