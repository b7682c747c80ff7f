"""Small odd shops, question by question: rows with a plausible number, or with a reason.

In every shop, each entity has a row that keeps its contract, and no number is far beyond the
shop's history. Questions with rules read other scores or the marts: see test_conformance.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd
import pytest

from ml_tasks import question as questions
from ml_tasks.demand import lstm
from ml_tasks.engine.contract_check import checked
from perennial import contracts
from tests.unit.planted_shop import FIRST_DAY, PlantedShop, snapshot

TRAINED, SCORED = date(2021, 6, 1), date(2021, 6, 10)
COUNT_DAYS = (pd.Timestamp(SCORED) - FIRST_DAY).days
# A forecast above this multiple of the best customer's, or best product week's, history is
# implausible.
ABSURD = 4.0


@dataclass(frozen=True)
class OddShop(PlantedShop):
    """All that questions read, from orders of one unit of one product each."""

    def next_orders(self, knowledge_date: date, max_customers: int | None = None) -> pd.DataFrame:
        """Snapshots on the firsts of months, and the days to the next order."""
        del max_customers
        end = pd.Timestamp(knowledge_date)
        parts = []
        for day in pd.date_range(
            FIRST_DAY + pd.Timedelta(days=1), end, freq="MS", inclusive="left"
        ):
            frame = snapshot(self.orders, day).rename(columns={"as_of_date": "snapshot_date"})
            after = self.orders["ordered_date"].between(day, end, inclusive="left")
            following = self.orders[after].groupby("customer_id")["ordered_date"].min()
            came = frame["customer_id"].map(following)
            parts.append(
                frame.assign(
                    is_ordered=came.notna(), duration_days=(came.fillna(end) - day).dt.days
                )
            )
        return pd.concat(parts, ignore_index=True)

    def product_weeks(self, as_of_date: date) -> pd.DataFrame:
        """Weeks that ended by the date, from each product's first sale on."""
        monday = self.orders["ordered_date"].dt.to_period("W").dt.start_time
        weeks = self.orders.assign(week_start_date=monday, sold_units=1)
        weeks = weeks.groupby(["product_id", "week_start_date"], as_index=False).agg(
            sold_units=("sold_units", "sum"), sold_amount=("amount", "sum")
        )
        is_over = weeks["week_start_date"] + pd.Timedelta(days=7) <= pd.Timestamp(as_of_date)
        return weeks[is_over]


def shop(
    count_customers: int,
    *,
    rate: float = 0.02,
    products: int = 12,
    price: float | None = None,
    shut: tuple[int, int] = (0, 0),
    once: bool = False,
) -> OddShop:
    """Customers who order at a steady rate from their first day on; none leaves.

    Args:
        count_customers: Number of customers.
        rate: Orders per customer and day.
        products: Number of products.
        price: Amount of every order; None for long-tailed amounts.
        shut: Days without orders.
        once: Whether each customer orders only once.
    """
    rng = np.random.default_rng(41)
    rows = []
    for number in range(count_customers):
        first = 0 if count_customers == 1 else int(rng.integers(0, COUNT_DAYS - 30))
        days = np.flatnonzero(rng.random(COUNT_DAYS) < rate)
        days = np.array([first]) if once else np.union1d([first], days[days > first])
        days = days[(days < shut[0]) | (days >= shut[1])]
        rows += [(f"c{number:04d}", day) for day in days]
    orders = pd.DataFrame(rows, columns=["customer_id", "day"])
    orders["ordered_date"] = FIRST_DAY + pd.to_timedelta(orders.pop("day"), unit="D")
    orders["amount"] = price or rng.lognormal(3, 1, len(orders)).round(2)
    orders["product_id"] = [f"p{n:03d}" for n in rng.integers(0, products, len(orders))]
    return OddShop(orders, pd.DataFrame(), np.ones(1))


SHOPS = {
    "one price": lambda: shop(80, price=10.0),
    "one product": lambda: shop(80, products=1),
    "a product an order": lambda: shop(60, products=100_000),
    "all buy once": lambda: shop(200, once=True),
    "one customer": lambda: shop(1, rate=0.05),
    "one customer, one order": lambda: shop(1, once=True),
    "two customers": lambda: shop(2, rate=0.05),
    "shut for half a year": lambda: shop(80, shut=(200, 380)),
    "shut for the last half year": lambda: shop(80, shut=(340, COUNT_DAYS)),
    "all come every other day": lambda: shop(40, rate=0.5),
    "hardly anyone comes back": lambda: shop(200, rate=0.0003),
}


@pytest.mark.parametrize("name", SHOPS)
@pytest.mark.parametrize("question", contracts.trained())
def test_odd_shop_has_rows_that_can_be(monkeypatch, question, name):
    monkeypatch.setattr(lstm, "TRAINING_STEPS", 4)
    store, module = SHOPS[name](), questions.load(question)
    frames = module.score(SCORED, module.train(TRAINED, store, seed=7), store)
    contract = contracts.load(question)
    assert set(frames) == {table.name for table in contract.tables}
    for table in contract.tables:
        rows = checked(frames[table.name], table).to_pandas()
        assert len(rows)
        known = {"customer": "customer_id", "product": "product_id"}.get(table.entity.name)
        if known:
            sold = store.orders
            if known == "product_id":
                sold = store.product_weeks(SCORED)
            assert set(rows[known]) == set(sold[known])
        for column in table.question_columns:
            if column.data_type == "double precision" or column.data_type.startswith("numeric"):
                limit = most_that_can_be(column.name, store)
                assert not (rows[column.name].abs().astype(float) > limit).any(), column.name


def most_that_can_be(column: str, store: OddShop) -> float:
    """Largest plausible value of a column: a multiple of the best entity's history."""
    orders = store.orders.assign(week=store.orders["ordered_date"].dt.to_period("W"))
    if "units" in column:
        return ABSURD * float(orders.groupby(["product_id", "week"]).size().max())
    if "spend_amount" in column:
        return ABSURD * float(orders.groupby("customer_id")["amount"].sum().max())
    if column.startswith("hazard_ratio"):
        return 1e3
    if "orders" in column and "probability" not in column:
        return ABSURD * float(orders.groupby("customer_id").size().max())
    return np.inf  # its contract has the bound
