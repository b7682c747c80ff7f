"""Peers of the recommendations, in a few lines of numpy each, by the papers' settings."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module

import numpy as np
import pandas as pd
from scipy import sparse

Scores = Iterator[tuple[int, np.ndarray]]  # first customer, scores of (customers, products)
BLOCK = 500
MAX_PRODUCTS = 5_000


@dataclass(frozen=True)
class Orders:
    """Order lines before a cut, as numbers.

    Attributes:
        customers: Ids; products likewise.
        customer: Number of each line's customer; product, order and age (days) likewise.
    """

    customers: np.ndarray
    products: np.ndarray
    customer: np.ndarray
    product: np.ndarray
    order: np.ndarray
    age: np.ndarray

    @classmethod
    def of(cls, lines: pd.DataFrame, cut: pd.Timestamp) -> Orders:
        """From lines before the cut, a product once an order."""
        lines = lines[lines["ordered_date"] < cut].drop_duplicates(["order_number", "product_id"])
        lines = lines.sort_values(["ordered_date", "order_number"], kind="stable")
        customer, customers = pd.factorize(lines["customer_id"], sort=True)
        product, products = pd.factorize(lines["product_id"], sort=True)
        age = (cut - lines["ordered_date"]).dt.days.to_numpy()
        columns = (customer, product, lines["order_number"].to_numpy(), age)
        return cls(np.asarray(customers), np.asarray(products), *columns)

    def matrix(self, weights: np.ndarray) -> sparse.csr_matrix:
        """Sums of weights of lines, customers by products."""
        shape = (len(self.customers), len(self.products))
        return sparse.csr_matrix((weights, (self.customer, self.product)), shape, dtype=np.float32)

    def popularity(self, days: int) -> np.ndarray:
        """Share of the customers of the last days who bought each product."""
        recent = self.age <= days
        pairs = np.unique(np.stack([self.customer[recent], self.product[recent]]), axis=1)
        active = max(len(np.unique(self.customer[recent])), 1)
        return np.bincount(pairs[1], minlength=len(self.products)) / active

    def decayed_share(self) -> sparse.csr_matrix:
        """Orders weighted .5 ** (days / 120), over the sum of the customer's weights plus 1."""
        weight = 0.5 ** (self.age / 120)
        once = np.unique(self.order, return_index=True)[1]
        total = np.bincount(self.customer[once], weight[once], minlength=len(self.customers))
        return (sparse.diags(1 / (total + 1)) @ self.matrix(weight)).tocsr()


def _blocks(count: int) -> Iterator[slice]:
    return (slice(start, start + BLOCK) for start in range(0, count, BLOCK))


def popular(orders: Orders) -> Scores:
    """Customers of 28 days; ties by 90."""
    score = orders.popularity(28) + orders.popularity(90) / 1000
    for some in _blocks(len(orders.customers)):
        count = len(orders.customers[some])
        yield some.start, np.broadcast_to(score, (count, len(score)))


def decayed_and_popular(orders: Orders) -> Scores:
    """The decayed share, plus .3 of the popularity of 28 days."""
    share, score = orders.decayed_share(), 0.3 * orders.popularity(28)
    for some in _blocks(len(orders.customers)):
        yield some.start, share[some].toarray() + score


def _often(orders: Orders, most: int = MAX_PRODUCTS) -> np.ndarray:
    counts = np.bincount(orders.product, minlength=len(orders.products))
    return np.sort(np.argsort(-counts, kind="stable")[:most])


def item_knn(orders: Orders) -> Scores:
    """Cosine of log counts, shrinkage 10, 100 neighbours."""
    often = _often(orders)
    counts = orders.matrix(np.ones(len(orders.product)))[:, often]
    counts.data = np.log1p(counts.data)
    norm = np.sqrt(np.asarray(counts.multiply(counts).sum(axis=0)).ravel())
    cosine = (counts.T @ counts).toarray() / (np.outer(norm, norm) + 10)
    np.fill_diagonal(cosine, 0)
    if len(often) > 100:
        least = np.partition(cosine, -100, axis=0)[-100]
        cosine[cosine < least] = 0
    return _times(orders, counts, cosine, often)


def ease(orders: Orders) -> Scores:
    """EASE, lambda 200, bought or not, all weights."""
    often = _often(orders)
    bought = _bought(orders)[:, often]
    inverse = np.linalg.inv((bought.T @ bought).toarray().astype(float) + 200 * np.eye(len(often)))
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0)
    return _times(orders, bought, weights.astype(np.float32), often)


def decayed_and_ease(orders: Orders) -> Scores:
    """The decayed share, plus .3 of EASE."""
    share = orders.decayed_share()
    for first, scores in ease(orders):
        yield first, share[first : first + len(scores)].toarray() + 0.3 * scores


