"""What the probability models read of a customer: repeats, recency, age and the mean repeat amount.

A repeat is a further order *day*: two orders of one day are one occasion, as in the papers. Times
may be in any one unit; snapshots give days.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

HISTORY = ("count_repeats", "recency", "age")
# A fit sums over cells of equal customers. More cells cost time and move no parameter, so lengths
# are then binned, ever wider, until so many are left.
MAX_CELLS = 50_000
FIRST_BINS = 1024  # of the longest age


def history(x: np.ndarray, t_x: np.ndarray, t: np.ndarray) -> pd.DataFrame:
    """Histories as the models read them, from repeats, recency and age, each of shape (n,)."""
    return pd.DataFrame(dict(zip(HISTORY, (x, t_x, t), strict=True)))


def rfm(snapshots: pd.DataFrame) -> pd.DataFrame:
    """Histories of customers, same row order and index.

    Args:
        snapshots: Columns of features.customer_snapshots.

    Returns:
        count_repeats: Order days after the first.
        recency: Days from the first order day to the last; 0 without repeats.
        age: Days from the first order day to the snapshot, at least 1.
        mean_repeat_amount: Gross spend per repeat, shop currency; 0 without repeats. Orders of the
            first day beyond the very first count as repeat spend where there are repeats.
    """
    repeats = snapshots["count_order_days"].to_numpy(dtype=float) - 1
    age = snapshots["days_since_first_order"].to_numpy(dtype=float)
    spend = snapshots["gross_spend_amount"].to_numpy(dtype=float)
    repeat_spend = (spend - snapshots["first_order_amount"].to_numpy(dtype=float)).clip(min=0)
    return pd.DataFrame(
        {
            "count_repeats": repeats,
            "recency": age - snapshots["days_since_last_order"].to_numpy(dtype=float),
            "age": age,
            "mean_repeat_amount": np.where(repeats > 0, repeat_spend / np.maximum(repeats, 1), 0.0),
        },
        index=snapshots.index,
    )


@dataclass(frozen=True)
class Cells:
    """Histories and how many customers share each; arrays of shape (n_cells,), in a total order.

    Attributes:
        x: Count of repeats.
        t_x: Recency.
        t: Age.
        customers: Count of customers, at least 1.
    """

    x: np.ndarray
    t_x: np.ndarray
    t: np.ndarray
    customers: np.ndarray


def cells_of(histories: pd.DataFrame, max_cells: int = MAX_CELLS) -> Cells:
    """Count equal histories; where these are too many, nearly equal ones.

    Args:
        histories: Columns as of `rfm`, rows in any order.
        max_cells: Bins of times, each at the mean of its customers, double until no more are left.
    """
    x, t_x, t = (histories[column].to_numpy(dtype=float) for column in HISTORY)
    exact = _grouped(Cells(x, t_x, t, np.ones(len(x))), (x, t_x, t))
    cells, longest = exact, exact.t.max(initial=0.0)
    width = longest / FIRST_BINS
    while len(cells.x) > max_cells and width <= longest:
        cells = _grouped(exact, (exact.x, exact.t_x // width, exact.t // width))
        width *= 2
    return cells


def _grouped(cells: Cells, keys: tuple[np.ndarray, ...]) -> Cells:
    """One cell for each combination of keys: customers add up, the rest is their mean."""
    # Sorted by the values too, so that sums do not depend on the order of rows.
    order = np.lexsort((cells.t, cells.t_x, cells.x, *reversed(keys)))
    if len(order) == 0:
        return cells
    is_first = np.zeros(len(order), dtype=bool)
    for key in keys:
        is_first[1:] |= np.diff(key[order]) != 0
    group = np.cumsum(is_first)
    customers = np.bincount(group, cells.customers[order])
    x, t_x, t = (
        np.bincount(group, (values * cells.customers)[order]) / customers
        for values in (cells.x, cells.t_x, cells.t)
    )
    return Cells(x, t_x, t, customers)
