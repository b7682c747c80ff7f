"""Similarity of products by their names: cosine of the words, weighted by rarity."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import sparse
from sklearn.feature_extraction.text import TfidfVectorizer

NEAREST = 20
LEAST_SIMILARITY = 0.3
BLOCK = 2000  # products that are compared at once


def vectors(names: pd.Series) -> sparse.csr_matrix:
    """Words and pairs of words of each name, rows of length 1, or 0 without a name."""
    texts = names.fillna("").astype(str)
    if not texts.str.contains(r"\w\w").any():
        return sparse.csr_matrix((len(names), 1), dtype=np.float32)
    model = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, dtype=np.float32)
    return model.fit_transform(texts).tocsr()


def similar(names: pd.Series, rows: np.ndarray | None = None) -> sparse.csr_matrix:
    """Cosine of names, the NEAREST of each product from LEAST_SIMILARITY up.

    Args:
        names: Name of each product; None where it has none.
        rows: Numbers of the products that are compared with all; None: all.

    Returns:
        Shape (n_products, n_products); the rows that are not asked for are empty.
    """
    words = vectors(names)
    asked = np.arange(len(names)) if rows is None else rows
    found = []
    for start in range(0, len(asked), BLOCK):
        some = asked[start : start + BLOCK]
        cosine = (words[some] @ words.T).tocoo()
        keep = (cosine.data >= LEAST_SIMILARITY) & (some[cosine.row] != cosine.col)
        row, col, value = some[cosine.row[keep]], cosine.col[keep], cosine.data[keep]
        order = np.lexsort((col, -value, row))
        row, col, value = row[order], col[order], value[order]
        rank = np.arange(len(row)) - np.searchsorted(row, row)
        near = rank < NEAREST
        found.append((value[near], row[near], col[near]))
    value, row, col = (np.concatenate(one) for one in zip(*found, strict=True)) if found else ([],) * 3
    return sparse.csr_matrix((value, (row, col)), shape=(len(names),) * 2, dtype=np.float32)
