"""What is known on a day, and what customers ordered in the 90 days from it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

from ml_tasks.recommendations import links
from ml_tasks.recommendations.candidates import Candidates, candidates
from ml_tasks.recommendations.popularity import Popularity, popularity
from ml_tasks.recommendations.purchases import Lines, Pairs, before

HORIZON_DAYS = 90
MAX_CUSTOMERS = 5000  # of a past day that are learnt from, and as many that are judged


@dataclass(frozen=True)
class State:
    """What is known on a day.

    Attributes:
        day: Days since 1970; nothing of the day or later is known.
        pairs: What each customer bought.
        popular: Popularity of the products.
        links: Weight of a product for another, see `links`.
    """

    day: int
    pairs: Pairs
    popular: Popularity
    links: sparse.csr_matrix

    def candidates(self, rows: np.ndarray) -> Iterator[Candidates]:
        """Candidates of some customers, among the products that are still sold.

        Args:
            rows: Numbers of the customers; a block's rows count from its `first` in them.
        """
        some = self.pairs.of(rows)
        return candidates(some, self.popular, self.links, self.popular.is_sold)


@dataclass(frozen=True)
class Outcome:
    """What customers who were known ordered in the days after; a pair stands once.

    Attributes:
        rows: Numbers of the customers with any, ascending.
        row: Place in `rows` of each pair, shape (n,).
        product: Number of the product, shape (n,).
        is_new: Whether the customer had never ordered it, shape (n,).
    """

    rows: np.ndarray
    row: np.ndarray
    product: np.ndarray
    is_new: np.ndarray


def state_at(lines: Lines, day: int, penalty: float, alike: sparse.csr_matrix) -> State:
    """The state on a day.

    Args:
        lines: Lines of customers; those of the day and later are not read.
        day: Days since 1970.
        penalty: Of EASE.
        alike: Similarity of the products' names, see `names.similar`.
    """
    pairs = before(lines, day)
    often = links.most_bought(pairs)
    found = links.by_ease(pairs, penalty, often)
    linked = links.with_names(found, often, alike)
    return State(day, pairs, popularity(lines, day), linked)


def with_neighbours(state: State) -> State:
    """The state with the links of nearest neighbours."""
    return replace(state, links=links.by_neighbours(state.pairs))


def outcome(lines: Lines, day: int, seed: int = 0) -> Outcome:
    """Products ordered in the HORIZON_DAYS from a day on by customers known on the day.

    Products that nobody had ordered before the day are left out: no list could have them. Of more
    than MAX_CUSTOMERS customers a sample is drawn.

    Args:
        lines: Lines of customers.
        day: Days since 1970.
        seed: Of the sample.
    """
    size = np.int64(len(lines.products))
    seen, after = lines.only(lines.day < day), lines.between(day, day + HORIZON_DAYS)
    was_sold = np.bincount(seen.product, minlength=size) > 0
    is_known = np.bincount(seen.customer, minlength=len(lines.customers)) > 0
    keep = was_sold[after.product] & is_known[after.customer]
    pairs = np.unique(after.customer[keep].astype(np.int64) * size + after.product[keep])
    rows = drawn(np.unique(pairs // size), MAX_CUSTOMERS, seed)
    pairs = pairs[np.isin(pairs // size, rows)]
    own = np.unique(seen.customer.astype(np.int64) * size + seen.product)
    row = np.searchsorted(rows, pairs // size)
    return Outcome(rows, row, pairs % size, ~np.isin(pairs, own))


def drawn(rows: np.ndarray, most: int, seed: int) -> np.ndarray:
    """At most so many of the rows, at random, ascending."""
    if len(rows) <= most:
        return rows
    return np.sort(np.random.default_rng(seed).choice(rows, most, replace=False))
