"""Observations to fit to: customers on past dates, and the days until their next order."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ml_tasks.customers.matrix import rhythm_days

# Models are fitted to snapshots of the last year: each season counts once, and the customers are
# recent. (On Online Retail II, two years gave a level 40 % too high in mid-2011.)
WINDOW_DAYS = 366
RECENCY_EDGES_DAYS = (30, 60, 90, 180, 365)


def observations_of(next_orders: pd.DataFrame) -> pd.DataFrame:
    """Add `days`, from the snapshot to the order or to the end of observation, at least 1.

    An order on the snapshot day (duration_days 0) is an order within 1 day. A customer without an
    order was observed for duration_days days, the last of them the day before the knowledge date.
    Rows observed for less than a day are dropped.

    Args:
        next_orders: Columns of features.customer_snapshots and snapshot_date, duration_days (whole
            days) and is_ordered.
    """
    days = next_orders["duration_days"] + next_orders["is_ordered"].astype(int)
    return next_orders.assign(days=days.astype(int))[days >= 1]


def known_on(observations: pd.DataFrame, known_date: pd.Timestamp) -> pd.DataFrame:
    """The observations as they were known on an earlier date.

    Args:
        observations: As of `observations_of`.
        known_date: Nothing of this day or later is kept.
    """
    before = observations[observations["snapshot_date"] < known_date]
    watched = (known_date - before["snapshot_date"]).dt.days
    return before.assign(
        days=np.minimum(before["days"], watched),
        is_ordered=before["is_ordered"] & (before["days"] <= watched),
    )


def usual_order_amount(snapshots: pd.DataFrame) -> float:
    """Net spend per order in the last 365 days over all customers; 1.0 if there is none.

    Args:
        snapshots: Columns of features.customer_snapshots.
    """
    spend = snapshots["net_spend_amount_365d"].astype(float).clip(lower=0).sum()
    count = snapshots["count_orders_365d"].sum()
    return float(f"{spend / count:.6g}") if spend > 0 and count > 0 else 1.0


def covariates(snapshots: pd.DataFrame, order_amount: float) -> pd.DataFrame:
    """Covariates of the hazard: recency, frequency, value and rhythm.

    Args:
        snapshots: Columns of features.customer_snapshots.
        order_amount: Unit of spend, so that the currency does not matter (`usual_order_amount`).

    Returns:
        A column of finite floats per covariate, a row per row of `snapshots`.
    """
    since_last = snapshots["days_since_last_order"].astype(float)
    since_first = snapshots["days_since_first_order"].astype(float)
    rhythm = rhythm_days(snapshots)
    spend = snapshots["net_spend_amount_365d"].astype(float).clip(lower=0)
    columns = {
        "log_days_since_last_order": np.log1p(since_last),
        "log_days_since_first_order": np.log1p(since_first),
        "log_count_orders": np.log1p(snapshots["count_orders"].astype(float)),
        "log_count_orders_90d": np.log1p(snapshots["count_orders_90d"].astype(float)),
        "log_count_orders_365d": np.log1p(snapshots["count_orders_365d"].astype(float)),
        "log_net_spend_amount_365d": np.log1p(spend / order_amount),
        "log_days_between_orders": np.log(rhythm),
        "log_overdue": np.log1p(since_last / rhythm),
        "has_one_order_day": snapshots["avg_days_between_orders"].isna().astype(float),
    }
    return pd.DataFrame(columns, index=snapshots.index)


def recent(observations: pd.DataFrame) -> pd.DataFrame:
    """The rows of the last WINDOW_DAYS up to the newest snapshot."""
    end = observations["snapshot_date"].max()
    return observations[(end - observations["snapshot_date"]).dt.days < WINDOW_DAYS]


def one_turn_each(observations: pd.DataFrame, max_rows: int) -> pd.DataFrame:
    """Sample about `max_rows` rows at most: every customer at every k-th date.

    A hash of customer_id chooses the customer's first date among the k, so that all customers and
    all dates are in the sample. The result does not depend on the order of the rows.

    Args:
        observations: As of `observations_of`.
        max_rows: About the largest number of rows.
    """
    every = max(-(-len(observations) // max_rows), 1)
    own = pd.util.hash_array(observations["customer_id"].to_numpy(dtype=object))
    date_number = observations["snapshot_date"].rank(method="dense").to_numpy().astype(np.uint64)
    return observations[(own + date_number) % np.uint64(every) == 0]


def once_each(observations: pd.DataFrame) -> pd.DataFrame:
    """One row per customer: the first at their first date, the second at their second, and so on.

    Intervals and tests need independent observations, and those of one customer are not.

    Args:
        observations: As of `observations_of`.
    """
    of_customer = observations.groupby("customer_id", sort=True)
    turn = of_customer.ngroup() % of_customer["customer_id"].transform("size")
    return observations[of_customer.cumcount() == turn]


def recency_band(snapshots: pd.DataFrame) -> np.ndarray:
    """Number of the customer's recency band, 0 is the most recent, shape (n_rows,).

    Args:
        snapshots: Column days_since_last_order.
    """
    return np.searchsorted(RECENCY_EDGES_DAYS, snapshots["days_since_last_order"].to_numpy())
