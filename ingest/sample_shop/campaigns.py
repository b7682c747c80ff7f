"""Draw the campaigns: whom they contact, whom they hold out, and which orders they bring."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pandas as pd

from ingest.sample_shop import plan as planted
from ingest.sample_shop.plan import CAMPAIGNS, Plan, day_number, first_of_month
from ingest.sample_shop.seasons import HOUR_WEIGHT

EARLIER_MONTHS = 1  # an order comes at most 42 days after the 6th of a month


def contacts(plan: Plan, month: int, customers: pd.DataFrame) -> pd.DataFrame:
    """Draw the contacts of a month, in order of customer.

    Args:
        plan: The shop.
        month: Counted from the opening.
        customers: The truth of all customers.

    Returns:
        One row per customer who is contacted or held out: time (days since the opening), customer
        (position in the truth), campaign, action, is_held_out, ordered (time of the order that the
        campaign brings; NaN if it brings none).
    """
    first = first_of_month(month)
    campaign = next((one for one in CAMPAIGNS if one.month_of_year == first.month), None)
    if campaign is None or month in plan.without_campaigns:
        return _contacts(plan, month, CAMPAIGNS[0], customers)[:0]
    return _contacts(plan, month, campaign, customers)


def _contacts(
    plan: Plan, month: int, campaign: planted.Campaign, customers: pd.DataFrame
) -> pd.DataFrame:
    random = plan.random("campaign", month)
    day = day_number(first_of_month(month) + timedelta(days=planted.CAMPAIGN_DAY - 1))
    time = day + planted.CAMPAIGN_HOUR / 24
    is_meant = (
        customers.arrived.between(day - planted.CAMPAIGN_ARRIVED_DAYS, day, inclusive="left")
        & (customers.left > time)
        & (customers.orders_per_day < planted.RATE_MEAN_PER_DAY)
        & customers.is_buyer
    )
    meant = np.flatnonzero(is_meant.to_numpy())
    is_drawn = random.random(len(meant)) < planted.CAMPAIGN_DRAWN_RATE
    is_held_out = random.random(len(meant)) < planted.CAMPAIGN_HELD_OUT_RATE
    hour = random.choice(24, len(meant), p=HOUR_WEIGHT / HOUR_WEIGHT.sum())
    days_later = random.integers(1, planted.CAMPAIGN_ORDER_DAYS + 1, len(meant))
    ordered = day + days_later + (hour + random.random(len(meant))) / 24
    is_brought = (
        ~is_held_out
        & (random.random(len(meant)) < campaign.order_rate)
        & (ordered < customers.left.to_numpy()[meant])
    )
    drawn = pd.DataFrame(
        {
            "time": time,
            "customer": meant,
            "campaign": f"{campaign.name}_{first_of_month(month).year}",
            "action": campaign.action,
            "is_held_out": is_held_out,
            "ordered": np.where(is_brought, ordered, np.nan),
        }
    )
    return drawn[is_drawn].reset_index(drop=True)


def orders_brought(plan: Plan, month: int, customers: pd.DataFrame) -> pd.DataFrame:
    """The orders of a month that campaigns bring: time, customer, country; in order of time."""
    begin, end = day_number(first_of_month(month)), day_number(first_of_month(month + 1))
    earlier = range(max(month - EARLIER_MONTHS, 0), month + 1)
    drawn = pd.concat([contacts(plan, one, customers) for one in earlier], ignore_index=True)
    ordered = drawn.ordered.to_numpy(dtype=float)
    is_now = (ordered >= begin) & (ordered < end)
    who = drawn.customer.to_numpy(dtype=int)[is_now]
    heads = pd.DataFrame(
        {"time": ordered[is_now], "customer": who, "country": customers.country.to_numpy()[who]}
    )
    return heads.sort_values(["time", "customer"], kind="stable", ignore_index=True)
