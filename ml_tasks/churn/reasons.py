"""Reasons for a churn probability: what sets a customer apart from the shop's usual customer.

Reasons explain the published probability, whatever the model. The model predicts for each customer
with some groups of features as they are and all others as usual (ml_tasks/churn/profile.py). A
group's contribution is how far adding the group moves the log odds, averaged over the orders in
which groups are added. What a group adds for three in four customers alike is subtracted, so that
reasons distinguish customers.

A reason is published only where plain rules on the customer's history allow it (`CODES` of
words.py). A silence longer than the customer's own rhythm never lowers the risk, and more orders
than usual never raise it, whatever the model predicts. The contribution of a suppressed reason is
not spread over the others: the contributions of all groups add up to the customer's log odds minus
one constant for all customers.
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
# A smaller contribution moves a probability of 0.5 by less than 0.025.
MIN_CONTRIBUTION = 0.1
# No group is a reason in the same direction (raising or lowering) for a larger share of the
# training date's customers: what so many share is usual.
MAX_SHARE = 0.75
CHUNK_ROWS = 5_000  # customers; each is predicted in every mixture of STEPS
COLUMNS = (
    "customer_id", "reason_rank", "feature", "feature_value", "contribution_log_odds", "reason",
    "reason_code", "usual_value",
)  # fmt: skip
# An order of the groups and its reverse: where no more than two groups interact, the mean is the
# Owen value. Silence is measured by the rhythm, so it comes right after frequency in both.
ORDERS: tuple[tuple[str, ...], ...] = (
    ("season", "beginning", "returns", "amount", "frequency", "silence"),
    ("frequency", "silence", "amount", "returns", "beginning", "season"),
)  # docs/decisions/customer_models.md: why Owen values of groups


def _steps(order: tuple[str, ...]) -> list[frozenset[str]]:
    """The groups that are as they are before the first group is added, and after each."""
    return [frozenset(order[:count]) for count in range(len(order) + 1)]


# Each mixture of groups as they are and as usual that an order passes through, once.
STEPS = list(dict.fromkeys(step for order in ORDERS for step in _steps(order)))


class Model(Protocol):
    """A model of the probability of an order."""

    def predict(self, snapshot: pd.DataFrame) -> np.ndarray:
        """Probability of an order, shape (n,)."""


def usual_of(model: Model, snapshot: pd.DataFrame) -> Usual:
    """The usual customer of a training date, and what each group adds for most customers.

    Args:
        model: The model to explain.
        snapshot: Columns of features.customer_snapshots, at least one row.

    Returns:
        As of `profile.usual_of`, and per group `shared_contribution_of_<group>` in log odds: the
        part that MAX_SHARE of the customers have in common, 0 where they differ in sign.
    """
    usual = profile.usual_of(snapshot)
    snapshot = _watched(snapshot)
    parts = [by_group for _, by_group in contributions(model, usual, snapshot)]
    spread = pd.concat(parts)[list(GROUPS)].quantile([1 - MAX_SHARE, MAX_SHARE]).to_numpy()
    shared = np.clip(0.0, *spread)  # 0 where the signs differ
    return usual | {
        _shared_name(group): round(float(value), 6)
        for group, value in zip(GROUPS, shared, strict=True)
    }


def contributions(
    model: Model, usual: Usual, snapshot: pd.DataFrame
) -> Iterator[tuple[slice, pd.DataFrame]]:
    """What each group adds to the log odds of churn, CHUNK_ROWS customers at a time.

    Args:
        model: The model to explain.
        usual: As of `usual_of`.
        snapshot: Columns of features.customer_snapshots, and `days_watched`.

    Yields:
        The rows of a chunk, and their contributions in log odds: a column per group.

    Source:
        Owen (1977), doi 10.1007/978-3-642-45494-3_7, sampled by pairs of orders as in Mitchell et
        al. (2022), arXiv 2104.12199.
    """
    for start in range(0, len(snapshot), CHUNK_ROWS):
        rows = slice(start, min(start + CHUNK_ROWS, len(snapshot)))
        part = snapshot.iloc[rows]
        # all mixtures at once: a prediction costs as much for one customer as for a thousand
        mixtures = pd.concat([profile.mixed(part, usual, own) for own in STEPS], ignore_index=True)
        known = dict(zip(STEPS, _log_odds(model, mixtures).reshape(len(STEPS), -1), strict=True))
        total = {group: np.zeros(len(part)) for group in GROUPS}
        for order in ORDERS:
            for group, (before, after) in zip(order, pairwise(_steps(order)), strict=True):
                total[group] += (known[after] - known[before]) / len(ORDERS)
        by_group = {g: value - usual.get(_shared_name(g), 0.0) for g, value in total.items()}
        yield rows, pd.DataFrame(by_group, index=part.index)


def reasons(model: Model, usual: Usual, snapshot: pd.DataFrame) -> pd.DataFrame:
    """The strongest reasons of each customer, raising or lowering, where the rules allow them.

    Args:
        model: The model to explain.
        usual: As of `usual_of`.
        snapshot: Columns of features.customer_snapshots.

    Returns:
        A row per customer and rank (1 is the strongest reason): COLUMNS. The contribution is in
        log odds of churn; above 0 it raises the risk. A customer without any reason has one row,
        `as_usual`, with the sum of all contributions.
    """
    snapshot = _watched(snapshot)  # needs all rows, so before the chunks
    parts = [
        _strongest(by_group, words.facts(snapshot.iloc[rows], usual))
        for rows, by_group in contributions(model, usual, snapshot)
    ]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=list(COLUMNS))


def _strongest(by_group: pd.DataFrame, facts: pd.DataFrame) -> pd.DataFrame:
    """The reasons of a chunk of customers; `facts` has the same rows."""
    table = by_group[list(GROUPS)].to_numpy()
    codes = words.codes(facts, table > 0)
    is_reason = (np.abs(table) >= MIN_CONTRIBUTION) & (codes != "")
    strength = np.where(is_reason, np.abs(table), -1.0)
    order = np.argsort(-strength, axis=1, kind="stable")[:, :COUNT_REASONS]
    row = np.broadcast_to(np.arange(len(table))[:, None], order.shape)
    kept = is_reason[row, order]
    kept[:, 0] = True  # a customer without a reason has the row `as_usual`
    row, group = row[kept], order[kept]
    rank = np.broadcast_to(np.arange(1, order.shape[1] + 1), kept.shape)[kept]
    code = np.where(is_reason[row, group], codes[row, group], words.AS_USUAL)
    is_usual = code == words.AS_USUAL
    ranked = pd.DataFrame(
        {
            "customer_id": facts["customer_id"].to_numpy(dtype=object)[row],
            "reason_rank": rank,
            "contribution_log_odds": np.where(is_usual, table.sum(axis=1)[row], table[row, group]),
            "reason_code": code,
        }
    )
    return ranked.assign(**words.described(facts.iloc[row], code))[list(COLUMNS)]


def of_rank(why: pd.DataFrame, column: str, rank: int, customer_ids: pd.Series) -> np.ndarray:
    """Each customer's entry of `column` at a rank, shape (n_customers,); None if there is none.

    Args:
        why: As of `reasons`.
        column: One of COLUMNS.
        rank: From 1 to COUNT_REASONS.
        customer_ids: The customers, in the order of the result.
    """
    of_customers = why[why["reason_rank"] == rank].set_index("customer_id")[column]
    entries = of_customers.reindex(customer_ids).to_numpy(dtype=object)
    entries[pd.isna(entries)] = None
    return entries


def _log_odds(model: Model, frame: pd.DataFrame) -> np.ndarray:
    return -margins.log_odds(model.predict(frame))


def _watched(snapshot: pd.DataFrame) -> pd.DataFrame:
    return snapshot.assign(days_watched=history_days(snapshot))


def _shared_name(group: str) -> str:
    return f"shared_contribution_of_{group}"
