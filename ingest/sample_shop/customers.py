"""Draw the customers: arrival, buying rate, lifetime and favourite family of each."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ingest.sample_shop import plan as planted
from ingest.sample_shop.plan import COUNTRIES, FAMILIES, START, Plan, first_of_month
from ingest.sample_shop.seasons import BuyingTime, Promotions, season_factor


def truth(plan: Plan, promoted: Promotions) -> pd.DataFrame:
    """Draw every customer who arrives in the plan's months, in order of arrival.

    Returns:
        One row a customer with columns customer_id; arrived and left (days since the opening,
        float; `left` may lie beyond the plan); orders_per_day (while alive, on an average day);
        spend_factor (mean 1); family (the favourite); country; is_buyer (False: registers and
        never orders); is_keen (on the substitutes of the favourite family).
    """
    counts = _arrivals(plan)
    months = [_month(plan, month, count, promoted) for month, count in enumerate(counts.tolist())]
    customers = pd.concat(months, ignore_index=True)
    customers.insert(0, "customer_id", "C" + (customers.index + 1).astype(str).str.zfill(7))
    return customers


def _arrivals(plan: Plan) -> np.ndarray:
    """Arrivals per month, shape (n_months,): seasonal, `plan.customers` in the first 730 days."""
    start = np.datetime64(START)
    ends = [np.datetime64(first_of_month(month + 1)) for month in range(plan.months)]
    horizon = max(ends[-1], start + planted.REFERENCE_DAYS)
    expected = np.cumsum(season_factor(np.arange(start, horizon)))
    share = expected / expected[planted.REFERENCE_DAYS - 1]
    by_month_end = np.floor(plan.customers * share[[(end - start).astype(int) - 1 for end in ends]])
    return np.diff(by_month_end, prepend=0).astype(int)


def _month(plan: Plan, month: int, count: int, promoted: Promotions) -> pd.DataFrame:
    random = plan.random("customers", month)
    clock = BuyingTime(month, promoted)
    arrived = np.sort(clock.at(random.random(count) * clock.length))
    # An exponential with a gamma distributed rate: lifetimes follow a Pareto (Lomax) law.
    leaving_rate = random.gamma(planted.LIFETIME_SHAPE, 1 / planted.LIFETIME_SCALE_DAYS, count)
    rate_scale = planted.RATE_MEAN_PER_DAY / planted.RATE_SHAPE
    return pd.DataFrame(
        {
            "arrived": arrived,
            "left": arrived + random.exponential(1.0, count) / leaving_rate,
            "orders_per_day": random.gamma(planted.RATE_SHAPE, rate_scale, count),
            "spend_factor": random.gamma(planted.SPEND_SHAPE, 1 / planted.SPEND_SHAPE, count),
            "family": random.choice(list(FAMILIES), count, p=[f.share for f in FAMILIES.values()]),
            "country": random.choice(list(COUNTRIES), count, p=list(COUNTRIES.values())),
            "is_buyer": random.random(count) >= planted.NEVER_BUYING_RATE,
            "is_keen": plan.random("keen", month).random(count) < planted.KEEN_RATE,
        }
    )
