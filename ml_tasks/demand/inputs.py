"""Inputs of demand per product on a date, to measure drift on."""

from __future__ import annotations

from datetime import date

import pandas as pd

RECENT_WEEKS = (4, 13)
WEEK = pd.Timedelta(weeks=1)


def recent_sales(weeks: pd.DataFrame, as_of_date: date) -> pd.DataFrame:
    """Units and price in the last weeks before a date, a row per product with a sale in 13 weeks.

    Args:
        weeks: Columns of features.product_weeks.
        as_of_date: Weeks that end on or before this date are used.

    Returns:
        Columns sold_units_<n>w (units) and avg_unit_price_amount_<n>w (shop currency) for each of
        RECENT_WEEKS; index product_id.
    """
    ended = weeks["week_start_date"] + WEEK <= pd.Timestamp(as_of_date)
    columns = {}
    for count in RECENT_WEEKS:
        is_recent = weeks["week_start_date"] + (count + 1) * WEEK > pd.Timestamp(as_of_date)
        of_product = weeks[ended & is_recent].groupby("product_id")
        columns[f"sold_units_{count}w"] = of_product["sold_units"].sum()
        columns[f"avg_unit_price_amount_{count}w"] = of_product["avg_unit_price_amount"].mean()
    frame = pd.DataFrame(columns)
    return frame[frame[f"sold_units_{RECENT_WEEKS[-1]}w"] > 0]
