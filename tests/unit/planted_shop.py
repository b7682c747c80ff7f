"""A shop with known truth: customers come, buy at their own rate, and leave for good; seasons.

Snapshots are computed here in plain pandas, independently of the product's SQL.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from importlib import import_module

import numpy as np
import pandas as pd

from ml_tasks.features.shards import WHOLE
from perennial import contracts

FIRST_DAY = pd.Timestamp("2020-01-01")
WINDOWS = (30, 90, 180, 365)


@dataclass(frozen=True)
class PlantedShop:
    """Orders (customer_id, ordered_date, amount); customers' true daily rate and last day."""

    orders: pd.DataFrame
    customers: pd.DataFrame
    season: np.ndarray

    one_in = 1
    shard = WHOLE

    def sample_for(self, training_date: date, horizon_days: int) -> PlantedShop:
        return self

    def snapshot(self, as_of_date: date | pd.Timestamp) -> pd.DataFrame:
        return snapshot(self.orders, pd.Timestamp(as_of_date))

    def labelled_snapshots(self, known_by: date, horizon_days: int) -> pd.DataFrame:
        newest = pd.Timestamp(known_by) - pd.Timedelta(days=horizon_days)
        grid = pd.date_range(FIRST_DAY + pd.Timedelta(days=1), newest, freq="MS")
        return pd.concat(
            [with_outcome(self.orders, snapshot(self.orders, day), horizon_days) for day in grid]
            or [with_outcome(self.orders, snapshot(self.orders, FIRST_DAY), horizon_days)],
            ignore_index=True,
        )

    def features(self, name: str, as_of_date: date | pd.Timestamp) -> pd.DataFrame:
        """Rows of a feature table, as tests/unit/planted_features/<name>.py computes them."""
        module = import_module(f"tests.unit.planted_features.{name}")
        rows: pd.DataFrame = module.rows(self.orders, pd.Timestamp(as_of_date))
        return rows

    def past_features(self, name: str, known_by: date | pd.Timestamp) -> pd.DataFrame:
        """Rows of a feature table for the firsts of months, as far as they are known."""
        known = pd.Timestamp(known_by)
        grid = pd.date_range(FIRST_DAY + pd.Timedelta(days=1), known, freq="MS")
        parts = [self.features(name, day) for day in grid]
        found = pd.concat(parts or [self.features(name, FIRST_DAY)], ignore_index=True)
        return found[found["known_on_date"] <= known] if "known_on_date" in found else found

    def scores(self, question: str, as_of_date: date) -> pd.DataFrame:
        """No other question has scored: an empty frame of its columns."""
        del as_of_date
        columns = contracts.load(question).tables[0].question_columns
        return pd.DataFrame(columns=[column.name for column in columns])

    def shop_days(self, as_of_date: date | pd.Timestamp) -> pd.DataFrame:
        return shop_days(self.orders, pd.Timestamp(as_of_date))

    def true_order_probability(self, frame: pd.DataFrame, horizon_days: int) -> np.ndarray:
        """Probability of an order, given each customer's true rate and last day."""
        start = (frame["as_of_date"] - FIRST_DAY).dt.days.to_numpy()
        truth = self.customers.loc[frame["customer_id"]]
        end = np.minimum(start + horizon_days, truth["last_day"].to_numpy())
        passed = np.concatenate([[0.0], np.cumsum(self.season)])
        exposure = np.maximum(passed[np.maximum(end, start)] - passed[start], 0)
        return 1 - np.exp(-truth["orders_per_day"].to_numpy() * exposure)


