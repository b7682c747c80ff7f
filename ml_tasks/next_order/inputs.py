"""What the models of the next order read: facts of a date, and past dates with what followed."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd

from ml_tasks.customers.known import HORIZON_DAYS
from ml_tasks.customers.matrix import content_order
from ml_tasks.features.store import FeatureStore

BASKETS, NEXT = "customer_baskets", "customer_next_baskets"
KEY = ["as_of_date", "customer_id"]
YEAR_DAYS = 365
# The season of a past date counts fully at the same time of the year, and less the farther away.
SEASON_DAYS, OFF_SEASON_WEIGHT = 30.0, 0.1


def facts(as_of_date: date, store: FeatureStore) -> pd.DataFrame:
    """features.customer_snapshots and .customer_baskets of the store's customers on a date."""
    baskets = store.features(BASKETS, as_of_date).drop(columns="as_of_date")
    return store.snapshot(as_of_date).merge(baskets, on="customer_id")


def past_facts(training_date: date, store: FeatureStore) -> pd.DataFrame:
    """Facts of past dates whose 90 days were over by a date, and the next order day.

    Returns:
        Rows in `content_order`. `days_to_order`, `order_day_amount` and `next_families` are
        missing where no order followed.
    """
    snapshots = store.labelled_snapshots(training_date, HORIZON_DAYS)
    baskets = store.past_features(BASKETS, training_date)
    followed = store.past_features(NEXT, training_date).drop(columns="known_on_date")
    past = snapshots.merge(baskets, on=KEY).merge(followed, on=KEY, how="left")
    return past.iloc[content_order(past)].reset_index(drop=True)


def buyers(past: pd.DataFrame) -> pd.DataFrame:
    """The rows that were followed by an order."""
    return past[past["days_to_order"].notna()]


def season_weights(dates: pd.Series, day: pd.Timestamp) -> np.ndarray:
    """Weights of past dates by how near their day of the year is to `day`'s, shape (n,)."""
    apart = np.abs((pd.DatetimeIndex(dates) - day).days.to_numpy()) % YEAR_DAYS
    apart = np.minimum(apart, YEAR_DAYS - apart)
    return OFF_SEASON_WEIGHT + np.exp(-0.5 * (apart / SEASON_DAYS) ** 2)
