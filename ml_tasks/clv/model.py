"""Expected spend and orders, and how sure they are: one process for one customer.

The chance of an order is the one that churn and survival tell (`customer_model`). Spend is that
chance times what is spent if there is an order, by several models together (`amount`). Net spend of
a window is product sales less product refunds dated in it, not below 0. Median and bounds are
quantiles of the predictive distribution: nothing with the chance of none, else the amount expected
times a ratio, whose spread is that of customers alike in the past, told before it happened.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from ml_tasks.clv import amount, spread
from ml_tasks.clv.amount import AmountMember, AmountRegression, AmountTrees, ProcessAmount
from ml_tasks.clv.outcomes import HORIZON_DAYS, MIN_ROWS_WITH_SPEND, YEAR_HORIZON_DAYS, spend
from ml_tasks.clv.spread import Spread
from ml_tasks.customer_model import chance
from ml_tasks.customer_model.chance import PROCESS, ChanceModel, Members
from ml_tasks.customer_model.known import Known
from ml_tasks.customer_model.order_process import OrderProcess
from ml_tasks.evaluation import levels as evidence
from ml_tasks.shared import levels
from ml_tasks.shared.boosting import OffsetTrees

ORDERS = "orders_if_any"
# Column of `chance.tell` with what a member says of the log of the amount if there is any.
AMOUNTS = {name: f"log_amount_{name}" for name in amount.MEMBERS}
AMOUNT_TREES_FILE = "amount_trees.ubj"
# A year's dates share all but a month of it with the next.
OVERLAPPING_YEARS = 12.0


@dataclass(frozen=True)
class ValueModel:
    """Everything that scoring needs, all of it data.

    Attributes:
        chance: Of an order within 90 days.
        amounts: Members that say what is spent if there is an order.
        spend_share: Of those with an order, the share whose net spend is above 0.
        level, orders_level: Logs that put totals of spend and orders right.
        year_level: Log of the year's spend over what is expected of it; 0 before any is known.
        year_chance_shift: Log odds for the chance of any spend in a year, likewise.
        spreads: By horizon: how amounts lie around what is expected.
    """

    chance: ChanceModel
    amounts: dict[str, AmountMember]
    spend_share: float
    level: float = 0.0
    orders_level: float = 0.0
    year_level: float = 0.0
    year_chance_shift: float = 0.0
    spreads: Mapping[int, Spread] | None = None

    name = "combined"

    def parameters(self) -> dict[str, Any]:
        """Everything but the trees, as JSON."""
        return {
            "chance": self.chance.parameters(),
            "amounts": {name: member.parameters() for name, member in self.amounts.items()},
            "spend_share": self.spend_share,
            "level": self.level,
            "orders_level": self.orders_level,
            "year_level": self.year_level,
            "year_chance_shift": self.year_chance_shift,
            "spreads": {str(d): around.parameters() for d, around in (self.spreads or {}).items()},
        }

    def artefacts(self) -> dict[str, bytes]:
        """File name -> content."""
        trees = self.amounts.get(AmountTrees.name)
        own = {AMOUNT_TREES_FILE: trees.trees.trees} if isinstance(trees, AmountTrees) else {}
        return self.chance.artefacts() | own

    @classmethod
    def restored(cls, parameters: dict[str, Any], artefacts: Mapping[str, bytes]) -> ValueModel:
        """From what was stored."""
        fitted = ChanceModel.restored(parameters["chance"], artefacts)
        return cls(
            fitted,
            _restored_amounts(parameters["amounts"], fitted, artefacts),
            parameters["spend_share"],
            parameters["level"],
            parameters["orders_level"],
            parameters["year_level"],
            parameters["year_chance_shift"],
            {int(days): Spread(**around) for days, around in parameters["spreads"].items()},
        )

    def predict(self, snapshot: pd.DataFrame) -> pd.DataFrame:
        """What each customer will spend and order: same order as the snapshot's rows.

        Returns:
            `orders`; and by horizon the chance of any spend `chance_90`, its mean `spend_90`, its
            quantiles `median_90`, `lower_90`, `upper_90`, and those of spend if there is any,
            `if_buying_lower_90`, `if_buying_median_90`, `if_buying_upper_90`; the same of 365.
        """
        log_odds = self.chance.log_odds(snapshot)
        order = levels.inverse_link(log_odds, "logistic")
        any_spend = order * self.spend_share
        logs = [member.log_amount(snapshot) for member in self.amounts.values()]
        mean = any_spend * np.exp(np.mean(logs, axis=0) + self.level)
        ratio = amount.year_over_quarter(self.amounts, snapshot)
        year_odds = levels.log_odds(any_spend) + amount.year_log_odds(self.amounts, snapshot)
        year_chance = levels.inverse_link(year_odds + self.year_chance_shift, "logistic")
        year_spend = mean * ratio * np.exp(self.year_level)
        said = {
            "orders": order * orders_if_any(self.amounts, snapshot) * np.exp(self.orders_level),
            "chance_90": any_spend,
            "spend_90": mean,
            "chance_365": np.maximum(year_chance, any_spend),
            "spend_365": np.maximum(year_spend, mean),
        }
        for days, fitted in (self.spreads or {}).items():
            around = fitted.around(said[f"chance_{days}"], said[f"spend_{days}"])
            said |= {f"{name}_{days}": values for name, values in around.items()}
        return pd.DataFrame(said, index=snapshot.index)


def orders_if_any(amounts: Mapping[str, AmountMember], snapshot: pd.DataFrame) -> np.ndarray:
    """Days with an order if there is one, the mean in logs of those who know it, per row."""
    logs = [
        np.log(member.orders_if_any(snapshot))
        for member in amounts.values()
        if not isinstance(member, AmountRegression)
    ]
    return np.exp(np.mean(logs, axis=0))


def also(seed: int) -> chance.Also:
    """What else is told on past dates: columns AMOUNTS and ORDERS, see `chance.tell`."""

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


def fit(
    known: Known, labelled_year: pd.DataFrame, told: pd.DataFrame, seed: int
) -> tuple[ValueModel, chance.Combination]:
    """Fit all parts to what is known, and put levels and spreads right by what was told before.

    Args:
        known: What may be seen.
        labelled_year: Snapshots with known 365-day outcomes; may be empty.
        told: Of `chance.tell` with `also`.
        seed: Handed to the trees.
    """
    fitted, combination = chance.fit(known, told, seed)
    amounts = amount.fit_members(known, fitted.members, seed)
    model = ValueModel(fitted, amounts, spend_share_of(known.labelled))
    past = untested(tuple(amounts))
    if not told.empty:
        past = learnt(evidence_of(known, told), model.spend_share, known.date, tuple(amounts))
    logs = {name: member.log_amount(known.snapshot) for name, member in amounts.items()}
    order = fitted.predict(known.snapshot)
    model = replace(model, level=past.shift(order, logs), orders_level=past.orders_level)
    around = past.spread
    if around is None:  # too young to have told anything: as the customers of the past lie
        said = model.predict(known.labelled)
        around = spread.fit(said["chance_90"], said["spend_90"], spend(known.labelled))
    spreads = dict.fromkeys((HORIZON_DAYS, YEAR_HORIZON_DAYS), around)
    return _with_year(replace(model, spreads=spreads), labelled_year), combination


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


def _with_year(model: ValueModel, labelled_year: pd.DataFrame) -> ValueModel:
    """The model with its year's level, chance and spread, by the years whose end is known."""
    amounts = spend(labelled_year)
    if (amounts > 0).sum() < MIN_ROWS_WITH_SPEND:
        return model
    said = model.predict(labelled_year)
    shift = levels.shift_to_mean(
        levels.log_odds(said["chance_365"].to_numpy()), float((amounts > 0).mean())
    )
    date = labelled_year["as_of_date"].to_numpy()
    level = level_of(amounts, said["spend_365"].to_numpy(), date, OVERLAPPING_YEARS)
    model = replace(model, year_chance_shift=shift, year_level=level)
    said = model.predict(labelled_year)
    year = spread.fit(said["chance_365"].to_numpy(), said["spend_365"].to_numpy(), amounts)
    return replace(model, spreads={**(model.spreads or {}), YEAR_HORIZON_DAYS: year})


def _restored_amounts(
    stored: dict[str, Any], fitted: ChanceModel, artefacts: Mapping[str, bytes]
) -> dict[str, AmountMember]:
    process, clock = fitted.members[PROCESS], fitted.clock
    assert isinstance(process, OrderProcess)
    found: dict[str, AmountMember] = {
        ProcessAmount.name: ProcessAmount(process, **stored[ProcessAmount.name])
    }
    if AmountRegression.name in stored:
        found[AmountRegression.name] = AmountRegression(**stored[AmountRegression.name])
    if AmountTrees.name in stored and clock:
        own = stored[AmountTrees.name]
        trees = OffsetTrees(**own["trees"], trees=artefacts[AMOUNT_TREES_FILE])
        found[AmountTrees.name] = AmountTrees(clock.clock, own["mean_order_amount"], trees)
    return found
