"""Why a product is in a list: the customer's own orders, a product they ordered, or popularity."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from ml_tasks.recommendations.related import Related

INTERVAL, BOUGHT, GOES_WITH, OTHERS, POPULAR = "interval", "bought", "goes_with", "others", "popular"
MIN_ORDERS = 3  # of a product, for an interval to be told
EXPLAINING = 30  # products that are looked at for each product that is explained


class Explaining:
    """Finds the product that explains another, for whoever bought some products.

    Args:
        links: Weight of a product for another.
        companions: Products that go with a product.
    """

    def __init__(self, links: sparse.csr_matrix, companions: Related) -> None:
        found = links.tocoo()
        keep = found.data > 0
        self._linked = Related.of(found.col[keep], found.row[keep], found.data[keep], links.shape[0])
        size = np.int64(links.shape[0])
        self._size = size
        self._goes_with = np.sort(companions.row * size + companions.other)

    def best(
        self, row: np.ndarray, product: np.ndarray, own: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """The customer's own product with the largest weight for each product.

        Args:
            row: Number of the customer, shape (n,).
            product: Number of the product to explain, shape (n,).
            own: Customer times the number of products, plus the product, of all that customers
                bought; ascending.

        Returns:
            Number of the explaining product, -1 if there is none; whether the other goes with it in
            one order.
        """
        starts = self._linked.starts
        sizes = starts[product + 1] - starts[product]
        which = np.repeat(np.arange(len(product)), sizes)
        step = np.arange(len(which)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        other = self._linked.other[starts[product][which] + step]
        is_own = _is_in(row[which] * self._size + other, own)
        found = np.full(len(product), -1)
        # the weights of a product descend, so the first one that is the customer's own is the best
        first, at = np.unique(which[is_own], return_index=True)
        found[first] = other[is_own][at]
        return found, (found >= 0) & _is_in(found * self._size + product, self._goes_with)


def _is_in(keys: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Whether each key is among the known ones, which are ascending."""
    if not len(known):
        return np.zeros(len(keys), dtype=bool)
    place = np.minimum(np.searchsorted(known, keys), len(known) - 1)
    return np.asarray(known[place] == keys)


def of_own(count: np.ndarray, between: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Kinds and words for products that were bought before.

    Args:
        count: Orders with the product, shape (n,).
        between: Mean days between them, shape (n,); NaN for one order.
    """
    is_regular = (count >= MIN_ORDERS) & (between >= 1)
    days = np.where(is_regular, np.round(np.nan_to_num(between)), 0).astype(int)
    words = {day: f"you buy it every {day} days" for day in np.unique(days).tolist()}
    words |= {0: "you bought it before", 1: "you buy it every day"}
    kinds = np.where(is_regular, INTERVAL, BOUGHT).astype(object)
    return kinds, np.array([words[day] for day in days.tolist()], dtype=object)


def of_new(
    explained_by: np.ndarray, goes_with: np.ndarray, names: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Kinds and words for products that are new.

    Args:
        explained_by: From `Explaining.best`, shape (n,).
        goes_with: From `Explaining.best`, shape (n,).
        names: Name of each product.
    """
    kinds = np.where(explained_by < 0, POPULAR, np.where(goes_with, GOES_WITH, OTHERS))
    texts = {
        POPULAR: lambda name: "popular now",
        GOES_WITH: lambda name: f"often ordered with {name}, which you bought",
        OTHERS: lambda name: f"others who bought {name} bought it",
    }
    made: dict[tuple[str, int], str] = {}
    words = []
    for key in zip(kinds.tolist(), explained_by.tolist(), strict=True):
        if key not in made:
            made[key] = texts[key[0]](names[key[1]])
        words.append(made[key])
    return kinds.astype(object), np.array(words, dtype=object)
