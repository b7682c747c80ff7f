"""Links between products: the weight of a product for whoever bought another one.

The products with most customers have the weights of EASE. The others have those of their nearest
products by name, scaled to the same size, so that a product that few have bought can be shown, too.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from ml_tasks.recommendations import ease
from ml_tasks.recommendations.purchases import Pairs
from ml_tasks.recommendations.ranking import is_largest

NEIGHBOURS, SHRINKAGE = 100, 10.0
BY_NAME_SHARE = 0.5  # a link by name, as a share of the median of the products' largest weights


def most_bought(pairs: Pairs) -> np.ndarray:
    """Numbers of the products with most customers, ease.MAX_PRODUCTS at most, ascending."""
    count = np.bincount(pairs.product, minlength=pairs.count_products)
    order = np.argsort(-count, kind="stable")[: ease.MAX_PRODUCTS]
    return np.sort(order[count[order] > 0])


def by_ease(pairs: Pairs, penalty: float, often: np.ndarray) -> sparse.csr_matrix:
    """Weights of EASE between some products, shape (n_products, n_products).

    Args:
        pairs: What the customers bought.
        penalty: See `ease.weights`.
        often: Numbers of the products, see `most_bought`.
    """
    weights = ease.weights(ease.gram(pairs.bought[:, often]), penalty)
    found = ease.sparsified(weights).tocoo()
    return _placed(found, often, pairs.count_products)


def by_neighbours(pairs: Pairs) -> sparse.csr_matrix:
    """Cosine of the products' customers, log counts, shrunk, the NEIGHBOURS nearest of each.

    Source:
        Sarwar et al. (2001), Item-based collaborative filtering, WWW 2001, doi
        10.1145/371920.372071; the shrinkage is that of Bell and Koren (2007).
    """
    often = most_bought(pairs)
    columns = pairs.matrix(np.log1p(pairs.count))[:, often].tocsc()
    norm = np.sqrt(np.asarray(columns.multiply(columns).sum(axis=0)).ravel())
    parts = []
    for start in range(0, len(often), ease.BLOCK):
        block = (columns.T @ columns[:, start : start + ease.BLOCK]).toarray()
        width = block.shape[1]
        block /= norm[:, None] * norm[None, start : start + width] + SHRINKAGE
        block[np.arange(start, start + width), np.arange(width)] = 0.0
        parts.append(sparse.csc_matrix(np.where(is_largest(block, NEIGHBOURS, 0), block, 0.0)))
    found = sparse.hstack(parts, format="coo") if parts else sparse.coo_matrix((0, 0))
    return _placed(found, often, pairs.count_products)


def with_names(
    links: sparse.csr_matrix, often: np.ndarray, alike: sparse.csr_matrix
) -> sparse.csr_matrix:
    """Links by name added for the products that have no weights.

    Args:
        links: From `by_ease`.
        often: The products with weights.
        alike: Similarity of the products' names, see `names.similar`.
    """
    is_rare = np.ones(links.shape[0], dtype=bool)
    is_rare[often] = False
    if not is_rare.any() or not len(often) or not alike.nnz:
        return links
    near = alike.tocoo()
    rows, others, values = (of[is_rare[near.row]] for of in (near.row, near.col, near.data))
    largest = links.max(axis=0).toarray().ravel()[often]
    scale = BY_NAME_SHARE * float(np.median(largest))
    values = (values * scale).astype(np.float32)
    added = sparse.csr_matrix((values, (rows, others)), shape=links.shape)
    return (links + added.maximum(added.T.tocsr())).tocsr()  # two rare products name each other


def _placed(found: sparse.coo_matrix, numbers: np.ndarray, count: int) -> sparse.csr_matrix:
    place = (numbers[found.row], numbers[found.col])
    return sparse.csr_matrix((found.data.astype(np.float32), place), shape=(count, count))
