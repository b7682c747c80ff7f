"""Why a product is in a list: the customer's own orders, a product they ordered, or popularity."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from ml_tasks.recommendations.purchases import Pairs
from ml_tasks.recommendations.ranking import places
from ml_tasks.recommendations.related import Related

INTERVAL, BOUGHT, GOES_WITH, OTHERS, POPULAR = (
    "interval",
    "bought",
    "goes_with",
    "others",
    "popular",
)
MIN_ORDERS = 3  # of a product, for an interval to be told
LEAST_WEIGHT = 0.01  # of a product that explains a popular one; others take what there is


class Explaining:
    """Finds the product that explains another, for whoever bought some products.

    Args:
        links: Weight of a product for another.
        companions: Products that go with a product.
        is_popular: Whether a product may be called popular, shape (n_products,).
    """

    def __init__(
        self, links: sparse.csr_matrix, companions: Related, is_popular: np.ndarray
    ) -> None:
        self._least = np.where(is_popular, LEAST_WEIGHT, 0.0)
        self._size = np.int64(links.shape[0])
        found = links.tocoo()
        keys = found.row * self._size + found.col
        order = np.argsort(keys)
        self._linked, self._weights = keys[order], found.data[order]
        self._goes_with = np.sort(companions.row * self._size + companions.other)

    def best(
        self, row: np.ndarray, product: np.ndarray, pairs: Pairs
    ) -> tuple[np.ndarray, np.ndarray]:
        """The customer's own product with the largest weight for each product.

        Args:
            row: Number of the customer in the pairs, shape (n,).
            product: Number of the product to explain, shape (n,).
            pairs: What the customers bought.

        Returns:
            Number of the explaining product, -1 if none has a weight above 0 (LEAST_WEIGHT for a
            popular product); whether the other goes with it in one order.
        """
        sizes = np.diff(pairs.starts)[row]
        which = np.repeat(np.arange(len(row)), sizes)
        own = pairs.product[pairs.starts[row][which] + places(which)]
        weight = self._weight(own * self._size + product[which])
        order = np.lexsort((own, -weight, which))
        best = order[places(which[order]) == 0]
        best = best[weight[best] > self._least[product[which[best]]]]
        found = np.full(len(row), -1, dtype=np.int64)
        found[which[best]] = own[best]
        return found, (found >= 0) & _is_in(found * self._size + product, self._goes_with)

    def _weight(self, keys: np.ndarray) -> np.ndarray:
        if not len(self._linked):
            return np.zeros(len(keys))
        place = np.minimum(np.searchsorted(self._linked, keys), len(self._linked) - 1)
        return np.where(self._linked[place] == keys, self._weights[place], 0.0)


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
