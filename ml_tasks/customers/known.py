"""What was known of a shop's customers on a date."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ml_tasks.customers.matrix import content_order

HORIZON_DAYS = 90


@dataclass(frozen=True)
class Known:
    """Everything that a model of that date may see; rows in a total order.

    Attributes:
        labelled: Snapshots with outcomes known by the date, whole dates; columns of
            features.customer_snapshots, outcome_count_orders, outcome_net_spend_amount.
        snapshot: All customers on the date (of a large shop the sample's), at least one.
        shop_days: Columns of features.shop_days, days before the date.
    """

    labelled: pd.DataFrame
    snapshot: pd.DataFrame
    shop_days: pd.DataFrame

    @classmethod
    def of(cls, labelled: pd.DataFrame, snapshot: pd.DataFrame, shop_days: pd.DataFrame) -> Known:
        """From frames whose rows come in any order."""
        return cls(
            _ordered(labelled),
            _ordered(snapshot),
            shop_days.sort_values("day_date", ignore_index=True),
        )

    @property
    def date(self) -> pd.Timestamp:
        """Nothing of this day or later is known."""
        return pd.Timestamp(self.snapshot["as_of_date"].iloc[0])

    @property
    def first_day(self) -> pd.Timestamp:
        """First day that the shop was watched."""
        return pd.Timestamp(self.shop_days["day_date"].min())

    def at(self, date: pd.Timestamp) -> Known:
        """What was known on an earlier date that `labelled` has."""
        horizon = pd.Timedelta(days=HORIZON_DAYS)
        dates = self.labelled["as_of_date"]
        return Known(
            self.labelled[dates + horizon <= date],
            self.labelled[dates == date],
            self.shop_days[self.shop_days["day_date"] < date],
        )


def has_ordered(labelled: pd.DataFrame) -> np.ndarray:
    """1.0 where the snapshot was followed by an order within the horizon, else 0.0."""
    return (labelled["outcome_count_orders"] > 0).to_numpy(dtype=float)


def count_kinds(labelled: pd.DataFrame) -> tuple[int, int]:
    """Snapshots that were followed by an order, and by none."""
    count_ordered = int((labelled["outcome_count_orders"] > 0).sum())
    return count_ordered, len(labelled) - count_ordered


def _ordered(snapshots: pd.DataFrame) -> pd.DataFrame:
    return snapshots.iloc[content_order(snapshots)].reset_index(drop=True)
