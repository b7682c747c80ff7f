"""Expected spend and orders: trees, the repeats that they have to beat, and the year ahead.

Net spend of a window is product sales less product refunds dated in it, not below 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from ml_tasks.shared import boosting
from ml_tasks.shared.boosting import LevelledTrees
from ml_tasks.shared.customer_matrix import history_days

HORIZON_DAYS = 90
YEAR_HORIZON_DAYS = 365
# So many snapshots must have been followed by spend before anything can be learnt from them.
MIN_ROWS_WITH_SPEND = 30
# Share of customers, best first, at which a tier ends.
TIERS = {"top": 0.05, "high": 0.20, "medium": 0.50, "low": 1.0}


def is_learnable(labelled: pd.DataFrame) -> bool:
    """Whether enough snapshots were followed by spend, and by orders."""
    outcomes = labelled[["outcome_net_spend_amount", "outcome_count_orders"]]
    return bool(((outcomes > 0).sum() >= MIN_ROWS_WITH_SPEND).all())


def fit_spend(labelled: pd.DataFrame, seed: int) -> LevelledTrees:
    """Fit expected net spend over 90 days on labelled snapshots of whole dates."""
    return boosting.fit(labelled, spend(labelled), "tweedie", seed)


def fit_orders(labelled: pd.DataFrame, seed: int) -> LevelledTrees:
    """Fit the expected count of orders over 90 days on labelled snapshots of whole dates."""
    outcome = labelled["outcome_count_orders"].to_numpy(dtype=float)
    return boosting.fit(labelled, outcome, "poisson", seed)


def spend(labelled: pd.DataFrame) -> np.ndarray:
    """Net spend that followed each snapshot, at least 0, shop currency."""
    return labelled["outcome_net_spend_amount"].to_numpy(dtype=float).clip(min=0)


def repeat_of_last_90_days(snapshot: pd.DataFrame) -> np.ndarray:
    """Baseline: what a customer spent in the last 90 days, they spend again."""
    return snapshot["net_spend_amount_90d"].to_numpy(dtype=float).clip(min=0)


def same_90_days_last_year(snapshot: pd.DataFrame) -> np.ndarray:
    """Baseline: what a customer spent in the same season a year ago, they spend again."""
    return snapshot["net_spend_amount_season_last_year"].to_numpy(dtype=float).clip(min=0)


def orders_of_repeat(snapshot: pd.DataFrame, repeat: str) -> np.ndarray:
    """Count of orders in the days whose spend the named baseline repeats."""
    season = {"same_90_days_last_year": "season_last_year"}.get(repeat, "90d")
    return snapshot[f"count_orders_{season}"].to_numpy(dtype=float)


def repeat_of_last_365_days(snapshot: pd.DataFrame) -> np.ndarray:
    """Baseline of the year ahead: what a customer spent in the last one."""
    return snapshot["net_spend_amount_365d"].to_numpy(dtype=float).clip(min=0)


def was_watched_for(snapshot: pd.DataFrame, days: int) -> bool:
    """Whether the shop's oldest customer is that old; an empty snapshot is of no age."""
    return len(snapshot) > 0 and int(history_days(snapshot).max()) >= days


def year_multiple(labelled: pd.DataFrame, labelled_year: pd.DataFrame) -> dict[str, Any] | None:
    """How much customers spend in a year for each unit spent in its first 90 days.

    A model of the year itself would need outcomes of a year, and another year to test it on. The
    multiple needs one year: it is read off the customers of the same season a year ago, so that
    what the first 90 days have too much or too little of is put right by the rest.

    Args:
        labelled: Snapshots with 90-day outcomes.
        labelled_year: Snapshots with 365-day outcomes, on the same dates as far as they go.

    Returns:
        `multiple` (at least 1) and `snapshot_date` of the customers it rests on; None if no
        outcome of a year is known yet.
    """
    if labelled_year.empty:
        return None
    newest = labelled_year["as_of_date"].max()
    first_90_days = spend(labelled[labelled["as_of_date"] == newest]).sum()
    if first_90_days <= 0:
        return None
    multiple = spend(labelled_year[labelled_year["as_of_date"] == newest]).sum() / first_90_days
    return {
        "multiple": round(max(float(multiple), 1.0), 6),
        "snapshot_date": f"{newest:%Y-%m-%d}",
    }


def value_tier(amount: np.ndarray) -> np.ndarray:
    """Tier by rank of an amount: first 5 % `top`, next 15 % `high`, next 30 % `medium`, else `low`.

    Equal amounts get the same tier, the lower of those that they span: a crowd at 0 is `low`.
    """
    rank = pd.Series(-amount).rank(method="max").to_numpy() - 1
    bounds = np.array(list(TIERS.values()))
    place = np.searchsorted(bounds, rank / max(len(amount), 1), side="right")
    return np.array(list(TIERS), dtype=object)[np.minimum(place, len(bounds) - 1)]
