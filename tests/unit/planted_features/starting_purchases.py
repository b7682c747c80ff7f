"""features.starting_purchases of a planted shop: all orders are of one country; no families."""

from __future__ import annotations

import pandas as pd


def rows(orders: pd.DataFrame, day: pd.Timestamp) -> pd.DataFrame:
    """The 100 products with most customers in the 90 days before the day."""
    seen = orders[orders["ordered_date"].between(day - pd.Timedelta(days=90), day, "left")]
    counts = seen.groupby("product_id")["customer_id"].nunique().rename("count_customers")
    best = counts.reset_index().sort_values(
        ["count_customers", "product_id"], ascending=[False, True]
    )
    return best[:100].assign(as_of_date=day, audience_kind="country", audience="A")
