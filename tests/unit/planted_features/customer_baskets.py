"""features.customer_baskets of a planted shop, in plain Python, customer by customer."""

from __future__ import annotations

import math
from itertools import pairwise
from statistics import fmean, median, stdev

import pandas as pd

MOST_FAMILIES = 24


def family_of(orders: pd.DataFrame) -> pd.Series:
    """The column `family`; else the product of a shop of few products; else none."""
    if "family" in orders:
        return orders["family"]
    is_few = "product_id" in orders and orders["product_id"].nunique() <= MOST_FAMILIES
    return orders["product_id"] if is_few else pd.Series(None, orders.index, dtype=object)


def rows(orders: pd.DataFrame, day: pd.Timestamp) -> pd.DataFrame:
    """One row per customer with an order before the day, ordered by customer_id."""
    seen = orders.assign(family=family_of(orders))
    seen = seen[seen["ordered_date"] < day].sort_values(["customer_id", "ordered_date"])
    found = [_row(key, own, day) for key, own in seen.groupby("customer_id")]
    names = list(found[0]) if found else list(_row("", seen, day, is_empty=True))
    return pd.DataFrame(found, columns=names)


def _row(
    key: object, own: pd.DataFrame, day: pd.Timestamp, *, is_empty: bool = False
) -> dict[str, object]:
    by_day = (
        own.groupby("ordered_date")["amount"].sum() if not is_empty else pd.Series([1.0], [day])
    )
    amounts = [float(amount) for amount in by_day]
    logs = [math.log(max(amount, 0.01)) for amount in amounts]
    days = list(by_day.index)
    gaps = [(later - earlier).days for earlier, later in pairwise(days)]
    families: dict[str, list[pd.Timestamp]] = {}
    for name, date in zip(own["family"], own["ordered_date"], strict=True):
        if pd.notna(name) and (day - date).days <= 730:
            families.setdefault(name, []).append(date)
    names = sorted(families)
    return {
        "as_of_date": day,
        "customer_id": key,
        "avg_order_day_amount": fmean(amounts),
        "median_order_day_amount": median(amounts),
        "mean_log_order_day_amount": fmean(logs),
        "stddev_log_order_day_amount": stdev(logs) if len(logs) > 1 else math.nan,
        "median_days_between_orders": median(gaps) if gaps else math.nan,
        "count_order_days_730d": sum((day - date).days <= 730 for date in days),
        "families": names,
        "family_order_days": [len(set(families[name])) for name in names],
        "family_days_since": [(day - max(families[name])).days for name in names],
        "family_products": [len(set(families[name])) for name in names],
        "family_last_products": [1 for _ in names],
    }
