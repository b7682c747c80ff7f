"""Mixed customers: some groups of features are the customer's own, the others the shop's usual.

Reasons let the published model predict for such mixed customers. Features depend on each other: a
customer whose last order was 300 days ago has none in the last 90. So a mixed customer is made
consistent: order days are spread evenly and the windows are counted again.

Groups of features: `silence` (days since the last order), `frequency` (number of orders and days
between them), `amount` (spend per order), `returns`, `beginning` (the first order), `season` (the
same days a year ago). The usual `silence` is not one number but the customer's own rhythm.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import pandas as pd

from ml_tasks.customers.matrix import history_days

GROUPS = ("silence", "frequency", "amount", "returns", "beginning", "season")
WINDOWS_DAYS = (30, 90, 180, 365)
# A rhythm is shrunk to the shop's usual gap as if the customer had this many usual gaps as well:
# two orders within a week are not a rhythm yet.
PRIOR_GAPS = 2.0
MONTH_DAYS, MAX_MONTHS = 30.4, 13
# Usual gap in a shop where every customer has ordered once, so that no gap is known.
UNKNOWN_GAP_DAYS = 90.0
# Group -> columns that are set to the usual customer's value without further computation.
REPLACED = {
    "amount": ("avg_order_amount", "max_order_amount", "last_order_amount"),
    "returns": ("refund_amount_365d",),
    "beginning": ("first_order_amount",),
    "season": ("count_orders_season_last_year", "net_spend_amount_season_last_year"),
}
MEDIANS = (*(name for names in REPLACED.values() for name in names), "stddev_days_between_orders")

Usual = dict[str, float]


def usual_of(snapshot: pd.DataFrame) -> Usual:
    """The shop's usual customer, as JSON: medians over the customers of one date.

    Args:
        snapshot: Columns of features.customer_snapshots, at least one row.

    Returns:
        The medians of MEDIANS by column; `count_order_days`; `gap_days`, the median days between
        orders of customers with at least two; `units_per_order`.
    """
    units = snapshot["count_units_365d"] / snapshot["count_orders_365d"].replace(0, np.nan)
    gap = _median(snapshot["avg_days_between_orders"], UNKNOWN_GAP_DAYS)
    return {
        **{name: _median(snapshot[name]) for name in MEDIANS},
        "count_order_days": float(np.floor(snapshot["count_order_days"].median())),
        "gap_days": gap,
        "units_per_order": _median(units),
    }


def _median(values: pd.Series, unknown: float = 0.0) -> float:
    known = values.dropna().astype(float)
    return round(float(known.median()), 6) if len(known) else unknown


def rhythm_days(snapshot: pd.DataFrame, usual: Usual) -> np.ndarray:
    """Days that usually pass until a customer's next order: whole days, at least 1, shape (n,).

    The rhythm is the mean of the customer's own gaps and PRIOR_GAPS gaps of the shop. A customer
    who has ordered once has the shop's usual gap.

    Args:
        snapshot: Columns days_since_first_order, days_since_last_order, count_order_days.
        usual: As of `usual_of`.
    """
    own_span = snapshot["days_since_first_order"] - snapshot["days_since_last_order"]
    count_gaps = snapshot["count_order_days"] - 1 + PRIOR_GAPS
    rhythm = (own_span + PRIOR_GAPS * usual["gap_days"]) / count_gaps
    return np.maximum(np.round(rhythm.to_numpy(dtype=float)), 1.0)


def mixed(snapshot: pd.DataFrame, usual: Usual, own: Collection[str]) -> pd.DataFrame:
    """The customers with their own values in the groups `own`, the usual values in all others.

    Args:
        snapshot: Columns of features.customer_snapshots, and `days_watched`.
        usual: As of `usual_of`.
        own: Names from GROUPS. `silence` needs `frequency` too: it is measured by the rhythm.

    Returns:
        The columns and rows of `snapshot`.
    """
    frame = snapshot
    if "silence" not in own:
        frame = _on_rhythm(frame, usual) if "frequency" in own else _usual_pace(frame, usual)
    amounts = _amounts_per_order(snapshot)
    if "amount" not in own:
        amounts = {name: np.full(len(frame), usual["avg_order_amount"]) for name in amounts} | {
            "count_units_365d": np.full(len(frame), usual["units_per_order"])
        }
    if frame is not snapshot or "amount" not in own:
        counts = {name: _orders_in(frame, name) for name in amounts}
        frame = frame.assign(**{name: counts[name] * amounts[name] for name in amounts})
    replaced = {
        column: usual[column]
        for group, columns in REPLACED.items()
        for column in columns
        if group not in own
    }
    return frame.assign(**replaced) if replaced else frame


def _on_rhythm(snapshot: pd.DataFrame, usual: Usual) -> pd.DataFrame:
    """Shift each customer's orders in time, so that the last is one rhythm ago."""
    count = snapshot["count_order_days"].to_numpy(dtype=float)
    silence = snapshot["days_since_last_order"].to_numpy(dtype=float)
    span = snapshot["days_since_first_order"].to_numpy(dtype=float) - silence
    rhythm = np.minimum(rhythm_days(snapshot, usual), history_days(snapshot).to_numpy(dtype=float))
    gap = span / np.maximum(count - 1, 1)
    each = snapshot["count_orders"].to_numpy(dtype=float) / count
    changes = {
        f"count_orders_{days}d": each
        * (_days_within(rhythm, gap, count, days) - _days_within(silence, gap, count, days))
        for days in WINDOWS_DAYS
    }
    moved = {
        name: (snapshot[name] + change).clip(lower=0, upper=snapshot["count_orders"])
        for name, change in changes.items()
    }
    change = _months_within(rhythm, gap, count) - _months_within(silence, gap, count)
    months = snapshot["count_active_months_365d"].to_numpy(dtype=float) + change
    last_year = moved["count_orders_365d"].to_numpy(dtype=float)
    first = np.minimum(rhythm + span, history_days(snapshot).to_numpy(dtype=float))
    return snapshot.assign(
        days_since_last_order=rhythm,
        days_since_first_order=np.maximum(first, rhythm),
        count_active_months_365d=np.clip(months, np.minimum(last_year, 1.0), last_year),
        **moved,
    )


