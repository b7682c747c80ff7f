"""EASE: a linear model of products on each other, in closed form, kept sparse.

Source:
    Steck (2019), Embarrassingly Shallow Autoencoders for Sparse Data, WWW 2019,
    doi 10.1145/3308558.3313710.
"""

from __future__ import annotations

import numpy as np
from scipy import linalg, sparse

from ml_tasks.recommendations.ranking import is_largest

MAX_PRODUCTS = 5_000  # with most buyers; the inverse takes their number squared, in float32
KEPT = 300  # weights of a product that are kept, the largest
BLOCK = 2000  # columns that are multiplied at once


def gram(bought: sparse.csr_matrix) -> np.ndarray:
    """Customers in common of each two products, shape (n_products, n_products), float32.

    Args:
        bought: 1 where a customer bought a product, shape (n_customers, n_products).
    """
    columns = bought.tocsc()
    count = columns.shape[1]
    common = np.empty((count, count), dtype=np.float32)
    for start in range(0, count, BLOCK):
        block = columns[:, start : start + BLOCK]
        common[:, start : start + BLOCK] = (columns.T @ block).toarray()
    return common


def weights(common: np.ndarray, penalty: float) -> np.ndarray:
    """The weights B that minimise |X - XB|² + penalty |B|² with a diagonal of zeros.

    With P the inverse of the Gram matrix plus penalty on its diagonal, B_ij = -P_ij / P_jj. It is
    computed in place: the argument is overwritten.

    Args:
        common: From `gram`.
        penalty: Above 0.

    Returns:
        Shape (n_products, n_products): column j holds the weights that predict product j.
    """
    common[np.diag_indices_from(common)] += penalty
    factor, failed = linalg.lapack.spotrf(common.T, lower=0, clean=0, overwrite_a=1)
    inverse, failed_too = linalg.lapack.spotri(factor, lower=0, overwrite_c=1)
    if failed or failed_too:
        raise linalg.LinAlgError("the Gram matrix is not positive definite")
    for row in range(1, len(inverse)):
        inverse[row, :row] = inverse[:row, row]
    inverse /= -np.diag(inverse).copy()[None, :]
    inverse[np.diag_indices_from(inverse)] = 0.0
    return inverse


def sparsified(dense: np.ndarray, kept: int = KEPT) -> sparse.csr_matrix:
    """The `kept` largest weights of each column by size; the rest is 0."""
    count = len(dense)
    if count <= kept:
        return sparse.csr_matrix(dense)
    parts = []
    for start in range(0, count, BLOCK):
        block = dense[:, start : start + BLOCK]
        parts.append(sparse.csc_matrix(np.where(is_largest(np.abs(block), kept, 0), block, 0)))
    return sparse.hstack(parts, format="csr", dtype=np.float32)
