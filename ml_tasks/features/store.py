"""The feature tables as frames. Models read nothing else.

Frames come in a total order, the same under every locale, because the order of rows moves a
model's numbers. Types: whole numbers int64, other numbers and money float64, dates datetime64[ns]
at midnight, booleans bool, text object with None. A whole number that may be null is float64.
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

import pandas as pd
from psycopg import sql

from ml_tasks.features.shards import WHOLE, Shard
from ml_tasks.features.tables import FeaturesMissingError, Tables
from perennial.contracts import CUSTOMER_KEY

if TYPE_CHECKING:
    from collections.abc import Mapping

    import psycopg

SNAPSHOTS = sql.Identifier("features", "customer_snapshots")
OUTCOMES = sql.Identifier("features", "customer_outcomes")
NEXT_ORDERS = sql.Identifier("features", "customer_next_orders")
PRODUCT_WEEKS = sql.Identifier("features", "product_weeks")
SHOP_DAYS = sql.Identifier("features", "shop_days")

# The grid of past dates that training reads: the firsts of months. Other snapshots are there
# because somebody scored that date, and a model must not depend on that.
ON_THE_GRID = sql.SQL("extract(day from snapshots.as_of_date) = 1")
# Of a large shop training reads a sample of the customers: a date that was scored has them all.
# Null in rows of before there were samples.
IN_SAMPLE = sql.SQL("snapshots.is_in_sample is not false")

# One customer in k of those, on all dates alike, by a hash of the id. As k is a power of two, the
# sample of a shop that has grown is part of the one before.
IS_SAMPLED = sql.SQL(
    "mod(('x' || left(md5(snapshots.customer_id), 8))::bit(32)::bigint, %(one_in)s) = 0"
)
# Training reads so many labelled snapshots at most, of the last three years.
MAX_LABELLED_ROWS = 100_000
LABELLED_DAYS = 3 * 365


class FeatureStore(Tables):
    """Reads features through one open connection (role scorer).

    Args:
        connection: Role scorer.
        for_training: Whether a snapshot is to hold the customers of the sample only, so that what
            is learnt does not depend on which dates were scored.
        one_in: One customer in so many of these is read; a power of two. See `sample_for`.
        shard: Whose customers a snapshot is to hold; all other tables are read whole.
    """

    def __init__(
        self,
        connection: psycopg.Connection[Any],
        *,
        for_training: bool = False,
        one_in: int | None = None,
        shard: Shard = WHOLE,
    ) -> None:
        super().__init__(connection, shard)
        self.for_training = for_training
        self.one_in = one_in
        self._last: dict[str, tuple[date, pd.DataFrame]] = {}  # what was read last, by method
        self._days_watched: dict[date, int | None] = {}  # known to the stores of all shards

    def sample_for(
        self, training_date: date, horizon_days: int, max_rows: int = MAX_LABELLED_ROWS
    ) -> FeatureStore:
        """The same features of as many customers as a fit can hold; all, where it can.

        Snapshots bring `days_watched` with them, which the oldest customer of a sample can't tell.

        Args:
            training_date: What is known by then is counted.
            horizon_days: Of the labelled snapshots that are counted.
            max_rows: Labelled snapshots at most, about.
        """
        query = sql.SQL(
            "select count(*) from {outcomes} as snapshots"
            " where snapshots.horizon_days = %s and snapshots.known_on_date <= %s"
            " and snapshots.known_on_date > %s::date - {days} and {on_the_grid}"
        ).format(outcomes=OUTCOMES, days=LABELLED_DAYS, on_the_grid=ON_THE_GRID)
        known = [horizon_days, training_date, training_date]
        ((count,),) = self.connection.execute(query, known).fetchall()
        sample = FeatureStore(self.connection, for_training=True, one_in=one_in(count, max_rows))
        sample.reads = self.reads
        return sample

    def of_shard(self, shard: Shard) -> FeatureStore:
        """The same features, snapshots of a shard alone."""
        store = FeatureStore(self.connection, shard=shard)
        store._days_watched = self._days_watched
        return store

    def snapshot(self, as_of_date: date) -> pd.DataFrame:
        """What was known of each customer on a date: one row per customer_id, ordered by it.

        The last one is remembered, for scoring and drift read the same: don't change it. Of a part
        of the customers it brings `days_watched`, which the oldest of a part can't tell.

        Raises:
            FeaturesMissingError: If the table holds earlier dates and not this one.
        """
        if self._is_last("snapshot", as_of_date):
            return self._last["snapshot"][1]
        query = sql.SQL(
            "select snapshots.*{days_watched} from {snapshots} as snapshots"
            " where snapshots.as_of_date = %(as_of_date)s and {in_sample} and {is_sampled}"
            ' order by snapshots.customer_id collate "C"'
        ).format(
            snapshots=SNAPSHOTS,
            in_sample=IN_SAMPLE if self.for_training else sql.SQL("true"),
            **(self._sampled() if self.shard == WHOLE else self._dealt(as_of_date)),
        )
        frame = self.read(query, {"as_of_date": as_of_date, **self._sample_of(as_of_date)})
        if frame.empty and self._lacks_snapshots(as_of_date):
            raise FeaturesMissingError(
                f"features.customer_snapshots has earlier dates and not {as_of_date}: choose the"
                " first of a month, or a date that was scored"
            )
        self._last["snapshot"] = as_of_date, frame
        return frame

    def _is_last(self, method: str, as_of_date: date) -> bool:
        return method in self._last and self._last[method][0] == as_of_date

    def _lacks_snapshots(self, as_of_date: date) -> bool:
        """Whether there are snapshots of earlier dates and none of this one."""
        query = sql.SQL(
            "select exists(select from {snapshots} where as_of_date < %(day)s)"
            " and not exists(select from {snapshots} where as_of_date = %(day)s)"
        ).format(snapshots=SNAPSHOTS)
        row = self.connection.execute(query, {"day": as_of_date}).fetchone()
        return row is not None and row[0]

    def labelled_snapshots(self, known_by: date, horizon_days: int) -> pd.DataFrame:
        """Grid snapshots whose outcome was known by a date, beside that outcome.

        Args:
            known_by: Outcomes are of windows [as_of_date, as_of_date + horizon) that ended by then,
                and not LABELLED_DAYS before.
            horizon_days: Length of the window, days: 90 or 365.

        Returns:
            Snapshot columns, and `outcome_count_orders`, `outcome_net_spend_amount`; ordered by
            as_of_date, customer_id.
        """
        query = sql.SQL(
            "select snapshots.*{days_watched}, outcomes.count_orders as outcome_count_orders,"
            " outcomes.net_spend_amount as outcome_net_spend_amount"
            " from {snapshots} as snapshots"
            " inner join {outcomes} as outcomes using (as_of_date, customer_id)"
            " where outcomes.horizon_days = %(horizon_days)s"
            " and outcomes.known_on_date <= %(known_by)s"
            " and outcomes.known_on_date > %(known_by)s::date - {days}"
            " and {on_the_grid} and {is_sampled}"
            ' order by snapshots.as_of_date, snapshots.customer_id collate "C"'
        ).format(
            snapshots=SNAPSHOTS,
            outcomes=OUTCOMES,
            days=LABELLED_DAYS,
            on_the_grid=ON_THE_GRID,
            **self._sampled(),
        )
        known = {"known_by": known_by, "horizon_days": horizon_days}
        return self.read(query, {**known, **self._sample_of(known_by)})

    def _dealt(self, as_of_date: date) -> dict[str, sql.Composable]:
        """The same as `_sampled` of a snapshot's query that reads a shard."""
        if as_of_date not in self._days_watched:  # the age of the oldest, whoever is read
            query = sql.SQL("select max(days_since_first_order) from {} where as_of_date = %s")
            ((days,),) = self.connection.execute(query.format(SNAPSHOTS), [as_of_date]).fetchall()
            self._days_watched[as_of_date] = days
        watched = sql.SQL(", {}::integer as days_watched").format(self._days_watched[as_of_date])
        is_own = self.shard.condition(sql.Identifier("snapshots", CUSTOMER_KEY))
        return {"days_watched": watched, "is_sampled": is_own}

    def _sampled(self) -> dict[str, sql.Composable]:
        """Column and condition of a query that reads a sample; nothing where all are read."""
        if self.one_in is None:
            return {"days_watched": sql.SQL(""), "is_sampled": sql.SQL("true")}
        began = sql.SQL(", snapshots.as_of_date - %(first_day)s::date as days_watched")
        return {"days_watched": began, "is_sampled": IS_SAMPLED}

    def _sample_of(self, known_by: date) -> dict[str, Any]:
        """What the query of a sample needs to know."""
        if self.one_in is None:
            return {}
        query = sql.SQL("select min(day_date) from {} where as_of_date = %s").format(SHOP_DAYS)
        ((day,),) = self.connection.execute(query, [self.made_for("shop_days", known_by)])
        return {"one_in": self.one_in, "first_day": day}

    def next_orders(self, knowledge_date: date, max_customers: int | None = None) -> pd.DataFrame:
        """Time from each grid snapshot to the next order, as far as known on a date.

        Args:
            knowledge_date: Nothing of that day or later is seen.
            max_customers: So many at most, about: see IS_SAMPLED. None: all.

        Returns:
            The columns of the snapshot at `snapshot_date` (its as_of_date goes by that name), and
            `duration_days`, `is_ordered` (false: none by `knowledge_date`); ordered by
            snapshot_date, customer_id.
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
        """Weekly sales before a date, zeros included; ordered by product_id, week_start_date.

        The last ones are remembered: don't change them.
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
        """Customers who ordered on each day before a date, and the new among them; by day_date."""
        query = sql.SQL(
            "select shop_days.* from {shop_days} as shop_days"
            " where shop_days.as_of_date = %(made_for)s and shop_days.day_date < %(as_of_date)s"
            " order by shop_days.day_date"
        ).format(shop_days=SHOP_DAYS)
        made_for = self.made_for("shop_days", as_of_date)
        return self.read(query, {"as_of_date": as_of_date, "made_for": made_for})

    def _count_known(self, known: Mapping[str, Any]) -> int:
        """Customers on the newest snapshot date that `next_orders` reads."""
        query = sql.SQL(
            "select count(*) from {next_orders} where as_of_date = %(made_for)s"
            " and snapshot_date = (select max(snapshot_date) from {next_orders}"
            " where as_of_date = %(made_for)s and snapshot_date < %(knowledge_date)s)"
        ).format(next_orders=NEXT_ORDERS)
        ((count,),) = self.connection.execute(query, known).fetchall()
        return int(count)


def one_in(count: int, most: int) -> int:
    """The least power of two k such that a k-th of `count` is no more than `most`."""
    k = 1
    while count > most * k:
        k *= 2
    return k
