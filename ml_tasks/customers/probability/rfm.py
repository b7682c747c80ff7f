"""Input of the probability models: repeats, recency, age and mean repeat amount of each customer.

A repeat is a further order *day*: two orders on one day are one occasion, as in the papers. Any
unit of time will do; snapshots give days.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

HISTORY = ("count_repeats", "recency", "age")
# A fit sums over cells of equal customers. With more cells, times are binned until at most this
# many remain: further cells cost time and move no parameter.
MAX_CELLS = 50_000
FIRST_BINS = 1024  # of the longest age


def history(x: np.ndarray, t_x: np.ndarray, t: np.ndarray) -> pd.DataFrame:
    """Frame with the columns HISTORY.

    Args:
        x: Repeats, shape (n_customers,).
        t_x: Recency: time from the first order to the last, shape (n_customers,).
        t: Age: time from the first order until now, shape (n_customers,).
    """
    return pd.DataFrame(dict(zip(HISTORY, (x, t_x, t), strict=True)))


def rfm(snapshots: pd.DataFrame) -> pd.DataFrame:
    """History of each snapshot, in the same row order and with the same index.

    Args:
        snapshots: Columns of features.customer_snapshots.

    Returns:
        count_repeats: Order days after the first.
        recency: Days from the first order day to the last; 0 without repeats.
        age: Days from the first order day to the snapshot, at least 1.
        mean_repeat_amount: Gross spend per repeat, shop currency; 0 without repeats. It includes
            every order after the very first, also further orders of the first day.

    Example:
        >>> snapshot = pd.DataFrame(
        ...     {
        ...         "count_order_days": [3],
        ...         "days_since_first_order": [100],
        ...         "days_since_last_order": [40],
        ...         "gross_spend_amount": [90.0],
        ...         "first_order_amount": [30.0],
        ...     }
        ... )
        >>> rfm(snapshot).to_dict("records")
        [{'count_repeats': 2.0, 'recency': 60.0, 'age': 100.0, 'mean_repeat_amount': 30.0}]
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
    """Distinct histories and their counts; arrays of shape (n_cells,), in a total order.

    Attributes:
        x: Repeats.
        t_x: Recency.
        t: Age.
        customers: Customers with this history, at least 1.
    """

    x: np.ndarray
    t_x: np.ndarray
    t: np.ndarray
    customers: np.ndarray


def cells_of(histories: pd.DataFrame, max_cells: int = MAX_CELLS) -> Cells:
    """Count equal histories. If there are too many, bin recency and age first.

    Args:
        histories: Columns of `rfm`, rows in any order.
        max_cells: Largest number of cells. The bin width doubles until the bins are few enough;
            a bin has the mean recency and age of its customers.
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
    """One cell per combination of keys, with the sum of customers and their mean history."""
    # Sorting by the values too keeps sums independent of the order of rows.
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
