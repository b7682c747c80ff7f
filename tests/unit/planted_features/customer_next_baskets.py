"""features.customer_next_baskets of a planted shop, in plain pandas."""

from __future__ import annotations

import pandas as pd

from tests.unit.planted_features.customer_baskets import family_of

DAYS = 90


def rows(orders: pd.DataFrame, day: pd.Timestamp) -> pd.DataFrame:
    """The next order day in the 90 days from the day on, of customers with an order before it."""
    known_on = day + pd.Timedelta(days=DAYS)
    orders = orders.assign(family=family_of(orders))
    known = orders.loc[orders["ordered_date"] < day, "customer_id"].unique()
    ahead = orders[orders["ordered_date"].between(day, known_on, inclusive="left")]
    ahead = ahead[ahead["customer_id"].isin(known)]
    first = ahead.groupby("customer_id")["ordered_date"].transform("min")
    by = ahead[ahead["ordered_date"] == first].groupby("customer_id")
    found = pd.DataFrame(
        {
            "days_to_order": (by["ordered_date"].min() - day).dt.days,
            "order_day_amount": by["amount"].sum(),
            "next_families": by["family"].agg(lambda names: sorted(set(names.dropna()))),
        }
    )
    found = found.rename_axis("customer_id").reset_index()
    return found.assign(as_of_date=day, known_on_date=known_on)
