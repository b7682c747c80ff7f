"""Products that go with a product, and products that could replace it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import sparse

from ml_tasks.recommendations import names as by_name
from ml_tasks.recommendations.purchases import Lines

LENGTH, KEPT = 10, 30  # products shown, and kept in the model, since some are left out on a day
LEARNT_DAYS = 365
MAX_ORDER_PRODUCTS = 100  # larger orders are wholesale: few of them hold most pairs
MIN_ORDERS = 3  # with both products
SHRUNK_BY = 5.0  # orders that are added to those with both, and to those expected
MIN_LIFT = 1.2
VARIANT = 0.6  # names from this similarity up are variants of one product: no companions
MIN_COMMON = 0.1  # least cosine of the customers of a substitute
BLOCK = 1000  # products that are counted at once


@dataclass(frozen=True)
class Related:
    """Related products of each product, the best first.

    Attributes:
        starts: Those of product i are starts[i]:starts[i + 1], shape (n_products + 1,).
        other: Number of the other product, shape (n,).
        value: Lift or similarity, shape (n,).
    """

    starts: np.ndarray
    other: np.ndarray
    value: np.ndarray

    @classmethod
    def of(cls, row: np.ndarray, other: np.ndarray, value: np.ndarray, count: int) -> Related:
        """The KEPT best of each product; ties by number."""
        order = np.lexsort((other, -value, row))
        row, other, value = row[order], other[order], value[order]
        best = np.arange(len(row)) - np.searchsorted(row, row) < KEPT
        starts = np.searchsorted(row[best], np.arange(count + 1))
        return cls(starts, other[best].astype(np.int32), value[best].astype(np.float32))

    @property
    def row(self) -> np.ndarray:
        """Number of the product of each entry."""
        return np.repeat(np.arange(len(self.starts) - 1), np.diff(self.starts))

    def shown(self, is_shown: np.ndarray, length: int = LENGTH) -> Related:
        """The first `length` of each that may be shown, shape (n_products,)."""
        keep = is_shown[self.other]
        row, other, value = self.row[keep], self.other[keep], self.value[keep]
        first = np.arange(len(row)) - np.searchsorted(row, row) < length
        starts = np.searchsorted(row[first], np.arange(len(self.starts)))
        return Related(starts, other[first], value[first])


def related(lines: Lines, today: int, names: pd.Series) -> tuple[Related, Related]:
    """Companions and substitutes, from the orders of LEARNT_DAYS before a day.

    A companion is ordered together with the product more often than its popularity explains, and
    is no variant of it. A substitute has a similar name; or the same customers, who order one or
    the other: fewer orders hold both than by chance.

    Args:
        lines: Lines of orders, guests' included.
        today: Days since 1970.
        names: Name of each product of the lines; None where it has none.
    """
    year = _small(lines.between(today - LEARNT_DAYS, today))
    size = len(lines.products)
    near = by_name.similar(names)
    row, other, both, lift = _together(_contains(year.order, year.product, size))
    alike = _looked_up(near, row, other)
    together = (both >= MIN_ORDERS) & (lift >= MIN_LIFT) & (alike < VARIANT)
    companions = Related.of(row[together], other[together], lift[together], size)
    apart = _same_customers(_contains(year.customer, year.product, size))
    seen = sparse.csr_matrix((lift, (row, other)), shape=(size, size))
    apart = _only(apart, _looked_up(seen, *apart[:2]) < 1)
    named = near.tocoo()
    parts = zip(apart, (named.row, named.col, named.data), strict=True)
    row, other, value = (np.concatenate(one) for one in parts)
    order = np.lexsort((-value, other, row))
    row, other, value = row[order], other[order], value[order]
    once = np.flatnonzero(np.diff(row.astype(np.int64) * size + other, prepend=-1))
    return companions, Related.of(row[once], other[once], value[once], size)


def _small(lines: Lines) -> Lines:
    sizes = np.bincount(lines.order) if len(lines.order) else np.zeros(1)
    return lines.only(sizes[lines.order] <= MAX_ORDER_PRODUCTS)


def _contains(row: np.ndarray, product: np.ndarray, size: int) -> sparse.csc_matrix:
    """1 where an order, or a customer, has a product."""
    numbers, place = np.unique(row, return_inverse=True)
    ones = np.ones(len(row), dtype=np.float32)
    found = sparse.csc_matrix((ones, (place, product)), shape=(len(numbers), size))
    found.data[:] = 1
    return found


def _together(contains: sparse.csc_matrix) -> tuple[np.ndarray, ...]:
    """Product, other, orders with both, and their lift, shrunk to 1; both ways."""
    count = np.asarray(contains.sum(axis=0), dtype=float).ravel()
    parts = []
    for start in range(0, contains.shape[1], BLOCK):
        block = (contains[:, start : start + BLOCK].T @ contains).tocoo()
        row, other, both = block.row + start, block.col, block.data.astype(float)
        keep = row != other
        row, other, both = row[keep], other[keep], both[keep]
        expected = count[row] * count[other] / max(contains.shape[0], 1)
        lift = (both + SHRUNK_BY) / (expected + SHRUNK_BY)
        # rare pairs are dropped here, or the pairs of a large shop would not fit
        useful = (both >= MIN_ORDERS) | (lift >= 1)
        parts.append((row[useful], other[useful], both[useful], lift[useful]))
    return tuple(np.concatenate(one) for one in zip(*parts, strict=True))


def _same_customers(contains: sparse.csc_matrix) -> tuple[np.ndarray, ...]:
    """Product, other, and cosine of their customers, from MIN_COMMON up."""
    count = np.asarray(contains.sum(axis=0), dtype=float).ravel()
    parts = []
    for start in range(0, contains.shape[1], BLOCK):
        block = (contains[:, start : start + BLOCK].T @ contains).tocoo()
        row, other = block.row + start, block.col
        cosine = block.data / (np.sqrt(count[row] * count[other]) + SHRUNK_BY)
        keep = (row != other) & (cosine >= MIN_COMMON)
        parts.append((row[keep], other[keep], cosine[keep]))
    return tuple(np.concatenate(one) for one in zip(*parts, strict=True))


def _looked_up(values: sparse.csr_matrix, row: np.ndarray, other: np.ndarray) -> np.ndarray:
    if not len(row):
        return np.zeros(0)
    return np.asarray(values[row, other], dtype=float).ravel()


def _only(columns: tuple[np.ndarray, ...], keep: np.ndarray) -> tuple[np.ndarray, ...]:
    return tuple(column[keep] for column in columns)
