"""Orders as a sparse matrix: who ordered which items, when, and what chance would give."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from scipy import sparse

CHUNK = 500  # rules that are counted at once


@dataclass(frozen=True)
class Orders:
    """Which order holds which item.

    Attributes:
        items: Ids of the items, ascending, shape (n_items,).
        contains: 1 where an order holds an item, shape (n_orders, n_items).
        months: Number of each order's month, from 0, shape (n_orders,).
        buyers: Number of each order's buyer, from 0, shape (n_orders,).
        days: Each order's day since 1970, shape (n_orders,).
    """

    items: np.ndarray
    contains: sparse.csr_matrix
    months: np.ndarray
    buyers: np.ndarray
    days: np.ndarray

    @classmethod
    def of(cls, lines: pd.DataFrame) -> Orders:
        """Orders from lines; an item twice in an order counts once.

        Args:
            lines: Columns order_number, buyer_number, ordered_date, product_id.
        """
        number, order = np.unique(lines["order_number"].to_numpy(), return_inverse=True)
        item, items = pd.factorize(lines["product_id"], sort=True)
        ones = np.ones(len(lines), dtype=np.int32)
        contains = sparse.csr_matrix((ones, (order, item)), shape=(len(number), len(items)))
        contains.data[:] = 1
        first = np.zeros(len(number), dtype=np.int64)
        first[order] = np.arange(len(lines))
        days = lines["ordered_date"].to_numpy(dtype="datetime64[D]")[first]
        months = np.unique(days.astype("datetime64[M]"), return_inverse=True)[1]
        buyers = np.unique(lines["buyer_number"].to_numpy()[first], return_inverse=True)[1]
        return cls(np.asarray(items), contains, months, buyers, days.astype(np.int64))

    @property
    def count(self) -> int:
        """Number of orders."""
        return len(self.months)

    @cached_property
    def sizes(self) -> np.ndarray:
        """Number of items in each order, shape (n_orders,)."""
        return np.asarray(self.contains.sum(axis=1), dtype=float).ravel()

    @cached_property
    def item_counts(self) -> np.ndarray:
        """Number of orders with each item, shape (n_items,)."""
        return np.asarray(self.contains.sum(axis=0)).ravel()

    @cached_property
    def columns(self) -> sparse.csc_matrix:
        """`contains` by columns."""
        return self.contains.tocsc()

    @cached_property
    def monthly(self) -> np.ndarray:
        """Number of orders with each item in each month, shape (n_items, n_months)."""
        return self.summed(np.ones(self.count))

    @cached_property
    def share(self) -> np.ndarray:
        """Share of each item in a month's lines, shape (n_items, n_months)."""
        return self.monthly / np.maximum(self.monthly.sum(axis=0), 1.0)

    def summed(self, weights: np.ndarray, months: np.ndarray | None = None) -> np.ndarray:
        """Sum of weights over the orders with an item, by month, shape (n_items, n_months).

        Args:
            weights: Shape (n_orders,).
            months: Months to sum by, if not those of the orders, shape (n_orders,).
        """
        months = self.months if months is None else months
        shape = (int(months.max()) + 1 if len(months) else 0, self.count)
        by_month = sparse.csr_matrix((weights, (months, np.arange(self.count))), shape=shape)
        return (by_month @ self.contains).toarray().T

    def expected_pairs(self, members: np.ndarray) -> np.ndarray:
        """Orders with both items if the other items of an order were drawn from its month's lines.

        Orders with the one item keep their sizes: of an order of n items, n - 1 places are drawn.
        Either item can be the one that is given; the larger expectation counts.

        Args:
            members: Item numbers, shape (n_pairs, 2).
        """
        places, lines = self.summed(self.sizes - 1), self.monthly.sum(axis=0)

        def drawn(given: np.ndarray, other: np.ndarray) -> np.ndarray:
            others = np.maximum(lines - self.monthly[given], 1.0)  # no item twice in an order
            return (places[given] * self.monthly[other] / others).sum(axis=1)

        left, right = members.T
        return np.maximum(drawn(left, right), drawn(right, left))

    def expected_triples(self, members: np.ndarray) -> np.ndarray:
        """As `expected_pairs`, one item given and two drawn; `members` has shape (n_triples, 3)."""
        places = self.summed((self.sizes - 1) * (self.sizes - 2))
        drawn = [
            (places[members[:, i]] * self.share[members[:, i - 1]] * self.share[members[:, i - 2]])
            for i in range(3)
        ]
        return np.max([one.sum(axis=1) for one in drawn], axis=0)

    def counts(
        self, members: np.ndarray, columns: Sequence[sparse.csc_matrix] = ()
    ) -> tuple[np.ndarray, np.ndarray]:
        """Number of orders, and of buyers, with all items of a rule; two of shape (n_rules,).

        Args:
            members: Item numbers, shape (n_rules, n_members).
            columns: Where each member is looked up; all in `columns` if empty.
        """
        ones = np.ones(self.count, dtype=np.int32)
        shape = (int(self.buyers.max()) + 1 if self.count else 0, self.count)
        of_buyers = sparse.csr_matrix((ones, (self.buyers, np.arange(self.count))), shape=shape)
        orders, buyers = [np.zeros(0, dtype=int)], [np.zeros(0, dtype=int)]
        for held in hits(columns or [self.columns] * members.shape[1], members):
            orders.append(np.diff(held.indptr))
            buyers.append(np.diff((of_buyers @ held).tocsc().indptr))
        return np.concatenate(orders), np.concatenate(buyers)


def hits(columns: Sequence[sparse.csc_matrix], members: np.ndarray) -> Iterator[sparse.csc_matrix]:
    """1 where an order has all items of a rule, shape (n_orders, n_rules), CHUNK rules at a time.

    Args:
        columns: One matrix per member, shape (n_orders, n_items).
        members: Item numbers, shape (n_rules, n_members).
    """
    for start in range(0, len(members), CHUNK):
        part = members[start : start + CHUNK]
        held = columns[0][:, part[:, 0]]
        for i in range(1, part.shape[1]):
            held = held.multiply(columns[i][:, part[:, i]])
        held = held.tocsc()
        held.eliminate_zeros()
        yield held
