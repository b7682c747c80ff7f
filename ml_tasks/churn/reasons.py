"""Why a customer's churn is what it is: what sets them apart from the shop's usual customer.

Asked of the published probability itself, whatever makes it: the model is shown each customer with
groups of features as they are and all others as is usual (ml_tasks/churn/profile.py), and a group's
contribution is how far it moves the log odds, a mean over orders in which the groups come in. What
a group adds for three in four customers alike is taken off, so that a reason tells customers apart.

A reason is told only where it agrees with plain sense (see `CODES` of words.py), by rules on what a
customer did: a silence longer than their own rhythm is never told as lowering the risk, more orders
than usual never as raising it, whatever the model says. What is not told is not shared out
to others: contributions of all groups add up to the customer's log odds less one number for all.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Protocol

import numpy as np
import pandas as pd

from ml_tasks.churn import profile, words
from ml_tasks.churn.profile import GROUPS, Usual
from ml_tasks.customers import margins
from ml_tasks.customers.matrix import history_days

COUNT_REASONS = 3
# Less moves a chance of one half by less than two and a half in a hundred.
MIN_CONTRIBUTION = 0.1
# No side of a group is told to a larger share of the training date's customers: what so many share
# is usual.
MAX_SHARE = 0.75
CHUNK_ROWS = 50_000
COLUMNS = (
    "customer_id", "reason_rank", "feature", "feature_value", "contribution_log_odds", "reason",
    "reason_code", "usual_value",
)  # fmt: skip
# Each order of the groups and its reverse: where no more than two groups act together, the mean is
# their Owen value. Silence is measured by the rhythm, so it comes right after it in both.
ORDERS: tuple[tuple[str, ...], ...] = (
    ("season", "beginning", "returns", "amount", "frequency", "silence"),
    ("frequency", "silence", "amount", "returns", "beginning", "season"),
)  # docs/decisions/customer_models.md: why Owen values of groups


class Model(Protocol):
    """What predicts the chance of an order."""

    def predict(self, snapshot: pd.DataFrame) -> np.ndarray:
        """Chance of an order, per row."""


def usual_of(model: Model, snapshot: pd.DataFrame) -> Usual:
    """What is usual on a training date: the usual customer, and what each group adds as a rule.

    Args:
        model: That will be asked.
        snapshot: Columns of features.customer_snapshots, at least one row.
    """
    usual = profile.usual_of(snapshot)
    snapshot = _watched(snapshot)
    parts = [by_group for _, by_group in contributions(model, usual, snapshot)]
    spread = pd.concat(parts)[list(GROUPS)].quantile([1 - MAX_SHARE, MAX_SHARE]).to_numpy()
    shared = np.clip(0.0, *spread)  # 0 where some are on either side
    return usual | {
        _shared_name(group): round(float(value), 6)
        for group, value in zip(GROUPS, shared, strict=True)
    }


def contributions(
    model: Model, usual: Usual, snapshot: pd.DataFrame
) -> Iterator[tuple[slice, pd.DataFrame]]:
    """What each group adds to the log odds of churn, part by part.

    Yields:
        Rows, CHUNK_ROWS at a time, and a column per group.

    Source:
        Owen (1977), doi 10.1007/978-3-642-45494-3_7, sampled by pairs of orders as in Mitchell et
        al. (2022), arXiv 2104.12199.
    """
    for start in range(0, len(snapshot), CHUNK_ROWS):
        rows = slice(start, min(start + CHUNK_ROWS, len(snapshot)))
        part = snapshot.iloc[rows]
        known: dict[frozenset[str], np.ndarray] = {}
        total = {group: np.zeros(len(part)) for group in GROUPS}
        for order in ORDERS:
            steps = [frozenset(order[:count]) for count in range(len(order) + 1)]
            for own in steps:
                if own not in known:
                    known[own] = _log_odds(model, profile.mixed(part, usual, own))
            for group, (before, after) in zip(order, pairwise(steps), strict=True):
                total[group] += (known[after] - known[before]) / len(ORDERS)
        by_group = {g: value - usual.get(_shared_name(g), 0.0) for g, value in total.items()}
        yield rows, pd.DataFrame(by_group, index=part.index)


def reasons(model: Model, usual: Usual, snapshot: pd.DataFrame) -> pd.DataFrame:
    """What sets each customer apart most, up or down, where plain sense agrees.

    Args:
        model: Whose probability is explained.
        usual: As of `usual_of`.
        snapshot: Columns of features.customer_snapshots.

    Returns:
        A row per customer and rank (1 sets them apart most): COLUMNS. The contribution is in log
        odds of churn: above 0 it raises the risk. Who has nothing to tell has one row, `as_usual`,
        with the sum of all contributions.
    """
    snapshot = _watched(snapshot)  # a part can't tell it
    parts = [
        _told(by_group, words.facts(snapshot.iloc[rows], usual))
        for rows, by_group in contributions(model, usual, snapshot)
    ]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=list(COLUMNS))


def _told(by_group: pd.DataFrame, facts: pd.DataFrame) -> pd.DataFrame:
    """The reasons of a part of the customers; `facts` has the same rows."""
    table = by_group[list(GROUPS)].to_numpy()
    codes = words.codes(facts, table > 0)
    is_told = (np.abs(table) >= MIN_CONTRIBUTION) & (codes != "")
    strength = np.where(is_told, np.abs(table), -1.0)
    order = np.argsort(-strength, axis=1, kind="stable")[:, :COUNT_REASONS]
    row = np.broadcast_to(np.arange(len(table))[:, None], order.shape)
    kept = is_told[row, order]
    kept[:, 0] = True  # who has none is as usual
    row, group = row[kept], order[kept]
    rank = np.broadcast_to(np.arange(1, order.shape[1] + 1), kept.shape)[kept]
    code = np.where(is_told[row, group], codes[row, group], words.AS_USUAL)
    is_usual = code == words.AS_USUAL
    said = pd.DataFrame(
        {
            "customer_id": facts["customer_id"].to_numpy(dtype=object)[row],
            "reason_rank": rank,
            "contribution_log_odds": np.where(is_usual, table.sum(axis=1)[row], table[row, group]),
            "reason_code": code,
        }
    )
    return said.assign(**words.described(facts.iloc[row], code))[list(COLUMNS)]


def of_rank(why: pd.DataFrame, column: str, rank: int, customer_ids: pd.Series) -> np.ndarray:
    """Each customer's entry of a rank, shape (n_customers,); None where they have none."""
    found = why[why["reason_rank"] == rank].set_index("customer_id")[column]
    entries = found.reindex(customer_ids).to_numpy(dtype=object)
    entries[pd.isna(entries)] = None
    return entries


def _log_odds(model: Model, frame: pd.DataFrame) -> np.ndarray:
    return -margins.log_odds(model.predict(frame))


def _watched(snapshot: pd.DataFrame) -> pd.DataFrame:
    return snapshot.assign(days_watched=history_days(snapshot))


def _shared_name(group: str) -> str:
    return f"shared_contribution_of_{group}"
