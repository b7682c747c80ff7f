"""features.basket_lines of a planted shop, in plain pandas: each row of `orders` is an order."""

from __future__ import annotations

import pandas as pd


def rows(orders: pd.DataFrame, day: pd.Timestamp) -> pd.DataFrame:
    """One row per order of the 547 days before the day."""
    seen = orders[orders["ordered_date"].between(day - pd.Timedelta(days=547), day, "left")]
    return pd.DataFrame(
        {
            "as_of_date": day,
            "order_number": range(1, len(seen) + 1),
            "buyer_number": seen["customer_id"].rank(method="dense").astype(int).to_numpy(),
            "ordered_date": seen["ordered_date"].to_numpy(),
            "product_id": seen["product_id"].to_numpy(),
        }
    )
