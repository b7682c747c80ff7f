"""features.purchase_lines of a planted shop, in plain pandas: each row of `orders` is an order."""

from __future__ import annotations

import pandas as pd


def rows(orders: pd.DataFrame, day: pd.Timestamp) -> pd.DataFrame:
    """One row per order of the 1,095 days before the day; nobody is a guest."""
    seen = orders[orders["ordered_date"].between(day - pd.Timedelta(days=1095), day, "left")]
    return pd.DataFrame(
        {
            "as_of_date": day,
            "order_number": range(1, len(seen) + 1),
            "buyer_number": seen["customer_id"].rank(method="dense").astype(int).to_numpy(),
            "is_guest": False,
            "ordered_date": seen["ordered_date"].to_numpy(),
            "product_id": seen["product_id"].to_numpy(),
        }
    )
