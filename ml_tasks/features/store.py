"""The feature tables as frames. Models read nothing else.

Rows are in a total order, the same under every locale, because their order influences a model's
numbers. Types: whole numbers int64, other numbers and money float64, dates datetime64[ns] at
midnight, booleans bool, text object with None. A whole number that may be null is float64.
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

import pandas as pd
from psycopg import sql

from ml_tasks.features.snapshots import (
    IS_SAMPLED,
    ON_THE_GRID,
    SHOP_DAYS,
    SNAPSHOTS,
    Snapshots,
    one_in,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

NEXT_ORDERS = sql.Identifier("features", "customer_next_orders")
PRODUCT_WEEKS = sql.Identifier("features", "product_weeks")


class FeatureStore(Snapshots):
    """Reads features through one open connection. Arguments as of `Snapshots`.

    `next_orders`, `product_weeks` and `shop_days` are always read whole, whatever the shard.
    """

    def next_orders(self, knowledge_date: date, max_customers: int | None = None) -> pd.DataFrame:
        """Days from each snapshot of a grid date to the next order, as far as known on a date.

        Args:
            knowledge_date: Nothing of this day or later is read.
            max_customers: Largest number of customers, approximately, see IS_SAMPLED. None reads
                all.

        Returns:
            Columns of features.customer_snapshots (as_of_date is named `snapshot_date`),
            `duration_days`, and `is_ordered` (false if there was no order before `knowledge_date`);
            ordered by snapshot_date, customer_id.
        """
        query = sql.SQL(
            "select snapshots.*,"
            " least(next_orders.duration_days,"
            " %(knowledge_date)s::date - next_orders.snapshot_date) as duration_days,"
            " next_orders.is_ordered and next_orders.snapshot_date"
            " + next_orders.duration_days < %(knowledge_date)s as is_ordered"
            " from {next_orders} as next_orders"
            " inner join {snapshots} as snapshots"
            " on snapshots.customer_id = next_orders.customer_id"
            " and snapshots.as_of_date = next_orders.snapshot_date"
            " where next_orders.as_of_date = %(made_for)s and {on_the_grid}"
            " and next_orders.snapshot_date < %(knowledge_date)s and {is_sampled}"
            ' order by snapshots.as_of_date, snapshots.customer_id collate "C"'
        ).format(
            snapshots=SNAPSHOTS,
            next_orders=NEXT_ORDERS,
            on_the_grid=ON_THE_GRID,
            is_sampled=IS_SAMPLED,
        )
        known = {
            "knowledge_date": knowledge_date,
            "made_for": self.made_for("customer_next_orders", knowledge_date),
        }
        every = one_in(self._count_known(known), max_customers) if max_customers else 1
        frame = self.read(query, {**known, "one_in": every})
        return frame.rename(columns={"as_of_date": "snapshot_date"})

    def product_weeks(self, as_of_date: date) -> pd.DataFrame:
        """features.product_weeks before a date, zeros included; by product_id, week_start_date.

        The last frame is cached: do not modify it.
        """
        if self._is_last("product_weeks", as_of_date):
            return self._last["product_weeks"][1]
        query = sql.SQL(
            "select product_weeks.* from {product_weeks} as product_weeks"
            " where product_weeks.as_of_date = %(made_for)s"
            " and product_weeks.week_start_date <= %(as_of_date)s::date - 7"
            ' order by product_weeks.product_id collate "C", product_weeks.week_start_date'
        ).format(product_weeks=PRODUCT_WEEKS)
        made_for = self.made_for("product_weeks", as_of_date)
        frame = self.read(query, {"as_of_date": as_of_date, "made_for": made_for})
        self._last["product_weeks"] = as_of_date, frame
        return frame

    def shop_days(self, as_of_date: date) -> pd.DataFrame:
        """features.shop_days before a date: customers with an order, and new ones; by day_date."""
        query = sql.SQL(
            "select shop_days.* from {shop_days} as shop_days"
            " where shop_days.as_of_date = %(made_for)s and shop_days.day_date < %(as_of_date)s"
            " order by shop_days.day_date"
        ).format(shop_days=SHOP_DAYS)
        made_for = self.made_for("shop_days", as_of_date)
        return self.read(query, {"as_of_date": as_of_date, "made_for": made_for})

    def _count_known(self, known: Mapping[str, Any]) -> int:
        """Number of customers on the newest snapshot date that `next_orders` reads."""
        query = sql.SQL(
            "select count(*) from {next_orders} where as_of_date = %(made_for)s"
            " and snapshot_date = (select max(snapshot_date) from {next_orders}"
            " where as_of_date = %(made_for)s and snapshot_date < %(knowledge_date)s)"
        ).format(next_orders=NEXT_ORDERS)
        ((count,),) = self.connection.execute(query, known).fetchall()
        return int(count)
