"""Candidates of each customer, and what is known of each: the rows that are ranked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from ml_tasks.recommendations.popularity import Popularity
from ml_tasks.recommendations.purchases import Pairs
from ml_tasks.recommendations.ranking import is_largest, places

MAX_OWN, MAX_LINKED, MAX_POPULAR = 150, 80, 40
TREND_PRIOR = 0.002  # of the customers of 28 days, added to both windows of a trend
MAX_CELLS = 10_000_000  # customers times products at once
MAX_BLOCK = 1000  # customers at once
COLUMNS = (
    *("count", "decayed", "share_of_orders", "days_since_last", "days_between", "overdue"),
    *("link", "recent_link", "link_rank", "link_of_best"),
    *("recent", "trend", "quarter", "season", "year", "repeat_share", "age_days"),
    *("orders", "decayed_orders", "products", "last_order", "products_an_order", "own_repeats"),
)


@dataclass(frozen=True)
class Candidates:
    """Candidates of a block of customers, by customer, then product.

    Attributes:
        first: Number of the block's first customer.
        row: Number of the customer in the block, shape (n,).
        product: Number of the product, shape (n,).
        is_own: Whether the customer has bought it, shape (n,).
        columns: What is known of each, shape (n, len(COLUMNS)), float32; NaN: does not apply.
    """

    first: int
    row: np.ndarray
    product: np.ndarray
    is_own: np.ndarray
    columns: np.ndarray

    def column(self, name: str) -> np.ndarray:
        """One of COLUMNS."""
        return self.columns[:, COLUMNS.index(name)]


def candidates(
    pairs: Pairs, popular: Popularity, links: sparse.csr_matrix, is_shown: np.ndarray
) -> Iterator[Candidates]:
    """Candidates of all customers, a block at a time.

    Candidates may be shown. They are the products that the customer bought (the MAX_OWN with most
    weight), the MAX_LINKED new ones that the links give the highest sums, and the MAX_POPULAR most
    popular new ones. A customer's rows do not depend on which others are in the block.

    Args:
        pairs: What the customers bought.
        popular: Popularity on the same day.
        links: Weight of a product bought for another, shape (n_products, n_products).
        is_shown: Whether a product may be shown, shape (n_products,).
    """
    of_products = _of_products(popular)
    shown = np.flatnonzero(is_shown)
    to_shown = links[:, shown].tocsr()
    by_popularity = popular.order[is_shown[popular.order]]
    block = max(1, min(MAX_BLOCK, MAX_CELLS // max(pairs.count_products, 1)))
    for first, some in pairs.blocks(block):
        link = np.zeros((some.count_customers, pairs.count_products), dtype=np.float32)
        recent = np.zeros_like(link)
        link[:, shown] = (some.bought @ to_shown).toarray()
        recent[:, shown] = (some.matrix(some.decayed) @ to_shown).toarray()
        chosen, own = _chosen(some, link, is_shown, by_popularity)
        row, product = np.nonzero(chosen)
        columns = [*_of_pairs(some, row, product), *_of_links(link, recent, row, product)]
        columns += [one[product] for one in of_products]
        columns += [one[row] for one in _of_customers(some)]
        table = np.stack([one.astype(np.float32) for one in columns], axis=1)
        yield Candidates(first, row, product, own[row, product], table)


def _chosen(
    pairs: Pairs, link: np.ndarray, is_shown: np.ndarray, by_popularity: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Which cells are candidates, and which products are the customer's own."""
    own = np.zeros(link.shape, dtype=bool)
    own[pairs.customer, pairs.product] = True
    customer, shown = pairs.customer, np.flatnonzero(is_shown[pairs.product])
    by_weight = np.lexsort((pairs.product[shown], -pairs.decayed[shown], customer[shown]))
    by_weight = shown[by_weight]
    kept = by_weight[places(customer[by_weight]) < MAX_OWN]
    new = np.where(own | ~is_shown, 0.0, link)
    chosen = (new > 0) & is_largest(new, MAX_LINKED, axis=1)
    chosen[customer[kept], pairs.product[kept]] = True
    is_new = ~own[:, by_popularity]
    few = is_new & (np.cumsum(is_new, axis=1, dtype=np.int32) <= MAX_POPULAR)
    chosen[:, by_popularity] |= few
    return chosen, own


def _of_pairs(pairs: Pairs, row: np.ndarray, product: np.ndarray) -> list[np.ndarray]:
    key = row.astype(np.int64) * pairs.count_products + product
    known = pairs.customer * np.int64(pairs.count_products) + pairs.product
    place = np.minimum(np.searchsorted(known, key), max(len(known) - 1, 0))
    is_known = known[place] == key if len(known) else np.zeros(len(key), dtype=bool)
    if not len(known):
        return [np.full(len(key), np.nan) for _ in range(6)]

    def of(values: np.ndarray) -> np.ndarray:
        return np.where(is_known, values[place], np.nan)

    count, decayed, last, first = map(of, (pairs.count, pairs.decayed, pairs.last, pairs.first))
    between = np.where(count > 1, (first - last) / np.maximum(count - 1, 1), np.nan)
    share = decayed / (pairs.decayed_orders[row] + 1)
    return [count, decayed, share, last, between, last / np.maximum(between, 1)]


def _of_links(
    link: np.ndarray, recent: np.ndarray, row: np.ndarray, product: np.ndarray
) -> list[np.ndarray]:
    values = link[row, product]
    order = np.lexsort((product, -values, row))
    rank = np.empty(len(row))
    rank[order] = places(row[order])
    best = np.zeros(len(link), dtype=link.dtype)
    np.maximum.at(best, row, values)
    return [values, recent[row, product], rank, values / np.maximum(best[row], 1e-6)]


def _of_products(popular: Popularity) -> list[np.ndarray]:
    def share(counts: np.ndarray) -> np.ndarray:
        return np.asarray(1000 * counts / max(counts.sum(), 1))

    # of a sample of the customers it is the same: the prior grows with them
    prior = max(popular.active, 1) * TREND_PRIOR
    return [
        popular.recent_share,
        (popular.recent + prior) / (popular.earlier + prior),
        share(popular.quarter),
        share(popular.season),
        share(popular.year),
        popular.repeated / np.maximum(popular.year, 1),
        np.minimum(popular.age_days, 365),
    ]


def _of_customers(pairs: Pairs) -> list[np.ndarray]:
    sizes = np.diff(pairs.starts)
    is_any, begins = sizes > 0, pairs.starts[:-1]

    def over(reduced: np.ufunc, values: np.ndarray, neutral: int) -> np.ndarray:
        # the last customer's part reaches to the end of the array, the neutral value included
        parts = reduced.reduceat(np.append(values, neutral), begins)
        return np.where(is_any, parts, 0)

    last = np.where(is_any, over(np.minimum, pairs.last, np.iinfo(np.int32).max), np.nan)
    return [
        pairs.count_orders,
        pairs.decayed_orders,
        sizes,
        last,
        over(np.add, pairs.count, 0) / np.maximum(pairs.count_orders, 1),
        over(np.add, (pairs.count > 1).astype(int), 0) / np.maximum(sizes, 1),
    ]
