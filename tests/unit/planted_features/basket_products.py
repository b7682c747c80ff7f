"""features.basket_products of a planted shop, in plain pandas; products have no names."""

from __future__ import annotations

import pandas as pd


def rows(orders: pd.DataFrame, day: pd.Timestamp) -> pd.DataFrame:
    """One row per product with an order before the day."""
    seen = orders[orders["ordered_date"] < day]
    age = (day - seen["ordered_date"]).dt.days.groupby(seen["product_id"])
    found = pd.DataFrame(
        {"days_since_last_sale": age.min(), "count_orders_56d": age.agg(lambda a: (a <= 56).sum())}
    )
    found = found.rename_axis("product_id").reset_index()
    return found.assign(as_of_date=day, product_name=None, is_discontinued=False)
