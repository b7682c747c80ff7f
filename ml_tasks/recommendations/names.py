"""Similarity of products by their names: cosine of the words, weighted by rarity."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import sparse
from sklearn.feature_extraction.text import TfidfVectorizer

from ml_tasks.recommendations.ranking import places

NEAREST = 20
LEAST_SIMILARITY = 0.3
BLOCK = 500  # products that are compared at once


def vectors(names: pd.Series) -> sparse.csr_matrix:
    """Words and pairs of words of each name, rows of length 1, or 0 without a name."""
    texts = names.fillna("").astype(str)
    if not texts.str.contains(r"\w\w").any():
        return sparse.csr_matrix((len(names), 1), dtype=np.float32)
    model = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, dtype=np.float32)
    return model.fit_transform(texts).tocsr()


def similar(names: pd.Series) -> sparse.csr_matrix:
    """Cosine of names, the NEAREST of each product from LEAST_SIMILARITY up.

    Args:
        names: Name of each product; None where it has none.

    Returns:
        Shape (n_products, n_products).
    """
    words = vectors(names)
    found = []
    for start in range(0, len(names), BLOCK):
        cosine = (words[start : start + BLOCK] @ words.T).tocoo()
        row, col, value = cosine.row + start, cosine.col, cosine.data
        keep = np.flatnonzero((value >= LEAST_SIMILARITY) & (row != col))
        order = keep[np.lexsort((col[keep], -value[keep], row[keep]))]
        row, col, value = row[order], col[order], value[order]
        near = places(row) < NEAREST
        found.append((value[near], row[near], col[near]))
    value, row, col = (
        (np.concatenate(one) for one in zip(*found, strict=True)) if found else ([],) * 3
    )
    return sparse.csr_matrix((value, (row, col)), shape=(len(names),) * 2, dtype=np.float32)
