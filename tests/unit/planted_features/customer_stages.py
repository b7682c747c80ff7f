"""features.customer_stages of a planted shop, in plain pandas; without the stage before."""

from __future__ import annotations

from itertools import pairwise

import pandas as pd


def rows(orders: pd.DataFrame, day: pd.Timestamp) -> pd.DataFrame:
    """One row per customer with an order before the day, ordered by customer_id."""
    seen = orders[orders["ordered_date"] < day]
    ago = (day - seen["ordered_date"]).dt.days.groupby(seen["customer_id"], sort=True).unique()
    return pd.DataFrame(
        {
            "customer_id": ago.index,
            "stage": [stage_of(sorted(days)) for days in ago],
            "previous_stage": None,
            "days_in_stage": 1,
            "count_order_days_365d": [sum(one <= 365 for one in days) for days in ago],
            "count_order_days_275d": [sum(one <= 275 for one in days) for days in ago],
            "as_of_date": day,
        }
    )


def stage_of(days_ago: list[int]) -> str:
    """The stage by the sentences of its description, from days since each order day, ascending."""
    newest = days_ago[0]
    ended_gaps = [new for new, old in pairwise(days_ago) if old - new > 180 and new <= 90]
    if ended_gaps and newest <= 90:
        return "won_back"
    if days_ago[-1] <= 90:
        return "new"
    if newest > 90:
        return "at_risk" if newest <= 180 else "lost"
    return "loyal" if sum(one <= 365 for one in days_ago) >= 4 else "active"
