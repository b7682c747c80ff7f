"""features.customer_purchases of a planted shop, in plain Python."""

from __future__ import annotations

from typing import Any

import pandas as pd


def rows(orders: pd.DataFrame, day: pd.Timestamp) -> pd.DataFrame:
    """One row per customer with an order before the day."""
    seen = orders[orders["ordered_date"] < day]
    seen = seen.assign(age=(day - seen["ordered_date"]).dt.days)
    names = (
        "product_ids",
        "counts_orders",
        "decayed_orders",
        "days_since_last",
        "days_since_first",
    )
    found: list[dict[str, Any]] = []
    for customer, of_customer in seen.groupby("customer_id"):
        weight = [0.5 ** (age / 120) for age in of_customer["age"]]
        row: dict[str, Any] = {"customer_id": customer, "count_orders": len(of_customer)}
        row |= {"count_orders_decayed": sum(weight), **{name: [] for name in names}}
        for product, of_product in of_customer.groupby("product_id"):
            ages = of_product["age"]
            values = (
                product,
                len(ages),
                sum(0.5 ** (a / 120) for a in ages),
                ages.min(),
                ages.max(),
            )
            for name, value in zip(names, values, strict=True):
                row[name].append(value)
        found.append(row)
    columns = ["customer_id", "count_orders", "count_orders_decayed", *names]
    return pd.DataFrame(found, columns=columns).assign(as_of_date=day)
