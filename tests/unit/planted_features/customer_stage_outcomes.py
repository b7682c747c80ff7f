"""features.customer_stage_outcomes of a planted shop, in plain pandas."""

from __future__ import annotations

import pandas as pd

from tests.unit.planted_features import customer_stages


def rows(orders: pd.DataFrame, day: pd.Timestamp) -> pd.DataFrame:
    """Stage 90 days after the day, of customers with an order before it."""
    later = day + pd.Timedelta(days=90)
    known = orders.loc[orders["ordered_date"] < day, "customer_id"].unique()
    after = customer_stages.rows(orders, later)
    after = after[after["customer_id"].isin(known)]
    return pd.DataFrame(
        {
            "as_of_date": day,
            "customer_id": after["customer_id"],
            "known_on_date": later,
            "stage_after": after["stage"],
        }
    )
