"""Expected spend and orders, and how sure they are: one process for one customer.

The chance of an order is the one that churn and survival predict (`customers/chance.py`). Spend is
that chance times what is spent if there is an order, by several models together (`amount`). Net
spend of a window is product sales less product refunds dated in it, not below 0. Median and bounds
are quantiles of the predictive distribution: nothing with the chance of none, else the amount
expected times a ratio, whose spread is that of customers alike in the past, told before it
happened.
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
        news: What the quarter says that process and clock do not, on average over customers; None
            in models of before, whose year is the quarter times a ratio.
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
            QuarterNews(**parameters["news"]) if "news" in parameters else None,
        )

    def predict(self, snapshot: pd.DataFrame) -> pd.DataFrame:
        """What each customer will spend and order: same order as the snapshot's rows.

        Returns:
            `orders`; and by horizon the chance of any spend `chance_90`, its mean `spend_90`, its
            quantiles `median_90`, `lower_90`, `upper_90`, and those of spend if there is any,
            `if_buying_lower_90`, `if_buying_median_90`, `if_buying_upper_90`; the same of 365.
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
        said = {
            "orders": orders,
            "chance_90": any_spend,
            "spend_90": mean,
            "chance_365": np.maximum(year_chance, any_spend),
            "spend_365": np.maximum(year_spend, mean),
        }
        for days, fitted in (self.spreads or {}).items():
            around = fitted.around(said[f"chance_{days}"], said[f"spend_{days}"])
            said |= {f"{name}_{days}": values for name, values in around.items()}
        return pd.DataFrame(said, index=snapshot.index)


def fit(
    known: Known, labelled_year: pd.DataFrame, told: pd.DataFrame, seed: int
) -> tuple[ValueModel, chance.Combination]:
    """Fit all parts to what is known, and put levels and spreads right by what was told before.

    Args:
        known: What may be seen.
        labelled_year: Snapshots with known 365-day outcomes; may be empty.
        told: Of `chance.predict_past` with `past_dates.also`.
        seed: Handed to the trees.
    """
    fitted, combination = chance.fit(known, told, seed)
    amounts = amount.fit_members(known, fitted.members, seed)
    model = ValueModel(fitted, amounts, past_dates.spend_share_of(known.labelled))
    past = past_dates.untested(tuple(amounts))
    if not told.empty:
        found = past_dates.evidence_of(known, told)
        past = past_dates.learnt(found, model.spend_share, known.date, tuple(amounts))
    logs = {name: member.log_amount(known.snapshot) for name, member in amounts.items()}
    order = fitted.predict(known.snapshot)
    model = replace(model, level=past.shift(order, logs), orders_level=past.orders_level)
    around = past.spread
    if around is None:  # too young to have told anything: as the customers of the past lie
        said = model.predict(known.labelled)
        around = spread.fit(said["chance_90"], said["spend_90"], spend(known.labelled))
    spreads = dict.fromkeys((HORIZON_DAYS, YEAR_HORIZON_DAYS), around)
    said = model.predict(known.snapshot)
    news = QuarterNews.of(amounts, known.snapshot, said["orders"], said["chance_90"])
    model = replace(model, news=news)
    return _with_year(replace(model, spreads=spreads), labelled_year), combination


def _with_year(model: ValueModel, labelled_year: pd.DataFrame) -> ValueModel:
    """The model with its year's level, chance and spread, by the years whose end is known."""
    amounts = spend(labelled_year)
    if (amounts > 0).sum() < MIN_ROWS_WITH_SPEND:
        return model
    said = model.predict(labelled_year)
    shift = margins.shift_to_mean(
        margins.log_odds(said["chance_365"].to_numpy()), float((amounts > 0).mean())
    )
    date = labelled_year["as_of_date"].to_numpy()
    level = past_dates.level_of(amounts, said["spend_365"].to_numpy(), date, OVERLAPPING_YEARS)
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
