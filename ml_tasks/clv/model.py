"""Expected spend and orders on the buying clock, and how sure they are.

Two parts: the chance that anything is spent, and how much if so. Net spend of a window is product
sales less product refunds dated in it, not below 0.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from ml_tasks.clv import spread
from ml_tasks.clv.outcomes import HORIZON_DAYS, MIN_ROWS_WITH_SPEND, YEAR_HORIZON_DAYS, spend
from ml_tasks.clv.spread import Spread
from ml_tasks.shared import boosting, buying_clock, levels
from ml_tasks.shared.boosting import OffsetTrees
from ml_tasks.shared.buying_clock import BuyingClock

# A customer's mean amount an order is drawn to the shop's as by so many orders.
PRIOR_ORDERS = 2.0
PARTS = ("chance", "amount", "orders")


@dataclass(frozen=True)
class ValueModel:
    """Everything that scoring needs, all of it data.

    Attributes:
        clock: Holds level and season.
        mean_order_amount: Of all customers; what little is known of one is drawn to it.
        parts: Trees by part: `chance` of any spend, `amount` if any, count of `orders`.
        year_level: Log of the year's spend over what clock and mean amounts expect of it; 0 before
            any year's outcome is known, and the year's spread is then that of the 90 days.
        spreads: By horizon: how amounts lie around what is expected.
        year_chance_shift: Log odds that put the chance of any spend in a year on the level of the
            years known; 0 before any is.
    """

    clock: BuyingClock
    mean_order_amount: float
    parts: dict[str, OffsetTrees]
    year_level: float
    spreads: dict[int, Spread]
    year_chance_shift: float = 0.0

    def parameters(self) -> dict[str, Any]:
        """Everything but the trees, as JSON."""
        return {
            "clock": self.clock.parameters(),
            "mean_order_amount": self.mean_order_amount,
            "parts": {name: part.parameters() for name, part in self.parts.items()},
            "year_level": self.year_level,
            "spreads": {str(days): around.parameters() for days, around in self.spreads.items()},
            "year_chance_shift": self.year_chance_shift,
        }

    @classmethod
    def restored(cls, parameters: dict[str, Any], trees: dict[str, bytes]) -> ValueModel:
        """From what was stored; `trees` by part."""
        return cls(
            clock=BuyingClock(**parameters["clock"]),
            mean_order_amount=parameters["mean_order_amount"],
            parts={
                name: OffsetTrees(**part, trees=trees[name])
                for name, part in parameters["parts"].items()
            },
            year_level=parameters["year_level"],
            spreads={int(days): Spread(**around) for days, around in parameters["spreads"].items()},
            year_chance_shift=parameters["year_chance_shift"],
        )

    def predict(self, snapshot: pd.DataFrame) -> pd.DataFrame:
        """What each customer will spend and order: same order as the snapshot's rows.

        Returns:
            `orders`; and by horizon the chance of any spend `chance_90`, its mean `spend_90`,
            median `median_90`, `lower_90` and `upper_90`; the same of 365.
        """
        quarter, year = (
            _Expected.of(self.clock, snapshot, days) for days in (HORIZON_DAYS, YEAR_HORIZON_DAYS)
        )
        margin = self.parts["chance"].margin(snapshot, quarter.log_odds)
        chance = levels.inverse_link(margin, "logistic")
        offset = amount_offset(snapshot, quarter, self.mean_order_amount)
        spend = chance * self.parts["amount"].predict(snapshot, offset)
        # the year: what sets the customer apart in 90 days, on what the clock expects of the year
        year_margin = year.log_odds + (margin - quarter.log_odds) + self.year_chance_shift
        year_chance = levels.inverse_link(year_margin, "logistic")
        year_chance = np.maximum(year_chance, chance)
        year_spend = spend * year.orders / quarter.orders * np.exp(self.year_level)
        said = {
            "orders": self.parts["orders"].predict(snapshot, np.log(quarter.orders)),
            "chance_90": chance,
            "spend_90": spend,
            "chance_365": year_chance,
            "spend_365": np.maximum(year_spend, spend),
        }
        for days, fitted in self.spreads.items():
            around = fitted.around(said[f"chance_{days}"], said[f"spend_{days}"])
            said |= {f"{name}_{days}": amount for name, amount in around.items()}
        return pd.DataFrame(said, index=snapshot.index)


@dataclass(frozen=True)
class _Expected:
    """What the clock alone expects, per row: log odds of an order, and days with an order."""

    log_odds: np.ndarray
    orders: np.ndarray

    @classmethod
    def of(cls, clock: BuyingClock, snapshots: pd.DataFrame, horizon_days: int) -> _Expected:
        histories = clock.histories(snapshots, horizon_days)
        return cls(
            levels.log_odds(clock.order_probability(histories)),
            np.maximum(clock.expected_orders(histories), 1e-5),
        )


def fit(
    labelled: pd.DataFrame,
    labelled_year: pd.DataFrame,
    snapshot: pd.DataFrame,
    shop_days: pd.DataFrame,
    seed: int,
) -> ValueModel:
    """Fit clock, trees and spread.

    Args:
        labelled: Snapshots with known 90-day outcomes, whole dates.
        labelled_year: Snapshots with known 365-day outcomes; may be empty.
        snapshot: All customers on the training date.
        shop_days: Columns of features.shop_days, days before the training date.
        seed: Handed to the trees.
    """
    clock = buying_clock.fit(snapshot, shop_days)
    amounts = spend(labelled)
    mean_order_amount = round(float(_order_amounts(snapshot).mean()), 6)
    expected = _Expected.of(clock, labelled, HORIZON_DAYS)
    offset = amount_offset(labelled, expected, mean_order_amount)
    if_any = np.where(amounts > 0, amounts, np.nan)
    counts = labelled["outcome_count_orders"].to_numpy(dtype=float)
    unit = float(np.log(amounts.sum() / np.exp(offset + np.log(_chance(expected))).sum()))
    per_day = float(np.log(counts.sum() / expected.orders.sum()))
    parts = {
        "chance": boosting.fit(labelled, amounts > 0, expected.log_odds, "logistic", seed),
        "amount": boosting.fit(labelled, if_any, offset + unit, "gamma", seed),
        "orders": boosting.fit(
            labelled, counts, np.log(expected.orders) + per_day, "poisson", seed
        ),
    }
    # level: what the clock expects of the customers of today, put right by what it missed so far
    now = _Expected.of(clock, snapshot, HORIZON_DAYS)
    offset_now = amount_offset(snapshot, now, mean_order_amount)
    chance_margin = parts["chance"].margin(snapshot, now.log_odds)
    missed = levels.missed_level(labelled, expected.log_odds, (amounts > 0).astype(float))
    level = levels.inverse_link(now.log_odds + missed, "logistic").mean()
    shift = levels.shift_to_mean(chance_margin, float(level))
    chance = levels.inverse_link(chance_margin + shift, "logistic")
    raw_spend = (chance * parts["amount"].predict(snapshot, offset_now)).sum()
    raw_orders = parts["orders"].predict(snapshot, np.log(now.orders)).sum()
    held_spend = np.exp(offset_now + np.log(_chance(now)) + unit).sum()
    shifts = {
        "chance": shift,
        "amount": float(np.log(held_spend / raw_spend)),
        "orders": float(np.log(now.orders.sum() * np.exp(per_day) / raw_orders)),
    }
    model = ValueModel(
        clock=clock,
        mean_order_amount=mean_order_amount,
        parts={
            name: OffsetTrees(
                **{**part.parameters(), "shift": round(shifts[name], 6)}, trees=part.trees
            )
            for name, part in parts.items()
        },
        year_level=0.0,
        spreads={},
    )
    return _with_spreads(model, labelled, labelled_year)


def _with_spreads(
    model: ValueModel, labelled: pd.DataFrame, labelled_year: pd.DataFrame
) -> ValueModel:
    """The model with its year's level and both spreads, read off the last year's dates."""
    newest = labelled["as_of_date"].max() - pd.Timedelta(days=YEAR_HORIZON_DAYS)
    recent = labelled[labelled["as_of_date"] > newest]
    said = model.predict(recent)
    quarter = spread.fit(said["chance_90"].to_numpy(), said["spend_90"].to_numpy(), spend(recent))
    amounts = spend(labelled_year)
    if (amounts > 0).sum() < MIN_ROWS_WITH_SPEND:
        return replace(model, spreads={HORIZON_DAYS: quarter, YEAR_HORIZON_DAYS: quarter})
    chance = model.predict(labelled_year)["chance_365"].to_numpy()
    shift = levels.shift_to_mean(levels.log_odds(chance), float((amounts > 0).mean()))
    model = replace(model, year_chance_shift=shift)
    said = model.predict(labelled_year)
    level = round(float(np.log(amounts.sum() / said["spend_365"].sum())), 6)
    expected = said["spend_365"].to_numpy() * np.exp(level)
    year = spread.fit(said["chance_365"].to_numpy(), expected, amounts)
    return replace(
        model, year_level=level, spreads={HORIZON_DAYS: quarter, YEAR_HORIZON_DAYS: year}
    )


def amount_offset(
    snapshots: pd.DataFrame, expected: _Expected, mean_order_amount: float
) -> np.ndarray:
    """Log of what would be spent if anything: the customer's amount an order, times the orders."""
    known = snapshots["net_spend_amount"].to_numpy(dtype=float).clip(min=0)
    counts = snapshots["count_orders"].to_numpy(dtype=float)
    amount = (known + PRIOR_ORDERS * mean_order_amount) / (counts + PRIOR_ORDERS)
    return np.log(np.maximum(amount, 1e-2) * expected.orders / _chance(expected))


def _chance(expected: _Expected) -> np.ndarray:
    return levels.inverse_link(expected.log_odds, "logistic")


def _order_amounts(snapshots: pd.DataFrame) -> np.ndarray:
    known = snapshots["net_spend_amount"].to_numpy(dtype=float).clip(min=0)
    return known / snapshots["count_orders"].to_numpy(dtype=float)
