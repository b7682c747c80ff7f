"""The model as files: links, companions and substitutes as safetensors, product ids as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping

import numpy as np
import pandas as pd
from safetensors.numpy import load, save
from scipy import sparse

from ml_tasks.recommendations.related import Related
from ml_tasks.trained_model import canonical_json

LINKS_FILE, RELATED_FILE, PRODUCTS_FILE = "links.safetensors", "related.safetensors", "products.json"
COMPANIONS, SUBSTITUTES = "companions", "substitutes"


def files(
    products: np.ndarray, links: sparse.csr_matrix, companions: Related, substitutes: Related
) -> dict[str, bytes]:
    """File name -> content.

    Args:
        products: Ids of the products that numbers in the other arguments stand for.
        links: Weight of a product for another.
        companions: See `related`.
        substitutes: See `related`.
    """
    of_links = {"data": links.data, "indices": links.indices, "indptr": links.indptr}
    tables = {COMPANIONS: companions, SUBSTITUTES: substitutes}
    of_related = {
        f"{name}_{part}": np.ascontiguousarray(getattr(one, part))
        for name, one in tables.items()
        for part in ("starts", "other", "value")
    }
    return {
        LINKS_FILE: save(of_links),
        RELATED_FILE: save(of_related),
        PRODUCTS_FILE: canonical_json([str(one) for one in products]).encode(),
    }


def places(artefacts: Mapping[str, bytes], ids: pd.Index) -> np.ndarray:
    """Place of each of the model's products among today's, -1 if it is not there.

    Args:
        artefacts: From `files`.
        ids: Ids of today's products.
    """
    return ids.get_indexer(pd.Index(json.loads(artefacts[PRODUCTS_FILE]), dtype=object))


def links(artefacts: Mapping[str, bytes], place: np.ndarray, count: int) -> sparse.csr_matrix:
    """The links between today's products, shape (count, count).

    Args:
        artefacts: From `files`.
        place: From `places`.
        count: Number of today's products.
    """
    stored = load(artefacts[LINKS_FILE])
    shape = (len(place), len(place))
    found = sparse.csr_matrix((stored["data"], stored["indices"], stored["indptr"]), shape).tocoo()
    row, column = place[found.row], place[found.col]
    keep = (row >= 0) & (column >= 0)
    return sparse.csr_matrix((found.data[keep], (row[keep], column[keep])), shape=(count, count))


def related(artefacts: Mapping[str, bytes], name: str, place: np.ndarray, count: int) -> Related:
    """Companions or substitutes of today's products.

    Args:
        artefacts: From `files`.
        name: COMPANIONS or SUBSTITUTES.
        place: From `places`.
        count: Number of today's products.
    """
    stored = load(artefacts[RELATED_FILE])
    kept = Related(*(stored[f"{name}_{part}"] for part in ("starts", "other", "value")))
    row, other = place[kept.row], place[kept.other]
    keep = (row >= 0) & (other >= 0)
    return Related.of(row[keep], other[keep], kept.value[keep], count)
