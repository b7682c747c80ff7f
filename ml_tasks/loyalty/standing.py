"""The tier of each customer on a date, since when, and until when without a further order.

An order counts on the 365 dates after its day, less what refunds took of it by then. What a
customer qualifies with therefore only falls while they do not order.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ml_tasks.loyalty.entries import E4, History
from ml_tasks.loyalty.points import Points, version_at
from ml_tasks.loyalty.programme import POINTS, Version

WINDOW_DAYS = 365
SOON_DAYS = 90  # who falls within so many days is about to fall


def standing(
    history: History, points: Points, versions: Sequence[Version], as_of_day: int
) -> pd.DataFrame:
    """The tiers on a date, by the version in force on it.

    Args:
        history: What happened before the date.
        points: Points of the history.
        versions: Those in force on the date or before, ascending; at least one.
        as_of_day: The date, as an ordinal.

    Returns:
        One row per customer, in their order: `rank` (position of the tier), `since_day`,
        `spend_e4` and `points` (of the orders of 365 days, less refunds), `leaving` (what leaves
        within SOON_DAYS, in the unit that qualifies: ten-thousandths of the currency, or points),
        `fall_day` and `fall_rank` (the next lower tier without a further order; -1: never).
    """
    changes = _changes(history, points, versions, as_of_day)
    changes["tier"] = _tiers(changes, versions, as_of_day)
    is_past = (changes["day"] <= as_of_day).to_numpy()
    past, future = changes[is_past], changes[~is_past]
    everybody = pd.RangeIndex(len(history.customers))
    now = past.groupby("customer")[["tier", "spend_e4", "points"]].last()
    now = now.reindex(everybody, fill_value=_of_last(versions)[0])
    now.loc[~now.index.isin(past["customer"]), ["spend_e4", "points"]] = 0
    moved = past["tier"].ne(past.groupby("customer")["tier"].shift())
    now["since_day"] = past[moved].groupby("customer")["day"].last().reindex(everybody)
    now["since_day"] = now["since_day"].fillna(as_of_day).astype(np.int64)
    ranks = {tier: rank for rank, tier in enumerate(_of_last(versions))}
    now["rank"] = now.pop("tier").map(ranks).astype(np.int64)
    return now.join(_falls(future, now["rank"], ranks)).assign(
        leaving=_leaving(now, future, versions[-1], as_of_day)
    )


def qualifying(frame: pd.DataFrame, version: Version) -> pd.Series:
    """What a version's tiers count: points, or ten-thousandths of the currency."""
    return frame["points" if version.qualify_by == POINTS else "spend_e4"]


def thresholds(version: Version) -> np.ndarray:
    """Least of each tier in the unit of `qualifying`, shape (n_tiers,).

    A fraction of a point is rounded up, because points are whole.
    """
    unit = 1 if version.qualify_by == POINTS else E4
    return np.array([-int(-tier.least * unit // 1) for tier in version.tiers], dtype=np.int64)


def _changes(
    history: History, points: Points, versions: Sequence[Version], as_of_day: int
) -> pd.DataFrame:
    """Sums of the window at each date that changes them, also after the date: orders then leave.

    Returns:
        `customer`, `day`, `spend_e4`, `points`; by customer and day, each pair once.
    """
    orders, takings = history.orders, history.takings
    customer, day = orders["customer"].to_numpy(), orders["day"].to_numpy()
    of = takings["order"].to_numpy()
    counts = (takings["day"].to_numpy() < day[of] + WINDOW_DAYS).astype(np.int64)
    less = {"spend_e4": takings["amount_e4"].to_numpy() * counts, "points": points.reduced * counts}
    bought = {"spend_e4": orders["amount_e4"].to_numpy(), "points": points.earned}
    left = {name: bought[name].copy() for name in bought}
    for name, values in left.items():
        np.subtract.at(values, of, less[name])
    parts = [
        {"customer": customer, "day": day + 1, **bought},
        {
            "customer": customer[of], "day": takings["day"].to_numpy() + 1,
            **{name: -values for name, values in less.items()},
        },
        {
            "customer": customer, "day": day + WINDOW_DAYS + 1,
            **{name: -values for name, values in left.items()},
        },
        *(_new_rules(orders, version, as_of_day) for version in versions),
    ]  # fmt: skip
    frame = pd.concat([pd.DataFrame(part) for part in parts], ignore_index=True)
    sums = frame.groupby(["customer", "day"], as_index=False)[["spend_e4", "points"]].sum()
    sums[["spend_e4", "points"]] = sums.groupby("customer")[["spend_e4", "points"]].cumsum()
    return sums


def _new_rules(orders: pd.DataFrame, version: Version, as_of_day: int) -> dict[str, object]:
    """A change of nothing, on the day that a version came into force, for everybody known then."""
    first = orders.groupby("customer")["day"].first()
    day = version.first_day.toordinal()
    known = first.index[first < day].to_numpy(dtype=np.int64)
    return {"customer": known, "day": min(day, as_of_day), "spend_e4": 0, "points": 0}


def _of_last(versions: Sequence[Version]) -> list[int]:
    """The tiers of the newest version, as numbers that stand for names."""
    return _numbers(versions)[-1]


def _numbers(versions: Sequence[Version]) -> list[list[int]]:
    """By version: a number per tier; tiers of the same name have the same number."""
    known: dict[str, int] = {}
    return [[known.setdefault(tier.name, len(known)) for tier in one.tiers] for one in versions]


def _tiers(changes: pd.DataFrame, versions: Sequence[Version], as_of_day: int) -> np.ndarray:
    """The tier from each change on, by the rules then in force; -1 before the first version.

    After the date the rules in force on it hold: later ones are not known on the date.
    """
    tiers = np.full(len(changes), -1, dtype=np.int64)
    at = version_at(np.minimum(changes["day"].to_numpy(), as_of_day), versions)
    for position, (version, numbers) in enumerate(zip(versions, _numbers(versions), strict=True)):
        rows = at == position
        values = qualifying(changes[rows], version).to_numpy()
        tiers[rows] = np.array(numbers)[np.searchsorted(thresholds(version), values, "right") - 1]
    return tiers


def _falls(future: pd.DataFrame, rank: pd.Series, ranks: dict[int, int]) -> pd.DataFrame:
    """`fall_day` and `fall_rank` of the first date in a lower tier; -1 if there is none."""
    then = future["tier"].map(ranks)
    lower = future[(then < future["customer"].map(rank)).to_numpy()].assign(fall_rank=then)
    first = lower.groupby("customer")[["day", "fall_rank"]].first()
    return first.rename(columns={"day": "fall_day"}).reindex(rank.index, fill_value=-1)


def _leaving(
    now: pd.DataFrame, future: pd.DataFrame, version: Version, as_of_day: int
) -> pd.Series:
    """What leaves the window within SOON_DAYS without a further order."""
    soon = future[future["day"] <= as_of_day + SOON_DAYS].groupby("customer").last()
    then = qualifying(soon, version).reindex(now.index)
    held = qualifying(now, version)
    return held - then.fillna(held).astype(np.int64)
