"""What each customer bought before a day: a pair of customer and product, with counts and days."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import sparse

KNOWN_DAYS = 1_095  # before a date, whose orders count
HALF_LIFE_DAYS = 120.0  # an order counts half after so many days


@dataclass(frozen=True)
class Lines:
    """Order lines of customers, each product once an order.

    Attributes:
        customers: Ids, ascending.
        products: Ids, ascending.
        customer: Place in `customers`, shape (n_lines,); likewise product.
        order: Number of the order, shape (n_lines,).
        day: Day of the order since 1970, shape (n_lines,).
    """

    customers: np.ndarray
    products: np.ndarray
    customer: np.ndarray
    product: np.ndarray
    order: np.ndarray
    day: np.ndarray

    @classmethod
    def of(cls, frame: pd.DataFrame, products: np.ndarray | None = None) -> Lines:
        """Lines of a frame.

        Args:
            frame: Columns customer_id (or a number), order_number, ordered_date, product_id.
            products: Ids of all products, ascending; None: those of the frame.
        """
        frame = frame.drop_duplicates(["order_number", "product_id"])
        customer, customers = pd.factorize(frame["customer_id"], sort=True)
        if products is None:
            products = np.sort(frame["product_id"].unique().astype(object))
        place = pd.Series(np.arange(len(products)), index=products)
        product = place.reindex(frame["product_id"]).to_numpy(dtype=np.int32)
        day = frame["ordered_date"].to_numpy(dtype="datetime64[D]").astype(np.int32)
        order = frame["order_number"].to_numpy(dtype=np.int32)
        return cls(np.asarray(customers), products, customer.astype(np.int32), product, order, day)

    def between(self, first: int, end: int) -> Lines:
        """Lines of the days in [first, end)."""
        return self.only((self.day >= first) & (self.day < end))

    def only(self, keep: np.ndarray) -> Lines:
        """The lines that a mask keeps, shape (n_lines,)."""
        columns = (self.customer, self.product, self.order, self.day)
        return Lines(self.customers, self.products, *(column[keep] for column in columns))


@dataclass(frozen=True)
class Pairs:
    """What customers bought before a day, sorted by customer, then product.

    Attributes:
        starts: Pairs of customer i are starts[i]:starts[i + 1], shape (n_customers + 1,).
        product: Number of the product, shape (n_pairs,); so are all that follow.
        count: Orders of the customer with the product.
        decayed: The same, each order halved every HALF_LIFE_DAYS.
        last: Days since the latest of these orders, at least 1.
        first: Days since the first of them.
        count_orders: Orders of each customer, shape (n_customers,).
        decayed_orders: The same, halved likewise, shape (n_customers,).
        count_products: Number of products in the shop.
    """

    starts: np.ndarray
    product: np.ndarray
    count: np.ndarray
    decayed: np.ndarray
    last: np.ndarray
    first: np.ndarray
    count_orders: np.ndarray
    decayed_orders: np.ndarray
    count_products: int

    @property
    def count_customers(self) -> int:
        """Number of customers."""
        return len(self.starts) - 1

    @property
    def customer(self) -> np.ndarray:
        """Number of the customer of each pair, shape (n_pairs,)."""
        return np.repeat(np.arange(self.count_customers), np.diff(self.starts))

    def matrix(self, values: np.ndarray) -> sparse.csr_matrix:
        """Values of the pairs as a matrix, shape (n_customers, n_products), float32."""
        shape = (self.count_customers, self.count_products)
        return sparse.csr_matrix((values.astype(np.float32), self.product, self.starts), shape)

    @property
    def bought(self) -> sparse.csr_matrix:
        """1 where a customer bought a product."""
        return self.matrix(np.ones(len(self.product)))

    def of(self, rows: np.ndarray) -> Pairs:
        """The pairs of some customers, in the given order.

        Args:
            rows: Numbers of the customers, shape (n,).
        """
        sizes = np.diff(self.starts)[rows]
        starts = np.concatenate([[0], np.cumsum(sizes)])
        place = np.repeat(self.starts[rows] - starts[:-1], sizes) + np.arange(starts[-1])
        return Pairs(
            starts,
            self.product[place],
            self.count[place],
            self.decayed[place],
            self.last[place],
            self.first[place],
            self.count_orders[rows],
            self.decayed_orders[rows],
            self.count_products,
        )

    def blocks(self, size: int) -> Iterator[tuple[int, Pairs]]:
        """Some customers at a time: the first one's number, and their pairs; one block at least."""
        for start in range(0, max(self.count_customers, 1), size):
            yield start, self.of(np.arange(start, min(start + size, self.count_customers)))


def decay(age_days: np.ndarray) -> np.ndarray:
    """Weight of an order by its age.

    Example:
        >>> decay(np.array([0, 120])).tolist()
        [1.0, 0.5]
    """
    return np.asarray(0.5 ** (age_days / HALF_LIFE_DAYS))


def before(lines: Lines, day: int) -> Pairs:
    """What every customer of the lines bought before a day.

    Args:
        lines: All lines; those of the day and later are not read.
        day: Days since 1970.
    """
    seen = lines.only(lines.day < day)
    order = np.lexsort((seen.day, seen.product, seen.customer))
    key = seen.customer[order].astype(np.int64) * len(lines.products) + seen.product[order]
    age = day - seen.day[order]
    first = np.flatnonzero(np.diff(key, prepend=-1))
    count = np.diff(np.append(first, len(key)))
    customer, product = (column[order][first] for column in (seen.customer, seen.product))
    decayed = np.add.reduceat(decay(age), first) if len(first) else np.zeros(0)
    latest = age[first + count - 1] if len(first) else np.zeros(0, dtype=int)
    oldest = age[first] if len(first) else latest
    starts = np.searchsorted(customer, np.arange(len(lines.customers) + 1))
    count_orders, decayed_orders = _orders(seen, day, len(lines.customers))
    return Pairs(
        starts,
        product,
        count,
        decayed,
        latest,
        oldest,
        count_orders,
        decayed_orders,
        len(lines.products),
    )


def _orders(lines: Lines, day: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Orders of each customer, plain and decayed."""
    once = np.unique(lines.order, return_index=True)[1]
    customer, weight = lines.customer[once], decay(day - lines.day[once])
    plain = np.bincount(customer, minlength=count)
    return plain, np.bincount(customer, weights=weight, minlength=count)
