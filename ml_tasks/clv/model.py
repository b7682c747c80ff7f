"""Expected spend and orders of a customer, with quantiles.

The chance of an order is the same as in churn and survival (`customers/chance.py`). Expected spend
is the chance of an order times the spend given an order, which several models predict together
(`amount`). Net spend in a window is product sales minus product refunds dated in the window, at
least 0. Median and bounds are quantiles of the predictive distribution: zero with the probability
of no spend, otherwise the expected amount times a ratio. The ratios are those of similar customers
on past dates, measured against predictions made before their spend was known.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from ml_tasks.clv import amount, past_dates, spread, year
from ml_tasks.clv.amount import AmountMember, AmountRegression, AmountTrees, ProcessAmount
from ml_tasks.clv.outcomes import HORIZON_DAYS, MIN_ROWS_WITH_SPEND, YEAR_HORIZON_DAYS, spend
from ml_tasks.clv.spread import Spread
from ml_tasks.clv.year import QuarterNews
from ml_tasks.customers import chance, margins
from ml_tasks.customers.boosting import OffsetTrees
from ml_tasks.customers.chance import PROCESS, ChanceModel
from ml_tasks.customers.known import Known
from ml_tasks.customers.order_process import OrderProcess

AMOUNT_TREES_FILE = "amount_trees.ubj"
# Years that start a month apart overlap in eleven months: so many dates are one piece of evidence.
OVERLAPPING_YEARS = 12.0


@dataclass(frozen=True)
class ValueModel:
    """A fitted model: everything that scoring needs, as data.

    Attributes:
        chance: Model of the chance of an order within 90 days.
        amounts: Members that predict the spend given an order, by name.
        spend_share: Share of customers with net spend above 0 among those with an order.
        level, orders_level: Logs added to correct the totals of spend and of orders.
        year_level: Log of actual over expected spend in a year; 0 until a year is known.
        year_chance_shift: Log odds added to the chance of any spend in a year; 0 until a year is
            known.
        news: How far the combination's next 90 days differ from process and clock, on average over
            customers. None in models of earlier versions, which compute the year as the 90 days
            times a ratio.
        spreads: Horizon in days -> spread of amounts around the expected ones.
    """

    chance: ChanceModel
    amounts: dict[str, AmountMember]
    spend_share: float
    level: float = 0.0
    orders_level: float = 0.0
    year_level: float = 0.0
    year_chance_shift: float = 0.0
    spreads: Mapping[int, Spread] | None = None
    news: QuarterNews | None = None

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
            **({"news": asdict(self.news)} if self.news else {}),
        }

    def artefacts(self) -> dict[str, bytes]:
        """File name -> content."""
        trees = self.amounts.get(AmountTrees.name)
        own = {AMOUNT_TREES_FILE: trees.trees.trees} if isinstance(trees, AmountTrees) else {}
        return self.chance.artefacts() | own

    @classmethod
    def restored(cls, parameters: dict[str, Any], artefacts: Mapping[str, bytes]) -> ValueModel:
        """The model, rebuilt from stored parameters and artefacts."""
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
            QuarterNews(**parameters["news"]) if "news" in parameters else None,
        )

    def predict(self, snapshot: pd.DataFrame) -> pd.DataFrame:
        """Predict spend and orders, a row per row of `snapshot`.

        Returns:
            `orders`; for 90 days the probability of any spend `chance_90`, the mean spend
            `spend_90`, its quantiles `median_90`, `lower_90`, `upper_90`, and the quantiles given
            any spend `if_buying_lower_90`, `if_buying_median_90`, `if_buying_upper_90`; the same
            for 365 days.
        """
        log_odds = self.chance.log_odds(snapshot)
        order = margins.inverse_link(log_odds, "logistic")
        any_spend = order * self.spend_share
        logs = [member.log_amount(snapshot) for member in self.amounts.values()]
        mean = any_spend * np.exp(np.mean(logs, axis=0) + self.level)
        orders = (
            order * past_dates.orders_if_any(self.amounts, snapshot) * np.exp(self.orders_level)
        )
        if self.news is None:
            year_orders = orders * year.orders_over_quarter(self.amounts, snapshot)
            year_odds = margins.log_odds(any_spend) + year.gained_log_odds(self.amounts, snapshot)
        else:
            year_orders = orders + self.news.later_orders(self.amounts, snapshot, orders)
            year_odds = self.news.year_log_odds(self.amounts, snapshot, any_spend)
        year_chance = margins.inverse_link(year_odds + self.year_chance_shift, "logistic")
        year_spend = mean * year_orders / orders * np.exp(self.year_level)
        predicted = {
            "orders": orders,
            "chance_90": any_spend,
            "spend_90": mean,
            "chance_365": np.maximum(year_chance, any_spend),
            "spend_365": np.maximum(year_spend, mean),
        }
        for days, fitted in (self.spreads or {}).items():
            around = fitted.around(predicted[f"chance_{days}"], predicted[f"spend_{days}"])
            predicted |= {f"{name}_{days}": values for name, values in around.items()}
        return pd.DataFrame(predicted, index=snapshot.index)


def fit(
    known: Known, labelled_year: pd.DataFrame, predictions: pd.DataFrame, seed: int
) -> tuple[ValueModel, chance.Combination]:
    """Fit all parts to what is known; correct levels and spreads by predictions on past dates.

    Args:
        known: Snapshots and outcomes known on the training date.
        labelled_year: Snapshots with known 365-day outcomes; may be empty.
        predictions: The members' predictions on past dates, as of `chance.predict_past` with
            `past_dates.also`.
        seed: Seed of the trees.

    Returns:
        The model, and how the members of the chance of an order are combined.
    """
    fitted, combination = chance.fit(known, predictions, seed)
    amounts = amount.fit_members(known, fitted.members, seed)
    model = ValueModel(fitted, amounts, past_dates.spend_share_of(known.labelled))
    past = past_dates.untested(tuple(amounts))
    if not predictions.empty:
        evidence = past_dates.evidence_of(known, predictions)
        past = past_dates.learnt(evidence, model.spend_share, known.date, tuple(amounts))
    logs = {name: member.log_amount(known.snapshot) for name, member in amounts.items()}
    order = fitted.predict(known.snapshot)
    model = replace(model, level=past.shift(order, logs), orders_level=past.orders_level)
    around = past.spread
    if around is None:  # no past date had a model: use the spread within the training rows
        in_sample = model.predict(known.labelled)
        around = spread.fit(in_sample["chance_90"], in_sample["spend_90"], spend(known.labelled))
    spreads = dict.fromkeys((HORIZON_DAYS, YEAR_HORIZON_DAYS), around)
    predicted = model.predict(known.snapshot)
    news = QuarterNews.of(amounts, known.snapshot, predicted["orders"], predicted["chance_90"])
    model = replace(model, news=news)
    return _with_year(replace(model, spreads=spreads), labelled_year), combination


def _with_year(model: ValueModel, labelled_year: pd.DataFrame) -> ValueModel:
    """The model with level, chance and spread of the year corrected by the known years."""
    amounts = spend(labelled_year)
    if (amounts > 0).sum() < MIN_ROWS_WITH_SPEND:
        return model
    predicted = model.predict(labelled_year)
    shift = margins.shift_to_mean(
        margins.log_odds(predicted["chance_365"].to_numpy()), float((amounts > 0).mean())
    )
    date = labelled_year["as_of_date"].to_numpy()
    expected = predicted["spend_365"].to_numpy()
    level = past_dates.level_of(amounts, expected, date, OVERLAPPING_YEARS)
    model = replace(model, year_chance_shift=shift, year_level=level)
    predicted = model.predict(labelled_year)
    expected = predicted["spend_365"].to_numpy()
    year = spread.fit(predicted["chance_365"].to_numpy(), expected, amounts)
    return replace(model, spreads={**(model.spreads or {}), YEAR_HORIZON_DAYS: year})


def _restored_amounts(
    stored: dict[str, Any], fitted: ChanceModel, artefacts: Mapping[str, bytes]
) -> dict[str, AmountMember]:
    process, clock = fitted.members[PROCESS], fitted.clock
    assert isinstance(process, OrderProcess)
    members: dict[str, AmountMember] = {
        ProcessAmount.name: ProcessAmount(process, **stored[ProcessAmount.name])
    }
    if AmountRegression.name in stored:
        members[AmountRegression.name] = AmountRegression(**stored[AmountRegression.name])
    if AmountTrees.name in stored and clock:
        own = stored[AmountTrees.name]
        trees = OffsetTrees(**own["trees"], trees=artefacts[AMOUNT_TREES_FILE])
        members[AmountTrees.name] = AmountTrees(clock.clock, own["mean_order_amount"], trees)
    return members
