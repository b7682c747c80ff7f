"""Customer snapshots as frames: of a date, of past dates with outcomes, of a sample or a shard."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any, Self

import pandas as pd
from psycopg import sql

from ml_tasks.features.shards import WHOLE, Shard
from ml_tasks.features.tables import FeaturesMissingError, Tables
from perennial.contracts import CUSTOMER_KEY

if TYPE_CHECKING:
    import psycopg

SNAPSHOTS = sql.Identifier("features", "customer_snapshots")
OUTCOMES = sql.Identifier("features", "customer_outcomes")
SHOP_DAYS = sql.Identifier("features", "shop_days")

# Grid dates. Other snapshots exist only for dates that were scored: no model may depend on these.
ON_THE_GRID = sql.SQL("extract(day from snapshots.as_of_date) = 1")
# In a large shop training reads a sample of the customers; the snapshot of a scored date has all.
# The column is null in rows written before there were samples.
IN_SAMPLE = sql.SQL("snapshots.is_in_sample is not false")


def is_sampled(customer_id: sql.Composable, one_in: sql.Composable) -> sql.Composed:
    """Condition for one customer in k of the sample, the same on all dates, by a hash of the id.

    Since k is a power of two, the sample of a shop that has grown is part of the earlier sample.
    """
    hash_of_id = "mod(('x' || left(md5({}), 8))::bit(32)::bigint, {}) = 0"
    return sql.SQL(hash_of_id).format(customer_id, one_in)


IS_SAMPLED = is_sampled(sql.SQL("snapshots.customer_id"), sql.SQL("%(one_in)s"))
# Training reads about this many labelled snapshots at most, of the last three years.
MAX_LABELLED_ROWS = 100_000
LABELLED_DAYS = 3 * 365


class Snapshots(Tables):
    """Reads customer snapshots through one open connection.

    Args:
        connection: Role scorer.
        for_training: Whether `snapshot` returns the sampled customers only, so that a model does
            not depend on which dates were scored.
        one_in: Read one customer in so many of the sample, a power of two.
        shard: Shard of the customers that `snapshot` returns.
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
        self._last: dict[str, tuple[date, pd.DataFrame]] = {}  # last frame read, by method
        self._days_watched: dict[date, int | None] = {}  # shared by the stores of all shards

    def sample_for(
        self, training_date: date, horizon_days: int, max_rows: int = MAX_LABELLED_ROWS
    ) -> Self:
        """A store that reads a sample of the customers if all are too many for a fit.

        Its snapshots have the column `days_watched`, since the oldest customer of a sample does not
        give the shop's age.

        Args:
            training_date: Labelled snapshots known by this date are counted.
            horizon_days: Horizon of the labelled snapshots, days.
            max_rows: Largest number of labelled snapshots, approximately.
        """
        query = sql.SQL(
            "select count(*) from {outcomes} as snapshots"
            " where snapshots.horizon_days = %s and snapshots.known_on_date <= %s"
            " and snapshots.known_on_date > %s::date - {days} and {on_the_grid}"
        ).format(outcomes=OUTCOMES, days=LABELLED_DAYS, on_the_grid=ON_THE_GRID)
        known = [horizon_days, training_date, training_date]
        ((count,),) = self.connection.execute(query, known).fetchall()
        sample = type(self)(self.connection, for_training=True, one_in=one_in(count, max_rows))
        sample.reads = self.reads
        return sample

    def _is_own(self, dealt_by: str | None) -> sql.Composable:
        """Condition of the rows of the shard and, if customers are sampled, of the sample."""
        is_own = super()._is_own(dealt_by)
        if self.one_in is None or dealt_by != CUSTOMER_KEY:
            return is_own
        condition = is_sampled(sql.Identifier(CUSTOMER_KEY), sql.Literal(self.one_in))
        return sql.SQL("({} and {})").format(is_own, condition)

    def of_shard(self, shard: Shard) -> Self:
        """A store that reads the snapshots of one shard."""
        store = type(self)(self.connection, shard=shard)
        store._days_watched = self._days_watched
        return store

    def snapshot(self, as_of_date: date) -> pd.DataFrame:
        """features.customer_snapshots of a date: one row per customer_id, ordered by it.

        The last frame is cached, because scoring and drift read the same one: do not modify it. A
        sample or a shard has the further column `days_watched`, see `sample_for`.

        Raises:
            FeaturesMissingError: If the table holds earlier dates but not this one.
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
                f"features.customer_snapshots has earlier dates but not {as_of_date}: choose the"
                " first of a month, or a date that was scored"
            )
        self._last["snapshot"] = as_of_date, frame
        return frame

    def _is_last(self, method: str, as_of_date: date) -> bool:
        return method in self._last and self._last[method][0] == as_of_date

    def _lacks_snapshots(self, as_of_date: date) -> bool:
        """Whether there are snapshots of earlier dates but none of this one."""
        query = sql.SQL(
            "select exists(select from {snapshots} where as_of_date < %(day)s)"
            " and not exists(select from {snapshots} where as_of_date = %(day)s)"
        ).format(snapshots=SNAPSHOTS)
        row = self.connection.execute(query, {"day": as_of_date}).fetchone()
        return row is not None and row[0]

    def labelled_snapshots(self, known_by: date, horizon_days: int) -> pd.DataFrame:
        """Snapshots of grid dates with the outcomes that were known by a date.

        Args:
            known_by: The window [as_of_date, as_of_date + horizon) ended by this date, and not more
                than LABELLED_DAYS before.
            horizon_days: Length of the window, days: 90 or 365.

        Returns:
            Columns of features.customer_snapshots, `outcome_count_orders` and
            `outcome_net_spend_amount`; ordered by as_of_date, customer_id.
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
        """Column `days_watched` and condition of a snapshot query that reads a shard."""
        if as_of_date not in self._days_watched:  # age of the oldest customer of all shards
            query = sql.SQL("select max(days_since_first_order) from {} where as_of_date = %s")
            ((days,),) = self.connection.execute(query.format(SNAPSHOTS), [as_of_date]).fetchall()
            self._days_watched[as_of_date] = days
        watched = sql.SQL(", {}::integer as days_watched").format(self._days_watched[as_of_date])
        is_own = self.shard.condition(sql.Identifier("snapshots", CUSTOMER_KEY))
        return {"days_watched": watched, "is_sampled": is_own}

    def _sampled(self) -> dict[str, sql.Composable]:
        """Column `days_watched` and condition of a query that reads a sample; no-ops without."""
        if self.one_in is None:
            return {"days_watched": sql.SQL(""), "is_sampled": sql.SQL("true")}
        began = sql.SQL(", snapshots.as_of_date - %(first_day)s::date as days_watched")
        return {"days_watched": began, "is_sampled": IS_SAMPLED}

    def _sample_of(self, known_by: date) -> dict[str, Any]:
        """Bind parameters of a query that reads a sample."""
        if self.one_in is None:
            return {}
        query = sql.SQL("select min(day_date) from {} where as_of_date = %s").format(SHOP_DAYS)
        ((day,),) = self.connection.execute(query, [self.made_for("shop_days", known_by)])
        return {"one_in": self.one_in, "first_day": day}


def one_in(count: int, most: int) -> int:
    """The least power of two k with `count` / k at most `most`.

    Example:
        >>> one_in(count=350_000, most=100_000)
        4
    """
    k = 1
    while count > most * k:
        k *= 2
    return k