def _usual_pace(snapshot: pd.DataFrame, usual: Usual) -> pd.DataFrame:
    """Give each customer the usual number of orders, one usual gap apart, the last one gap ago."""
    count, gap = usual["count_order_days"], usual["gap_days"]
    watched = history_days(snapshot).to_numpy(dtype=float)
    silence = np.minimum(max(round(gap), 1.0), watched)
    whole = np.ones(len(snapshot))
    return snapshot.assign(
        days_since_last_order=silence,
        days_since_first_order=np.minimum(silence + np.round(gap * (count - 1)), watched),
        count_orders=whole * count,
        count_order_days=whole * count,
        avg_days_between_orders=whole * gap if count > 1 else np.nan,
        stddev_days_between_orders=(
            whole * usual["stddev_days_between_orders"] if count > 2 else np.nan
        ),
        count_active_months_365d=_months_within(silence, gap * whole, count * whole),
        **{
            f"count_orders_{days}d": _days_within(silence, gap * whole, count * whole, days)
            for days in WINDOWS_DAYS
        },
    )


def _days_within(silence: np.ndarray, gap: np.ndarray, count: np.ndarray, days: int) -> np.ndarray:
    """How many of `count` evenly spaced order days lie within the last `days` days."""
    within = np.floor((days - silence) / np.maximum(gap, 1.0)) + 1
    return np.where(silence <= days, np.clip(within, 0.0, count), 0.0)


def _months_within(silence: np.ndarray, gap: np.ndarray, count: np.ndarray) -> np.ndarray:
    """About how many months of the last year have at least one of the evenly spaced order days."""
    within = _days_within(silence, gap, count, 365)
    span = np.maximum(within - 1, 0.0) * gap
    return np.minimum(np.minimum(within, np.floor(span / MONTH_DAYS) + 1), MAX_MONTHS)


def _orders_in(frame: pd.DataFrame, amount: str) -> np.ndarray:
    """Number of orders that the column `amount` sums over."""
    suffix = amount.removeprefix("net_spend_amount").removeprefix("count_units")
    return frame[f"count_orders{suffix}"].to_numpy(dtype=float)


def _amounts_per_order(snapshot: pd.DataFrame) -> dict[str, np.ndarray]:
    """Spend per order (or units per order) in the window of each summing column.

    In a window without orders, spend per order is that of all orders, and units per order is 0.
    """
    names = ["net_spend_amount", *(f"net_spend_amount_{days}d" for days in WINDOWS_DAYS)]
    of_all = snapshot["net_spend_amount"].to_numpy(dtype=float) / _orders_in(
        snapshot, "net_spend_amount"
    )
    per_order = {}
    for name in [*names, "count_units_365d"]:
        orders = _orders_in(snapshot, name)
        without = of_all if name in names else np.zeros(len(snapshot))
        total = snapshot[name].to_numpy(dtype=float)
        per_order[name] = np.where(orders > 0, total / np.maximum(orders, 1.0), without)
    return per_order
