"""What past actions did: contacted customers beside held-out ones, once 90 days have passed.

The comparison is by intention to treat: everybody whose turn it was counts, contacted or not, as
they were drawn. A customer counts once, from the first such turn of the last year.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from ml_tasks.actions.catalogue import ANY, Catalogue, Effect
from ml_tasks.evaluation.held_out import LEAST_A_GROUP, compared


def measured(turns: pd.DataFrame, catalogue: Catalogue) -> pd.DataFrame:
    """Rows of scores.action_effects without status: one for each action, and one for all.

    Args:
        turns: One row per customer and action: action, is_held_out, order_probability and
            expected_spend_amount of the day of the turn, happened_orders and happened_spend_amount
            in the 90 days from it.
        catalogue: The actions.
    """
    first = turns.drop_duplicates("customer_id")
    return pd.DataFrame(
        [{"action": name, **_of(turns[turns["action"] == name])} for name in catalogue.names]
        + [{"action": ANY, **_of(first)}]
    )


def is_measured(effects: pd.DataFrame) -> np.ndarray:
    """Whether both groups of each row are large enough to compare, shape (n,)."""
    smallest = effects[["count_contacted", "count_held_out"]].min(axis=1)
    return (smallest >= LEAST_A_GROUP).to_numpy()


def updated(effects: pd.DataFrame, catalogue: Catalogue) -> Mapping[str, Effect]:
    """The effects to plan with: the catalogue's, and this shop's own as far as it is certain.

    Both are normal, so their precision-weighted mean is the posterior (Gelman et al., Bayesian
    Data Analysis, 2.5).

    Args:
        effects: From `measured`.
        catalogue: The actions with their effects before any evidence.
    """
    rows = effects[is_measured(effects)].set_index("action").to_dict("index")
    found = {}
    for action in catalogue.actions:
        prior = found[action.action] = action.effect
        if row := rows.get(action.action):
            rate = row["order_rate_held_out"]
            per_log_odds = max(rate * (1 - rate), 0.01)
            mean = row["order_rate_difference"] / per_log_odds
            sd = max(row["order_rate_error"] / per_log_odds, 1e-6)
            weight = prior.sd**2 / (prior.sd**2 + sd**2)
            posterior = prior.mean + weight * (mean - prior.mean)
            found[action.action] = Effect(mean=posterior, sd=prior.sd * math.sqrt(1 - weight))
    return found


def _of(turns: pd.DataFrame) -> dict[str, Any]:
    return compared(
        turns["happened_orders"].to_numpy(),
        turns["order_probability"].to_numpy(),
        turns["happened_spend_amount"].to_numpy(),
        turns["expected_spend_amount"].to_numpy(),
        turns["is_held_out"].to_numpy(dtype=bool),
    )
