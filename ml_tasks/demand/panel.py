"""Weekly sales as arrays: one row per product, one column per week."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, timedelta

import numpy as np
import pandas as pd

HORIZON_WEEKS = 8
# On a Tuesday the running week is neither known nor forecast: forecasts step over it.
STEPS = HORIZON_WEEKS + 1
WEEK = timedelta(days=7)
SEASON_WEEKS = 52
# A product without a sale for half a year may be gone for good; sales alone do not show it.
AWAKE_WEEKS = 26
NO_FAMILY = ""
LEVEL_WEIGHT = 0.2  # weight of a week in a product's running level


@dataclass(frozen=True)
class Panel:
    """Sales of whole weeks.

    Attributes:
        product_ids: Ascending, shape (n_products,).
        first_week: Monday on which column 0 begins.
        units: Units sold in packs of `pack` pieces, shape (n_products, n_weeks); NaN before a
            product's first sale, 0 in a later week without a sale.
        amount: Takings, shop currency, shape (n_products, n_weeks); 0 without a sale.
        families: Family of each product, shape (n_products,); one name for all if the shop has
            no families.
        pack: Number of pieces in a unit of `units`.
    """

    product_ids: np.ndarray
    first_week: date
    units: np.ndarray
    amount: np.ndarray
    families: np.ndarray
    pack: int = 1

    @property
    def n_weeks(self) -> int:
        """Number of columns."""
        return self.units.shape[1]

    def week(self, index: int) -> date:
        """The Monday of column `index`; columns after the last are the weeks to come."""
        return self.first_week + index * WEEK

    def until(self, n_weeks: int) -> Panel:
        """The panel as known after its first `n_weeks` weeks, with the products known then."""
        known = ~np.isnan(self.units[:, :n_weeks]).all(axis=1)
        past = replace(self, units=self.units[:, :n_weeks], amount=self.amount[:, :n_weeks])
        return past.only(known)

    def only(self, products: np.ndarray) -> Panel:
        """The panel of some products: booleans of shape (n_products,), or row numbers in order."""
        return replace(
            self,
            product_ids=self.product_ids[products],
            units=self.units[products],
            amount=self.amount[products],
            families=self.families[products],
        )

    def in_packs(self, pack: int) -> Panel:
        """The panel with units of `pack` pieces; only for a panel with units of one piece."""
        return replace(self, units=self.units / pack, pack=pack)

    def sold_within(self, n_weeks: int) -> np.ndarray:
        """True for products with a sale in the last `n_weeks` weeks, shape (n_products,)."""
        return np.nansum(self.units[:, -n_weeks:], axis=1) > 0


def pack_of(panel: Panel) -> int:
    """The largest number of pieces that divides all sales; 1 if sales have fractions.

    Methods that count treat 0 and 1 differently from 0 and 10, so a shop that sells in tens is
    counted in tens.
    """
    sold = panel.units[panel.units > 0]
    if not len(sold) or (sold != np.round(sold)).any():
        return 1
    return int(np.gcd.reduce(sold.astype(np.int64)))


def by_sales(units: np.ndarray) -> np.ndarray:
    """Rows in an order by sales alone, shape (n_products,); equal rows are interchangeable."""
    return np.lexsort(np.nan_to_num(units, nan=-1.0).T[::-1])


def running_level(values: np.ndarray, is_live: np.ndarray) -> np.ndarray:
    """Exponentially weighted mean up to each week, from a row's first live week on.

    Args:
        values: Shape (n, n_weeks).
        is_live: Same shape; in a week that is not live, the level stays as it is.

    Returns:
        Shape (n, n_weeks); 0 before the first live week.
    """
    level = np.zeros_like(values)
    current = np.zeros(len(values))
    was_live = np.zeros(len(values), dtype=bool)
    for week in range(values.shape[1]):
        step = np.where(was_live, LEVEL_WEIGHT, 1.0) * is_live[:, week]
        current = current + step * (values[:, week] - current)
        was_live |= is_live[:, week]
        level[:, week] = current
    return level


def monday_of(day: date) -> date:
    """The Monday on or before a day."""
    return day - timedelta(days=day.weekday())


def first_forecast_week(as_of_date: date) -> date:
    """The first Monday on or after a day."""
    return as_of_date + timedelta(days=-as_of_date.weekday() % 7)


def weeks_stepped_over(as_of_date: date) -> int:
    """Number of weeks between the last whole week before a day and the first forecast week."""
    return 0 if as_of_date.weekday() == 0 else 1


def panel_of(product_weeks: pd.DataFrame, as_of_date: date) -> Panel:
    """Arrange `features.product_weeks` up to the last whole week before `as_of_date`.

    A week without a row is a week without a sale.

    Args:
        product_weeks: Columns product_id, week_start_date (Mondays), sold_units, sold_amount, and
            product_family if known; one row per product and week.
        as_of_date: The panel ends with the last whole week before this date.

    Raises:
        ValueError: If a week does not begin on a Monday or is not over by `as_of_date`.
    """
    week_start = pd.to_datetime(product_weeks["week_start_date"])
    last = pd.Timestamp(monday_of(as_of_date) - WEEK)
    if (week_start.dt.dayofweek != 0).any():
        raise ValueError("week_start_date has days that are not Mondays: start weeks on Mondays")
    if (week_start > last).any():
        raise ValueError(f"week_start_date reaches beyond {last.date()}, the last whole week")
    code, ids = pd.factorize(product_weeks["product_id"])
    product_ids, place = np.unique(ids.to_numpy(dtype=object).astype(str), return_inverse=True)
    row = place[code]
    if not len(product_ids):
        return Panel(product_ids, last.date(), np.empty((0, 0)), np.empty((0, 0)), product_ids)
    first = week_start.min()
    column = ((week_start - first).dt.days // 7).to_numpy()
    shape = (len(product_ids), (last - first).days // 7 + 1)
    units, amount = np.zeros(shape), np.zeros(shape)
    units[row, column] = product_weeks["sold_units"].to_numpy(dtype=float)
    amount[row, column] = product_weeks["sold_amount"].to_numpy(dtype=float)
    units[np.cumsum(units, axis=1) == 0] = np.nan
    families = np.full(len(product_ids), NO_FAMILY, dtype=object)
    if "product_family" in product_weeks:
        families[row] = product_weeks["product_family"].fillna(NO_FAMILY)
    return Panel(product_ids, first.date(), units, amount, families.astype(str))
