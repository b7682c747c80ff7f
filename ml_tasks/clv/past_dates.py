"""Evidence from past dates: errors of the totals, and spread of amounts around the expected ones.

Members are fitted on past dates and predict for the customers of those dates
(`chance.predict_past`). Their predictions are compared with the actual outcomes.
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
from ml_tasks.evaluation import levels

ORDERS = "orders_if_any"
# Member -> column of `chance.predict_past` with its log of the amount given any spend.
AMOUNTS = {name: f"log_amount_{name}" for name in amount.MEMBERS}


def orders_if_any(amounts: Mapping[str, AmountMember], snapshot: pd.DataFrame) -> np.ndarray:
    """Expected days with an order in 90 days given an order, at least 1, shape (n,).

    The prediction is the mean of logs over process and clock; the regression has no orders.
    """
    logs = [
        np.log(member.orders_if_any(snapshot))
        for member in amounts.values()
        if not isinstance(member, AmountRegression)
    ]
    return np.exp(np.mean(logs, axis=0))


def also(seed: int) -> chance.Further:
    """Further columns of `chance.predict_past`: AMOUNTS and ORDERS, predicted on past dates."""

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


def evidence_of(known: Known, predictions: pd.DataFrame) -> pd.DataFrame:
    """Predictions on past dates beside the actual outcomes, a row per row of `predictions`.

    Returns:
        as_of_date, origin_date; the predicted `order` (chance of an order, by what was known at
        the origin), AMOUNTS and ORDERS; the actual `spend` and `orders`.
    """
    labelled = known.labelled.loc[predictions.index]
    return predictions[["as_of_date", "origin_date", ORDERS, *AMOUNTS.values()]].assign(
        order=chance.combined(known, predictions),
        spend=spend(labelled),
        orders=labelled["outcome_count_orders"].to_numpy(dtype=float),
    )


def spend_share_of(labelled: pd.DataFrame) -> float:
    """Share of snapshots with net spend above 0 among those followed by an order, in [0, 1].

    Args:
        labelled: Columns outcome_net_spend_amount, outcome_count_orders.
    """
    count = max(int((labelled["outcome_count_orders"] > 0).sum()), 1)
    return round(min(int((spend(labelled) > 0).sum()) / count, 1.0), 6)


@dataclass(frozen=True)
class Learnt:
    """Corrections learnt from past dates.

    Attributes:
        names: Members of the amount.
        weights: Weights of the totals that the members predict, shape (n_members,).
        orders_level: Log added to correct the total of orders.
        spread: Spread of amounts around the expected ones; None if no past date was predicted.
    """

    names: tuple[str, ...]
    weights: np.ndarray
    orders_level: float = 0.0
    spread: Spread | None = None

    def shift(self, order: np.ndarray, logs: Mapping[str, np.ndarray]) -> float:
        """Log to add to the members' mean log, so that the total is their weighted total.

        Args:
            order: Chance of an order for all customers of a date, shape (n,).
            logs: Member -> log of the amount given any spend, shape (n,).
        """
        return round(float((self.weights * _totals(order, logs, self.names)).sum()), 6)


def _totals(
    order: np.ndarray, logs: Mapping[str, np.ndarray], names: tuple[str, ...]
) -> np.ndarray:
    """Log of each member's total over the total of the members' mean, shape (n_members,)."""
    mean = float((order * np.exp(np.mean([logs[name] for name in names], axis=0))).sum())
    return np.array([np.log((order * np.exp(logs[name])).sum() / mean) for name in names])


def untested(names: tuple[str, ...]) -> Learnt:
    """Equal weights and no correction, for a shop without predictions on past dates."""
    return Learnt(names, np.full(len(names), 1 / len(names)))


def learnt(
    evidence: pd.DataFrame, spend_share: float, known_by: pd.Timestamp, names: tuple[str, ...]
) -> Learnt:
    """Learn weights, levels and spread from the past dates with an outcome known by `known_by`.

    Args:
        evidence: As of `evidence_of`.
        spend_share: Share of customers with net spend above 0 among those with an order.
        known_by: Outcomes that ended after this date are not read.
        names: Members of the amount.
    """
    evidence = evidence[evidence["as_of_date"] + pd.Timedelta(days=HORIZON_DAYS) <= known_by]
    if (evidence["spend"] > 0).sum() < MIN_ROWS_WITH_SPEND:
        return untested(names)
    any_spend = evidence["order"].to_numpy() * spend_share
    logs = {name: evidence[AMOUNTS[name]].to_numpy(dtype=float) for name in names}
    weights = _weights(evidence, any_spend, logs)
    # a member that could not be fitted on a date gets the mean of the others
    mean = any_spend * np.exp(np.nanmean([logs[name] for name in names], axis=0))
    orders = evidence["order"].to_numpy() * evidence[ORDERS].to_numpy(dtype=float)
    return Learnt(
        names,
        weights,
        level_of(evidence["orders"].to_numpy(), orders, evidence["as_of_date"].to_numpy()),
        spread.fit(any_spend, mean, evidence["spend"].to_numpy()),
    )


def _weights(
    evidence: pd.DataFrame, any_spend: np.ndarray, logs: Mapping[str, np.ndarray]
) -> np.ndarray:
    """Weights of the members' totals, shape (n_members,): the smaller the error, the larger."""
    missed, variance = [], []
    for _, rows in evidence.groupby("as_of_date").indices.items():
        actual = evidence["spend"].to_numpy()[rows]
        if actual.sum() > 0:
            totals = [(any_spend[rows] * np.exp(one[rows])).sum() for one in logs.values()]
            missed.append(np.log(actual.sum() / np.array(totals)))
            variance.append(float((actual**2).sum() / actual.sum() ** 2))
    return levels.learnt(np.array(missed), np.array(variance)).weight


def level_of(
    actual: np.ndarray,
    predicted: np.ndarray,
    date: np.ndarray,
    overlapping: float = levels.OVERLAPPING_DATES,
) -> float:
    """Log of actual over predicted totals, shrunk to 0 the more the dates disagree.

    Args:
        actual: Actual amounts or counts, shape (n,).
        predicted: Predictions of the same, shape (n,).
        date: Date of each row, shape (n,); totals are computed per date.
        overlapping: Number of consecutive dates that count as one piece of evidence.
    """
    missed, variance = [], []
    for one in np.unique(date):
        rows = date == one
        if actual[rows].sum() > 0:
            missed.append([np.log(actual[rows].sum() / predicted[rows].sum())])
            variance.append(float((actual[rows] ** 2).sum() / actual[rows].sum() ** 2))
    if not missed:
        return 0.0
    result = levels.learnt(np.array(missed), np.array(variance), overlapping)
    return round(float(result.correction[0]), 6)
