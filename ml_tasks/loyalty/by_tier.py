"""The rows of scores.loyalty_tiers: customers, spend and cost of each tier."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

from ml_tasks.loyalty.programme import Version
from ml_tasks.score_rows import not_scored, scored
from perennial import contracts

COUNTED = (
    "count_customers", "spend_cents", "points_earned_365d", "points_balance",
    "count_about_to_rise", "count_about_to_fall",
)  # fmt: skip
NOBODY = "no customer ordered before the date"


def tally(parts: Iterable[pd.DataFrame], version: Version) -> pd.DataFrame:
    """Whole numbers by tier, the same for any division into parts.

    Args:
        parts: Rows of scores.loyalty.
        version: The version whose tiers they have.

    Returns:
        Indexed by tier_rank, one row per tier: `count_customers`, `spend_cents`,
        `points_earned_365d`, `points_balance`, `count_about_to_rise`, `count_about_to_fall`.
    """
    ranks = pd.RangeIndex(1, len(version.tiers) + 1, name="tier_rank")
    total = pd.DataFrame(0, index=ranks, columns=list(COUNTED))
    for rows in parts:
        counted = pd.DataFrame(
            {
                "tier_rank": rows["tier_rank"].astype(np.int64),
                "count_customers": 1,
                # cents, because sums of floats depend on their order
                "spend_cents": (rows["net_order_amount_365d"] * 100).round().astype(np.int64),
                "points_earned_365d": rows["points_earned_365d"].astype(np.int64),
                "points_balance": rows["points_balance"].astype(np.int64),
                "count_about_to_rise": rows["is_about_to_rise"].astype(np.int64),
                "count_about_to_fall": rows["is_about_to_fall"].astype(np.int64),
            }
        )
        total = total + counted.groupby("tier_rank").sum().reindex(ranks, fill_value=0)
    return total


def costs(tallied: pd.DataFrame, version: Version) -> pd.DataFrame:
    """Yearly costs of a version by tier, in the shop's currency.

    Returns:
        Indexed as `tallied`: `net_order_amount_365d`, `points_liability_amount` (of open points),
        `points_cost_365d_amount` (of points earned), `benefits_cost_365d_amount`,
        `cost_365d_amount` (points earned and benefits).
    """
    value = float(version.point_value)
    rates = np.array([float(tier.benefits_cost_rate) for tier in version.tiers])
    spend = tallied["spend_cents"] / 100
    of_points = (tallied["points_earned_365d"] * value).round(2)
    of_benefits = (spend * rates).round(2)
    return pd.DataFrame(
        {
            "net_order_amount_365d": spend,
            "points_liability_amount": (tallied["points_balance"] * value).round(2),
            "points_cost_365d_amount": of_points,
            "benefits_cost_365d_amount": of_benefits,
            "cost_365d_amount": (of_points + of_benefits).round(2),
        }
    )


def tier_rows(parts: Iterable[Mapping[str, pd.DataFrame]], version: Version) -> pd.DataFrame:
    """One row per tier, the columns of scores.loyalty_tiers.

    Args:
        parts: Frames of each part, with the rows of scores.loyalty.
        version: The version in force.
    """
    known = pd.DataFrame({"tier": [tier.name for tier in version.tiers]})
    tallied = tally((part["loyalty"] for part in parts), version)
    if not tallied["count_customers"].sum():
        return not_scored(contracts.load("loyalty").table("loyalty_tiers"), known, NOBODY)
    spent = costs(tallied, version)
    each = (spent["net_order_amount_365d"] / tallied["count_customers"].replace(0, np.nan)).round(2)
    known["tier_rank"] = tallied.index
    found = known.join(tallied.drop(columns="spend_cents").join(spent), on="tier_rank").assign(
        least_amount=[float(tier.least) for tier in version.tiers],
        qualifies_by=version.qualify_by,
        benefits=pd.Series(version.benefits, dtype=object),
        customer_share_rate=(tallied["count_customers"] / tallied["count_customers"].sum()).array,
        net_order_amount_per_customer_365d=each.array,
        more_than_tier_below_amount=(each - each.shift()).round(2).array,
    )
    return scored(found)
