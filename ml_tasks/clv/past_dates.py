"""What past dates say of spend: how far totals were off, how amounts lie around what is expected.

Members are fitted on past dates and asked of the customers of those (`chance.predict_past`); what
they said stands beside what came.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ml_tasks.clv import amount, spread
from ml_tasks.clv.amount import AmountMember, AmountRegression
from ml_tasks.clv.outcomes import HORIZON_DAYS, MIN_ROWS_WITH_SPEND, spend
from ml_tasks.clv.spread import Spread
from ml_tasks.customers import chance
from ml_tasks.customers.chance import Members
from ml_tasks.customers.known import Known
from ml_tasks.evaluation import levels as evidence

ORDERS = "orders_if_any"
# Column of `chance.predict_past` with what a member says of the log of the amount if there is any.
AMOUNTS = {name: f"log_amount_{name}" for name in amount.MEMBERS}


def orders_if_any(amounts: Mapping[str, AmountMember], snapshot: pd.DataFrame) -> np.ndarray:
    """Days with an order if there is one, the mean in logs of those who know it, per row."""
    logs = [
        np.log(member.orders_if_any(snapshot))
        for member in amounts.values()
        if not isinstance(member, AmountRegression)
    ]
    return np.exp(np.mean(logs, axis=0))


def also(seed: int) -> chance.Further:
    """What else is told on past dates: columns AMOUNTS and ORDERS, see `chance.predict_past`."""

    def fit_on(past: Known, members: Members) -> Any:
        fitted = amount.fit_members(past, members, seed)
        return lambda rows: {
            ORDERS: orders_if_any(fitted, rows),
            **{
                column: fitted[name].log_amount(rows) if name in fitted else np.nan
                for name, column in AMOUNTS.items()
            },
        }

    return fit_on


def evidence_of(known: Known, told: pd.DataFrame) -> pd.DataFrame:
    """What was told on past dates beside what came, rows as of `told`.

    Returns:
        as_of_date, origin_date; `order` (chance of one, by what was known then), AMOUNTS, ORDERS;
        `spend` and `orders` that came.
    """
    labelled = known.labelled.loc[told.index]
    return told[["as_of_date", "origin_date", ORDERS, *AMOUNTS.values()]].assign(
        order=chance.combined(known, told),
        spend=spend(labelled),
        orders=labelled["outcome_count_orders"].to_numpy(dtype=float),
    )


def spend_share_of(labelled: pd.DataFrame) -> float:
    """Share of the snapshots followed by an order whose net spend was above 0."""
    count = max(int((labelled["outcome_count_orders"] > 0).sum()), 1)
    return round(min(int((spend(labelled) > 0).sum()) / count, 1.0), 6)


@dataclass(frozen=True)
class Learnt:
    """What past dates say of the parts together.

    Attributes:
        names: Members of the amount.
        weights: Of the totals that they say, shape (n_members,).
        orders_level: Log that puts the total of orders right.
        spread: Of amounts around what is expected; None before any was told.
    """

    names: tuple[str, ...]
    weights: np.ndarray
    orders_level: float = 0.0
    spread: Spread | None = None

    def shift(self, order: np.ndarray, logs: Mapping[str, np.ndarray]) -> float:
        """What to add to the mean log so that the total is the members' weighted one.

        Args:
            order: Chance of an order of all customers of a date.
            logs: Log of the amount if any, by member.
        """
        return round(float((self.weights * _totals(order, logs, self.names)).sum()), 6)


def _totals(
    order: np.ndarray, logs: Mapping[str, np.ndarray], names: tuple[str, ...]
) -> np.ndarray:
    """Logs of the totals that members say over that of their mean, shape (n_members,)."""
    mean = float((order * np.exp(np.mean([logs[name] for name in names], axis=0))).sum())
    return np.array([np.log((order * np.exp(logs[name])).sum() / mean) for name in names])


def untested(names: tuple[str, ...]) -> Learnt:
    """Before any date was told: members count alike."""
    return Learnt(names, np.full(len(names), 1 / len(names)))


def learnt(
    found: pd.DataFrame, spend_share: float, known_by: pd.Timestamp, names: tuple[str, ...]
) -> Learnt:
    """Levels and spread by the dates whose outcome was known on a date.

    Args:
        found: Of `evidence_of`.
        spend_share: Of those with an order, the share whose net spend is above 0.
        known_by: The date.
        names: Members of the amount.
    """
    found = found[found["as_of_date"] + pd.Timedelta(days=HORIZON_DAYS) <= known_by]
    if (found["spend"] > 0).sum() < MIN_ROWS_WITH_SPEND:
        return untested(names)
    any_spend = found["order"].to_numpy() * spend_share
    logs = {name: found[AMOUNTS[name]].to_numpy(dtype=float) for name in names}
    weights = _weights(found, any_spend, logs)
    # members that could not be fitted yet say what the others say
    mean = any_spend * np.exp(np.nanmean([logs[name] for name in names], axis=0))
    orders = found["order"].to_numpy() * found[ORDERS].to_numpy(dtype=float)
    return Learnt(
        names,
        weights,
        level_of(found["orders"].to_numpy(), orders, found["as_of_date"].to_numpy()),
        spread.fit(any_spend, mean, found["spend"].to_numpy()),
    )


def _weights(
    found: pd.DataFrame, any_spend: np.ndarray, logs: Mapping[str, np.ndarray]
) -> np.ndarray:
    """Weights of the members' totals by how little they missed."""
    missed, variance = [], []
    for _, rows in found.groupby("as_of_date").indices.items():
        came = found["spend"].to_numpy()[rows]
        if came.sum() > 0:
            said = [(any_spend[rows] * np.exp(one[rows])).sum() for one in logs.values()]
            missed.append(np.log(came.sum() / np.array(said)))
            variance.append(float((came**2).sum() / came.sum() ** 2))
    return evidence.learnt(np.array(missed), np.array(variance)).weight


def level_of(
    came: np.ndarray,
    said: np.ndarray,
    date: np.ndarray,
    overlapping: float = evidence.OVERLAPPING_DATES,
) -> float:
    """Log of totals that came over totals said, drawn to 0 by how much the dates disagree."""
    missed, variance = [], []
    for one in np.unique(date):
        rows = date == one
        if came[rows].sum() > 0:
            missed.append([np.log(came[rows].sum() / said[rows].sum())])
            variance.append(float((came[rows] ** 2).sum() / came[rows].sum() ** 2))
    if not missed:
        return 0.0
    found = evidence.learnt(np.array(missed), np.array(variance), overlapping)
    return round(float(found.correction[0]), 6)