def plant(
    count_customers: int, count_days: int, seed: int, season_strength: float = 0.0
) -> PlantedShop:
    """Poisson buyers with gamma rates (mean 1 in 50 days) who stay 300 days on average."""
    rng = np.random.default_rng(seed)
    season = np.exp(season_strength * np.sin(2 * np.pi * np.arange(count_days + 400) / 365))
    customers = pd.DataFrame(
        {
            "orders_per_day": rng.gamma(1.5, 1 / 75, count_customers),
            "first_day": rng.integers(-200, count_days, count_customers).clip(min=0),
            "mean_amount": rng.lognormal(3, 0.8, count_customers),
        },
        index=[f"c{i:05d}" for i in range(count_customers)],
    )
    customers["last_day"] = (
        customers["first_day"] + rng.exponential(300, count_customers).astype(int)
    ).clip(upper=count_days)
    parts = []
    for key, row in customers.iterrows():
        days = np.arange(int(row["first_day"]), int(row["last_day"]))
        bought = days[rng.random(len(days)) < 1 - np.exp(-row["orders_per_day"] * season[days])]
        bought = np.union1d(bought, [int(row["first_day"])])
        amount = row["mean_amount"] * rng.lognormal(0, 0.3, len(bought))
        parts.append(pd.DataFrame({"customer_id": key, "day": bought, "amount": amount}))
    orders = pd.concat(parts, ignore_index=True)
    orders["ordered_date"] = FIRST_DAY + pd.to_timedelta(orders.pop("day"), unit="D")
    return PlantedShop(orders, customers, season)


def snapshot(orders: pd.DataFrame, day: pd.Timestamp) -> pd.DataFrame:
    """Snapshots of a day with the columns of features.customer_snapshots."""
    seen = orders[orders["ordered_date"] < day].sort_values(["customer_id", "ordered_date"])
    seen = seen.assign(
        age=(day - seen["ordered_date"]).dt.days,
        gap=seen.groupby("customer_id")["ordered_date"].diff().dt.days,
    )
    by = seen.groupby("customer_id")
    table = pd.DataFrame(
        {
            "days_since_first_order": by["age"].max(),
            "days_since_last_order": by["age"].min(),
            "count_orders": by.size(),
            "count_order_days": by.size(),
            "country": "A",
            "net_spend_amount": by["amount"].sum(),
            "gross_spend_amount": by["amount"].sum(),
            "refund_amount_365d": by["amount"].sum() * 0,
            "avg_order_amount": by["amount"].mean(),
            "max_order_amount": by["amount"].max(),
            "last_order_amount": by["amount"].last(),
            "first_order_amount": by["amount"].first(),
            "avg_days_between_orders": by["gap"].mean(),
            "stddev_days_between_orders": by["gap"].std(),
        }
    )
    season = seen["age"].between(365 - 89, 365)
    spans = {f"_{n}d": seen["age"] <= n for n in WINDOWS} | {"_season_last_year": season}
    for suffix, is_in in spans.items():
        inside = seen[is_in].groupby("customer_id")["amount"]
        table[f"count_orders{suffix}"] = inside.size().reindex(table.index, fill_value=0)
        table[f"net_spend_amount{suffix}"] = inside.sum().reindex(table.index, fill_value=0.0)
    table["count_units_365d"] = table["count_orders_365d"]
    table["count_active_months_365d"] = table["count_orders_365d"].clip(upper=12)
    return table.rename_axis("customer_id").reset_index().assign(as_of_date=day)


def shop_days(orders: pd.DataFrame, day: pd.Timestamp) -> pd.DataFrame:
    """Numbers of ordering customers on each earlier day, with the columns of features.shop_days."""
    seen = orders[orders["ordered_date"] < day]
    is_first = seen["ordered_date"] == seen.groupby("customer_id")["ordered_date"].transform("min")
    by = seen.assign(is_first=is_first).groupby("ordered_date")
    counts = pd.DataFrame(
        {
            "count_customers": by["customer_id"].nunique(),
            "count_new_customers": by["is_first"].sum(),
        }
    )
    return counts.rename_axis("day_date").reset_index().assign(as_of_date=day)


def with_outcome(orders: pd.DataFrame, frame: pd.DataFrame, horizon_days: int) -> pd.DataFrame:
    """The snapshot with the outcomes in [as_of_date, as_of_date + horizon)."""
    if frame.empty:
        return frame.assign(outcome_count_orders=0, outcome_net_spend_amount=0.0)
    start = frame["as_of_date"].iloc[0]
    end = start + pd.Timedelta(days=horizon_days)
    ahead = orders[(orders["ordered_date"] >= start) & (orders["ordered_date"] < end)]
    by = ahead.groupby("customer_id")["amount"]
    keys = frame["customer_id"]
    return frame.assign(
        outcome_count_orders=by.size().reindex(keys, fill_value=0).to_numpy(),
        outcome_net_spend_amount=by.sum().reindex(keys, fill_value=0.0).to_numpy(),
    )
