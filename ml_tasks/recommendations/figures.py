"""How good lists were: recall, nDCG, hits, coverage and popularity of what they show."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ml_tasks.recommendations.ranking import places

LENGTH = 20  # products of a list


@dataclass(frozen=True)
class Lists:
    """Lists of customers: an entry per customer and product.

    Attributes:
        row: Number of the customer, shape (n,); likewise product.
        product: Number of the product.
        place: Place in the customer's list, from 0.
    """

    row: np.ndarray
    product: np.ndarray
    place: np.ndarray


def ranked(row: np.ndarray, product: np.ndarray, score: np.ndarray) -> Lists:
    """The LENGTH products with the highest scores of each customer; ties by product.

    Args:
        row: Number of the customer, shape (n,).
        product: Number of the product, shape (n,).
        score: Shape (n,).

    Example:
        >>> ranked(np.array([0, 0]), np.array([3, 4]), np.array([0.1, 0.2])).product.tolist()
        [4, 3]
    """
    order = np.lexsort((product, -score, row))
    place = places(row[order])
    keep = order[place < LENGTH]
    return Lists(row[keep], product[keep], place[place < LENGTH])


def of_lists(lists: Lists, row: np.ndarray, product: np.ndarray) -> dict[str, np.ndarray]:
    """Figures of each customer with something to find, one array each.

    Recall is over all that the customer ordered, however long the list; the ideal nDCG has the
    products ordered first.

    Args:
        lists: The lists.
        row: Customer of each product that was ordered, shape (n_ordered,).
        product: That product; a customer and product stand once.

    Returns:
        `recall`, `ndcg`, `hit` (1 if any), each of shape (n_customers,), customers ascending.
    """
    customers, ordered = np.unique(row, return_counts=True)
    width = 1 + max(int(product.max(initial=0)), int(lists.product.max(initial=0)))
    is_hit = np.isin(
        lists.row.astype(np.int64) * width + lists.product, row.astype(np.int64) * width + product
    )
    is_judged = np.isin(lists.row, customers)
    place = np.searchsorted(customers, lists.row[is_hit & is_judged])
    gain = 1 / np.log2(lists.place[is_hit & is_judged] + 2)
    hits = np.bincount(place, minlength=len(customers))
    gained = np.bincount(place, weights=gain, minlength=len(customers))
    length = int(lists.place.max(initial=LENGTH - 1)) + 1
    ideal = np.cumsum(1 / np.log2(np.arange(length) + 2))[np.minimum(ordered, length) - 1]
    return {"recall": hits / ordered, "ndcg": gained / ideal, "hit": (hits > 0).astype(float)}


def coverage(lists: Lists, is_shown: np.ndarray) -> float:
    """Share of the products that may be shown that are in some list."""
    return float(len(np.unique(lists.product)) / max(int(is_shown.sum()), 1))


def novelty(lists: Lists, share: np.ndarray) -> float:
    """Mean of -log2 of the share of customers who buy a product: higher is rarer.

    Source:
        Zhou et al. (2010), PNAS 107, doi 10.1073/pnas.1000488107.

    Args:
        lists: The lists.
        share: Share of customers who bought each product, shape (n_products,).
    """
    if not len(lists.product):
        return float("nan")
    least = share[share > 0].min(initial=1.0)
    return float(-np.log2(np.maximum(share[lists.product], least)).mean())


def popularity_bias(lists: Lists, share: np.ndarray) -> float:
    """Share of the places in lists that the tenth of the products with most customers takes."""
    if not len(lists.product):
        return float("nan")
    sold = np.flatnonzero(share > 0)
    top = sold[np.lexsort((sold, -share[sold]))][: max(1, len(sold) // 10)]
    return float(np.isin(lists.product, top).mean())
