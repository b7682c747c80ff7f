"""Sequences: a buyer's order with one item, and in the next order another that is new in it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import sparse

from ml_tasks.baskets.orders import Orders
from ml_tasks.baskets.significance import MEMBERS, MIN_LIFT, surest

MIN_SHARE, MIN_STEPS, ENOUGH_STEPS = 0.0005, 10, 50
MIN_ITEM_ORDERS = 20


@dataclass(frozen=True)
class Steps:
    """Two orders of a buyer that follow each other; orders of a day are one.

    Attributes:
        before: The earlier order of each step.
        after: What is in the later order and not in the earlier one. Rows, items, buyers as of
            `before`; the months are its own.
    """

    before: Orders
    after: Orders

    @classmethod
    def of(cls, orders: Orders) -> Steps:
        """All steps, ascending by buyer and day."""
        seen = by_day(orders)
        first = np.flatnonzero(seen.buyers[1:] == seen.buyers[:-1])
        before, after = seen.contains[first], seen.contains[first + 1]
        new = (after - after.multiply(before)).tocsr()
        new.eliminate_zeros()
        return cls(_rows(seen, first, before), _rows(seen, first + 1, new))

    def expected(self, members: np.ndarray) -> np.ndarray:
        """Steps with both items if either side of a step were drawn from its month's lines.

        Args:
            members: Numbers of the earlier and the later item, shape (n_sequences, 2).
        """
        left, right = members.T
        later = self.before.summed(self.after.sizes, self.after.months)
        earlier = self.after.summed(self.before.sizes, self.before.months)
        forward = (later[left] * self.after.share[right]).sum(axis=1)
        return np.maximum(forward, (earlier[right] * self.before.share[left]).sum(axis=1))

    def counts(self, members: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Number of steps, and of buyers, of each sequence; arguments as of `expected`."""
        return self.before.counts(members, [self.before.columns, self.after.columns])


def by_day(orders: Orders) -> Orders:
    """The orders of a buyer's day as one, ascending by buyer and day."""
    start = orders.days.min() if orders.count else 0
    length = int(orders.days.max() - start) + 1 if orders.count else 1
    keys = orders.buyers.astype(np.int64) * length + orders.days - start
    keys, row = np.unique(keys, return_inverse=True)
    merge = sparse.csr_matrix((np.ones(orders.count, dtype=np.int32), (row, np.arange(len(row)))))
    contains = (merge @ orders.contains).tocsr()
    contains.data[:] = 1
    months = np.zeros(len(keys), dtype=np.int64)
    months[row] = orders.months
    return Orders(orders.items, contains, months, keys // length, keys % length + start)


def _rows(seen: Orders, rows: np.ndarray, contains: sparse.csr_matrix) -> Orders:
    return Orders(seen.items, contains, seen.months[rows], seen.buyers[rows], seen.days[rows])


def sequences(steps: Steps) -> pd.DataFrame:
    """Sequences that are more frequent than by chance, as of `surest`; orders are steps.

    The first have the most steps beyond chance: the strongest lifts do not last.

    Columns left and right are the earlier and the later item; `confidence` is the share of the
    steps from the earlier item that lead to the later one, `count_reverse` the steps the other way
    round. P-values are adjusted for all ordered pairs of items with MIN_ITEM_ORDERS.
    """
    at_least = int(np.clip(np.ceil(MIN_SHARE * steps.before.count), MIN_STEPS, ENOUGH_STEPS))
    most = np.maximum(steps.before.item_counts, steps.after.item_counts)
    often = np.flatnonzero(most >= max(at_least, MIN_ITEM_ORDERS))
    counted = (steps.before.columns[:, often].T @ steps.after.columns[:, often]).tocsr()
    found = counted.tocoo()
    keep = (found.data >= at_least) & (found.row != found.col)
    left, right, count = found.row[keep], found.col[keep], found.data[keep]
    reverse = np.asarray(counted[right, left]).ravel() if len(count) else count
    found = pd.DataFrame({"left": often[left], "right": often[right], "count_orders": count})
    found["count_reverse"] = reverse
    found["expected_orders"] = steps.expected(found[MEMBERS[:2]].to_numpy())
    found = found[found["count_orders"] >= MIN_LIFT * found["expected_orders"]]
    found = found.assign(
        count_customers=steps.counts(found[MEMBERS[:2]].to_numpy())[1],
        confidence=found["count_orders"] / steps.before.item_counts[found["left"]],
    )
    kept = surest(found, len(often) * (len(often) - 1))
    beyond = (kept["expected_orders"] - kept["count_orders"]).to_numpy()
    return kept.iloc[np.argsort(beyond, kind="stable")].reset_index(drop=True)
