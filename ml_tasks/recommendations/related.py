"""Products that go with a product, and products that could replace it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from ml_tasks.recommendations.purchases import Lines
from ml_tasks.recommendations.ranking import places

LENGTH, KEPT = 10, 30  # products shown, and kept in the model, since some are left out on a day
LEARNT_DAYS = 365
MAX_ORDER_PRODUCTS = 100  # larger orders are wholesale: few of them hold most pairs
MIN_ORDERS = 3  # with both products
SHRUNK_BY = 5.0  # orders that are added to those with both, and to those expected
MIN_DEVIATIONS = 3.0  # standard deviations of a Poisson count that a pair is above independence
VARIANT = 0.5  # names from this similarity up are variants of one product: no companions
MIN_COMMON = 0.2  # least cosine of the customers of a substitute
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
        best = places(row) < KEPT
        starts = np.searchsorted(row[best], np.arange(count + 1))
        return cls(starts, other[best].astype(np.int32), value[best].astype(np.float32))

    @property
    def row(self) -> np.ndarray:
        """Number of the product of each entry."""
        return np.repeat(np.arange(len(self.starts) - 1), np.diff(self.starts))

    def shown(self, is_shown: np.ndarray) -> Related:
        """The first LENGTH of each that may be shown, shape (n_products,)."""
        keep = is_shown[self.other]
        row, other, value = self.row[keep], self.other[keep], self.value[keep]
        first = places(row) < LENGTH
        starts = np.searchsorted(row[first], np.arange(len(self.starts)))
        return Related(starts, other[first], value[first])


def related(lines: Lines, today: int, alike: sparse.csr_matrix) -> tuple[Related, Related]:
    """Companions and substitutes, from the orders of LEARNT_DAYS before a day.

    A companion is ordered together with the product more often than its popularity explains, and
    is no variant of it. A substitute is no companion. It has a similar name; or the same customers,
    who order one or the other: fewer orders hold both than by chance.

    Args:
        lines: Lines of orders, guests' included.
        today: Days since 1970.
        alike: Similarity of the products' names, see `names.similar`.
    """
    year = _small(lines.between(today - LEARNT_DAYS, today))
    size = len(lines.products)
    orders = _contains(year.order, year.product, size)
    row, other, lift, above = _together(orders)
    together = (above >= MIN_DEVIATIONS) & (_looked_up(alike, row, other) < VARIANT)
    companions = Related.of(row[together], other[together], lift[together], size)
    apart = _same_customers(_contains(year.customer, year.product, size))
    apart = _only(apart, _lift(orders, *apart[:2]) < 1)
    of_names = alike.tocoo()
    keys = companions.row * np.int64(size) + companions.other
    is_other = ~np.isin(of_names.row * np.int64(size) + of_names.col, keys)
    named = _only((of_names.row, of_names.col, of_names.data), is_other)
    parts = zip(apart, named, strict=True)
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
    """Product, other, lift, shrunk to 1, and deviations above independence, from MIN_ORDERS up."""
    parts = []
    for start in range(0, contains.shape[1], BLOCK):
        block = (contains[:, start : start + BLOCK].T @ contains).tocoo()
        row, other, both = block.row + start, block.col, block.data.astype(float)
        # rare pairs are dropped here, or the pairs of a large shop would not fit
        keep = (row != other) & (both >= MIN_ORDERS)
        row, other, both = row[keep], other[keep], both[keep]
        expected = _expected(contains, row, other)
        lift = (both + SHRUNK_BY) / (expected + SHRUNK_BY)
        parts.append((row, other, lift, (both - expected) / np.sqrt(expected + 1)))
    return tuple(np.concatenate(one) for one in zip(*parts, strict=True))


def _expected(contains: sparse.csc_matrix, row: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Orders (or customers) with both products if they were independent."""
    count = np.asarray(contains.sum(axis=0), dtype=float).ravel()
    return np.asarray(count[row] * count[other] / max(contains.shape[0], 1))


def _lift(contains: sparse.csc_matrix, row: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Lift of some pairs, shrunk to 1."""
    both = np.zeros(len(row))
    for start in range(0, len(row), BLOCK):
        some = slice(start, start + BLOCK)
        held = contains[:, row[some]].multiply(contains[:, other[some]])
        both[some] = np.asarray(held.sum(axis=0)).ravel()
    return np.asarray((both + SHRUNK_BY) / (_expected(contains, row, other) + SHRUNK_BY))


def _same_customers(contains: sparse.csc_matrix) -> tuple[np.ndarray, ...]:
    """Product, other, and cosine of their customers less that by chance, from MIN_COMMON up."""
    count = np.asarray(contains.sum(axis=0), dtype=float).ravel()
    parts = []
    for start in range(0, contains.shape[1], BLOCK):
        block = (contains[:, start : start + BLOCK].T @ contains).tocoo()
        row, other = block.row + start, block.col
        by_chance = _expected(contains, row, other)
        cosine = (block.data - by_chance) / (np.sqrt(count[row] * count[other]) + SHRUNK_BY)
        keep = (row != other) & (cosine >= MIN_COMMON)
        parts.append((row[keep], other[keep], cosine[keep]))
    return tuple(np.concatenate(one) for one in zip(*parts, strict=True))


def _looked_up(values: sparse.csr_matrix, row: np.ndarray, other: np.ndarray) -> np.ndarray:
    if not len(row):
        return np.zeros(0)
    return np.asarray(values[row, other], dtype=float).ravel()


def _only(columns: tuple[np.ndarray, ...], keep: np.ndarray) -> tuple[np.ndarray, ...]:
    return tuple(column[keep] for column in columns)