def als(orders: Orders, factors: int = 64, rounds: int = 15, penalty: float = 0.05) -> Scores:
    """Weighted matrix factorisation (Hu, Koren and Volinsky 2008), confidence 10 x log counts."""
    confidence = orders.matrix(np.ones(len(orders.product)))
    confidence.data = 10 * np.log1p(confidence.data)
    random = np.random.default_rng(7)
    left = random.normal(0, 0.01, (confidence.shape[0], factors))
    right = random.normal(0, 0.01, (confidence.shape[1], factors))
    by_product = confidence.T.tocsr()
    for _ in range(rounds):
        _solve(left, right, confidence, penalty)
        _solve(right, left, by_product, penalty)
    for some in _blocks(len(left)):
        yield some.start, left[some] @ right.T


def _solve(ours: np.ndarray, theirs: np.ndarray, values: sparse.csr_matrix, penalty: float) -> None:
    common = theirs.T @ theirs + penalty * np.eye(theirs.shape[1])
    for row in range(len(ours)):
        part = slice(values.indptr[row], values.indptr[row + 1])
        other, weight = theirs[values.indices[part]], values.data[part]
        matrix = common + (other.T * weight) @ other
        ours[row] = np.linalg.solve(matrix, other.T @ (1 + weight))


def tifu_knn(orders: Orders) -> Scores:
    """Hu et al. (2020): groups of 7 orders, decays .9 and .7, 300 neighbours, alpha .7."""
    place = _place_from_end(orders)
    group, inside = place // 7, place % 7
    sizes = pd.Series(place).groupby(orders.customer).transform("max").to_numpy() // 7 + 1
    last = pd.Series(place).groupby([orders.customer, group]).transform("max").to_numpy() % 7 + 1
    weight = 0.9**inside / last * 0.7**group / sizes
    return _with_neighbours(orders, orders.matrix(weight), 300, 0.7)


def up_cf(orders: Orders) -> Scores:
    """Faggioli et al. (2020): recency window of 5 orders, asymmetry .25, locality 10."""
    place = _place_from_end(orders)
    count = pd.Series(place).groupby(orders.customer).transform("max").to_numpy() + 1
    weight = (place < 5) / np.minimum(count, 5)
    mine, bought = orders.matrix(weight), _bought(orders)
    size = np.maximum(np.asarray(bought.sum(axis=1)).ravel(), 1)
    for some in _blocks(len(orders.customers)):
        common = (bought[some] @ bought.T).toarray()
        alike = common / (size[some, None] ** 0.25 * size[None, :] ** 0.75)
        yield some.start, np.asarray((alike**10) @ mine)


def _place_from_end(orders: Orders) -> np.ndarray:
    """Number of each line's order among its customer's, the newest 0."""
    frame = pd.DataFrame({"customer": orders.customer, "order": orders.order, "age": orders.age})
    once = frame.drop_duplicates("order").sort_values(["age", "order"], ascending=[True, False])
    return (
        frame["order"].map(once.groupby("customer").cumcount().set_axis(once["order"])).to_numpy()
    )


def _with_neighbours(
    orders: Orders, vectors: sparse.csr_matrix, count: int, alpha: float
) -> Scores:
    squares = np.asarray(vectors.multiply(vectors).sum(axis=1)).ravel()
    for some in _blocks(len(orders.customers)):
        distance = (
            squares[some, None] + squares[None, :] - 2 * (vectors[some] @ vectors.T).toarray()
        )
        rows = np.arange(len(distance))
        distance[rows, some.start + rows] = np.inf
        near = np.argpartition(distance, min(count, distance.shape[1] - 1), axis=1)[:, :count]
        place = (np.repeat(rows, near.shape[1]), near.ravel())
        shape = (len(distance), vectors.shape[0])
        mean = sparse.csr_matrix((np.full(near.size, 1 / near.shape[1]), place), shape) @ vectors
        yield some.start, alpha * vectors[some].toarray() + (1 - alpha) * mean.toarray()


def _bought(orders: Orders) -> sparse.csr_matrix:
    found = orders.matrix(np.ones(len(orders.product)))
    found.data[:] = 1
    return found


def _times(
    orders: Orders, values: sparse.csr_matrix, weights: np.ndarray, often: np.ndarray
) -> Scores:
    for some in _blocks(len(orders.customers)):
        scores = np.full((values[some].shape[0], len(orders.products)), -1e9, dtype=np.float32)
        scores[:, often] = values[some] @ weights
        yield some.start, scores


PEERS: dict[str, Callable[[Orders], Scores]] = {
    "popular_28d": popular,
    "decayed_and_popular": decayed_and_popular,
    "item_knn": item_knn,
    "ease": ease,
    "decayed_and_ease": decayed_and_ease,
    "als": als,
    "tifu_knn": tifu_knn,
    "up_cf": up_cf,
}


def bpr(orders: Orders) -> Scores:
    """Implicit's BPR, 64 factors, 60 iterations, if the library is there.

    Raises:
        ImportError: If implicit is not installed.
    """
    library = import_module("implicit.bpr")
    model = library.BayesianPersonalizedRanking(
        64, 0.05, 0.01, iterations=60, num_threads=1, random_state=7
    )
    model.fit(_bought(orders), show_progress=False)
    for some in _blocks(len(orders.customers)):
        yield some.start, model.user_factors[some] @ model.item_factors.T
