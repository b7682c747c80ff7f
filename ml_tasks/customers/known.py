"""The data on a shop's customers that were known on a date."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ml_tasks.customers.matrix import content_order

HORIZON_DAYS = 90


@dataclass(frozen=True)
class Known:
    """All data that a model of that date may use; rows in a total order.

    Attributes:
        labelled: Past snapshots with outcomes known by the date, whole dates; columns of
            features.customer_snapshots, outcome_count_orders, outcome_net_spend_amount.
        snapshot: All customers on the date (of a large shop, a sample), at least one; columns of
            features.customer_snapshots.
        shop_days: Days before the date; columns of features.shop_days.
    """

    labelled: pd.DataFrame
    snapshot: pd.DataFrame
    shop_days: pd.DataFrame

    @classmethod
    def of(cls, labelled: pd.DataFrame, snapshot: pd.DataFrame, shop_days: pd.DataFrame) -> Known:
        """Build from frames with rows in any order."""
        return cls(
            _ordered(labelled),
            _ordered(snapshot),
            shop_days.sort_values("day_date", ignore_index=True),
        )

    @property
    def date(self) -> pd.Timestamp:
        """The date. Nothing of this day or later is known."""
        return pd.Timestamp(self.snapshot["as_of_date"].iloc[0])

    @property
    def first_day(self) -> pd.Timestamp:
        """First day of the shop's data."""
        return pd.Timestamp(self.shop_days["day_date"].min())

    def at(self, date: pd.Timestamp) -> Known:
        """The data known on an earlier date. The date must be one of `labelled`."""
        horizon = pd.Timedelta(days=HORIZON_DAYS)
        dates = self.labelled["as_of_date"]
        return Known(
            self.labelled[dates + horizon <= date],
            self.labelled[dates == date],
            self.shop_days[self.shop_days["day_date"] < date],
        )


def has_ordered(labelled: pd.DataFrame) -> np.ndarray:
    """1.0 if an order followed within the horizon, else 0.0; shape (n_rows,).

    Args:
        labelled: Column outcome_count_orders.

    Example:
        >>> has_ordered(pd.DataFrame({"outcome_count_orders": [0, 2, 1]}))
        array([0., 1., 1.])
    """
    return (labelled["outcome_count_orders"] > 0).to_numpy(dtype=float)


def count_kinds(labelled: pd.DataFrame) -> tuple[int, int]:
    """Number of snapshots that were followed by an order, and of those that were not.

    Args:
        labelled: Column outcome_count_orders.

    Example:
        >>> count_kinds(pd.DataFrame({"outcome_count_orders": [0, 2, 1]}))
        (2, 1)
    """
    count_ordered = int((labelled["outcome_count_orders"] > 0).sum())
    return count_ordered, len(labelled) - count_ordered


def _ordered(snapshots: pd.DataFrame) -> pd.DataFrame:
    return snapshots.iloc[content_order(snapshots)].reset_index(drop=True)
