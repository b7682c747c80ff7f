"""What another programme would have done to the last 365 days; reads only."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ml_tasks.engine.chunks import MAX_ROWS_AT_ONCE
from ml_tasks.loyalty import entries, points
from ml_tasks.loyalty.by_tier import costs, tally
from ml_tasks.loyalty.programme import Programme, Version
from ml_tasks.loyalty.rows import loyalty_rows
from perennial import entities
from perennial.settings import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterable

    import psycopg

    from ml_tasks.features.store import FeatureStore

FIGURES = {
    "count_customers": "customers",
    "net_order_amount_365d": "net orders in 365 days",
    "points_earned_365d": "points of these orders",
    "points_cost_365d_amount": "cost of points",
    "benefits_cost_365d_amount": "cost of benefits",
}
ALL = "all"


@dataclass(frozen=True)
class Simulation:
    """Two programmes side by side.

    Attributes:
        as_of_date: Orders of the 365 days before it are counted.
        before: Name of the version in force on the date.
        after: Name of the other programme's newest version.
        figures: One row per tier and figure, and those of all tiers together: `tier`, `figure`,
            `before`, `after` (0 in a programme without the tier), `difference`.
        count_customers: Known customers.
        count_rise: Customers who would be in a higher tier.
        count_fall: Customers who would be in a lower tier.
    """

    as_of_date: date
    before: str
    after: str
    figures: pd.DataFrame
    count_customers: int
    count_rise: int
    count_fall: int


def newest_date(connection: psycopg.Connection[Any]) -> date:
    """The newest date that loyalty was published for.

    Raises:
        SettingsError: If there is none.
    """
    query = "select max(as_of_date) from ops.publications where question = 'loyalty'"
    ((newest,),) = connection.execute(query).fetchall()
    if newest is None:
        raise SettingsError("loyalty was not scored yet: make run, or give --as-of=<date>")
    return newest


def simulate(
    store: FeatureStore, as_of_date: date, current: Programme, other: Programme
) -> Simulation:
    """Apply the newest version of another programme to all orders before a date.

    Args:
        store: Reads all shards.
        as_of_date: A date that was built.
        current: The shop's programme; each order counts by the version of its day.
        other: The programme to try. Its dates do not count.

    Raises:
        SettingsError: If nothing is known of the date, or no version was in force.
    """
    if not current.in_force(as_of_date):
        raise SettingsError(f"AS_OF={as_of_date}: no version of the programme was in force")
    count = store.count(entities.load(entities.CUSTOMER), as_of_date)
    if not count:
        raise SettingsError(f"AS_OF={as_of_date}: not built; choose a date that was scored")
    shards = store.shard.split(math.ceil(count / MAX_ROWS_AT_ONCE))
    read = (entries.read(store.of_shard(shard), as_of_date) for shard in shards)
    return compare(read, as_of_date, current, other)


def compare(
    histories: Iterable[entries.History], as_of_date: date, current: Programme, other: Programme
) -> Simulation:
    """As `simulate`, of what the customers did, shard by shard."""
    in_force, day = current.in_force(as_of_date), as_of_date.toordinal()
    tried = other.versions[-1].model_copy(update={"valid_from": None})
    totals = [tally([], in_force[-1]), tally([], tried)]
    moves = np.zeros(3, dtype=np.int64)
    for history in histories:
        before, after = (
            loyalty_rows(history, points.compute(history, versions, day), versions, day)
            for versions in (in_force, (tried,))
        )
        totals[0] = totals[0] + tally([before], in_force[-1])
        totals[1] = totals[1] + tally([after], tried)
        moves += _moves(before, after, tried)
    figures = _side_by_side(_by_name(totals[0], in_force[-1]), _by_name(totals[1], tried))
    rise, stay, fall = moves.tolist()
    return Simulation(
        as_of_date, in_force[-1].version, tried.version, figures, rise + stay + fall, rise, fall
    )


def _moves(before: pd.DataFrame, after: pd.DataFrame, tried: Version) -> np.ndarray:
    """How many would rise, stay and fall, shape (3,).

    A tier that the tried version has by the same name stands where that version has it; any other
    keeps its number from below.
    """
    places = {tier.name: rank for rank, tier in enumerate(tried.tiers, 1)}
    old = before["tier"].map(places).fillna(before["tier_rank"])
    difference = after["tier_rank"].to_numpy() - old.to_numpy()
    return np.array([(difference > 0).sum(), (difference == 0).sum(), (difference < 0).sum()])


def _by_name(tallied: pd.DataFrame, version: Version) -> pd.DataFrame:
    """FIGURES by tier's name, and of all tiers together."""
    frame = tallied.join(costs(tallied, version))[list(FIGURES)].astype(float)
    frame.index = pd.Index([tier.name for tier in version.tiers], name="tier")
    frame.loc[ALL] = frame.sum()
    return frame


def _side_by_side(before: pd.DataFrame, after: pd.DataFrame) -> pd.DataFrame:
    """The rows of `Simulation.figures`: the tried tiers in order, then those that it lacks."""
    names = [name for name in after.index if name != ALL]
    names += [name for name in before.index if name not in after.index]
    then, now = (one.reindex([*names, ALL], fill_value=0) for one in (before, after))
    rows = [
        (name, label, then.at[name, figure], now.at[name, figure])
        for name in [*names, ALL]
        for figure, label in FIGURES.items()
    ]
    table = pd.DataFrame(rows, columns=["tier", "figure", "before", "after"])
    return table.assign(difference=(table["after"] - table["before"]).round(2))
