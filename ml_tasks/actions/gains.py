"""The expected gain of each action for each customer, and the best one.

A contact adds `effect` to the log odds of an order, so it adds about `effect * p * (1 - p)` to its
probability p: little for those who order anyway, and little for those who are gone. An order brings
`expected spend / p`. So the gain is `expected spend * (1 - p) * effect * margin`, less the costs.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256

import numpy as np
import pandas as pd
from scipy import stats

from ml_tasks.actions.catalogue import LEAVE_ALONE, Action, Catalogue, Effect

COUNT_HASHES = 16**8
NORMAL_80 = float(stats.norm.ppf(0.9))  # half an 80 % interval, in standard deviations
NO_ACTION_FITS = "no action of the catalogue is for this customer"
COSTS_MORE = "a contact would cost more than it is expected to bring"

Effects = Mapping[str, Effect]  # action -> effect


def best(customers: pd.DataFrame, catalogue: Catalogue, effects: Effects) -> pd.DataFrame:
    """The action with the largest expected gain for each customer.

    Args:
        customers: Columns stage, count_orders, days_since_last_order, avg_order_amount,
            order_probability (within 90 days), expected_spend_amount (in 90 days).
        catalogue: The actions.
        effects: Of each action of the catalogue.

    Returns:
        With the index of `customers`: best_action (leave_alone if none brings more than it costs),
        expected_gain_amount and its 80 % interval _lower and _upper, cost_amount, why_not (None if
        there is an action). Without an action, the amounts are those of the best that fits, and 0
        if none does.
    """
    found = pd.DataFrame(
        {"best_action": LEAVE_ALONE, "gain": -np.inf, "lower": 0.0, "upper": 0.0, "cost": 0.0},
        index=customers.index,
    )
    for action in catalogue.actions:
        effect = effects[action.action]
        per_effect = catalogue.margin_share * _changeable(customers)
        cost = costs(customers, action)
        gain = per_effect * effect.mean - cost
        is_better = is_for(customers, action) & (gain > found["gain"].to_numpy())
        half = NORMAL_80 * effect.sd * per_effect
        values = {
            "best_action": action.action,
            "gain": gain,
            "lower": gain - half,
            "upper": gain + half,
            "cost": cost,
        }
        for name, value in values.items():
            found[name] = np.where(is_better, value, found[name])
    fits, pays = np.isfinite(found["gain"].to_numpy(dtype=float)), found["gain"].to_numpy() > 0
    why_not = np.where(fits, COSTS_MORE, NO_ACTION_FITS).astype(object)
    why_not[pays] = None
    return pd.DataFrame(
        {
            "best_action": np.where(pays, found["best_action"], LEAVE_ALONE),
            "expected_gain_amount": np.where(fits, found["gain"], 0.0).astype(float),
            "expected_gain_amount_lower": found["lower"].astype(float),
            "expected_gain_amount_upper": found["upper"].astype(float),
            "cost_amount": found["cost"].astype(float),
            "why_not": why_not,
        },
        index=customers.index,
    )


def is_for(customers: pd.DataFrame, action: Action) -> np.ndarray:
    """Whether an action is for each customer, shape (n,)."""
    is_for_them = customers["stage"].isin(action.stages).to_numpy()
    if action.most_orders is not None:
        is_for_them &= (customers["count_orders"] <= action.most_orders).to_numpy()
    if action.most_days_since_last_order is not None:
        days = customers["days_since_last_order"].to_numpy()
        is_for_them &= days <= action.most_days_since_last_order
    return is_for_them


def costs(customers: pd.DataFrame, action: Action) -> np.ndarray:
    """Expected cost of an action: the contact, and the offer if an order comes; shape (n,)."""
    offer = action.offer_share_of_order * customers["avg_order_amount"].to_numpy(dtype=float)
    probability = customers["order_probability"].to_numpy(dtype=float)
    return np.asarray(action.contact_cost_amount + offer * probability)


def turn_in_days(customer_ids: pd.Series, day_number: int, every_days: int) -> np.ndarray:
    """Days until each customer's turn, 0 on it; shape (n,).

    Args:
        customer_ids: Ids.
        day_number: Days from 1970-01-01 to the date.
        every_days: A turn comes once in so many days, on a day that a hash of the id draws.
    """
    return np.array([(_hash(f"turn {one}") - day_number) % every_days for one in customer_ids],
                    dtype=int)  # fmt: skip


def is_held_out(customer_ids: pd.Series, share: float) -> np.ndarray:
    """Whether each customer is never contacted, by a hash of the id alone; shape (n,)."""
    limit = share * COUNT_HASHES
    return np.array([_hash(f"held out {one}") < limit for one in customer_ids], dtype=bool)


def _hash(text: str) -> int:
    return int(sha256(text.encode()).hexdigest()[:8], 16)


def _changeable(customers: pd.DataFrame) -> np.ndarray:
    """Spend that one unit of effect would add, before the margin, shape (n,)."""
    probability = customers["order_probability"].to_numpy(dtype=float)
    return np.asarray(customers["expected_spend_amount"].to_numpy(dtype=float) * (1 - probability))
