"""The blend as files: fitted parameters and weights, as JSON, safetensors and UBJ."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from ml_tasks.demand import own_season
from ml_tasks.demand.arima import ArimaParameters
from ml_tasks.demand.blend import Weights
from ml_tasks.demand.model import (
    ARIMA,
    CANDIDATES,
    INTERMITTENT,
    LSTM,
    PRICED_SMOOTHING,
    SEASONAL_NAIVE,
    SMOOTHING,
    Fitted,
)
from ml_tasks.trained_model import canonical_json

WEIGHTS_FILE, TREES_FILE, PRODUCTS_FILE = "lstm.safetensors", "trees.ubj", "products.json"
BANDS, PACK, LEVEL = "band_shifts", "pieces_per_pack", "level_factor"
# Candidates of models that do not name their candidates.
OLDER_CANDIDATES = (SMOOTHING, PRICED_SMOOTHING, INTERMITTENT, ARIMA, LSTM, SEASONAL_NAIVE)


def bands(shifts: np.ndarray) -> dict[str, Any]:
    """Band shifts as a parameter."""
    return {BANDS: shifts.tolist()}


def files(fitted: Fitted, weights: Weights) -> dict[str, bytes]:
    """The model's files: file name -> content.

    Args:
        fitted: The fitted parameters.
        weights: Weights with a row per product of `fitted`.
    """
    products = {
        "product_ids": fitted.product_ids.tolist(),
        "coefficients": fitted.arima.coefficients.tolist(),
        "sigma": fitted.arima.sigma.tolist(),
        "is_own": fitted.arima.is_own.tolist(),
        "count_diverged": fitted.arima.count_diverged,
        "season_shares": fitted.season_shares.tolist(),
        "candidates": list(CANDIDATES),
        "weights": weights.of_product.tolist(),
        "weights_of_class": weights.of_class.tolist(),
    }
    kept = {PRODUCTS_FILE: canonical_json(products).encode()}
    learnt = {WEIGHTS_FILE: fitted.lstm_weights, TREES_FILE: fitted.trees}
    return kept | {name: content for name, content in learnt.items() if content}


def fitted(artefacts: Mapping[str, bytes]) -> Fitted:
    """The fitted parameters, rebuilt from the files."""
    products = json.loads(artefacts[PRODUCTS_FILE])
    parameters = ArimaParameters(
        coefficients=np.array(products["coefficients"]),
        sigma=np.array(products["sigma"]),
        is_own=np.array(products["is_own"], dtype=bool),
        count_diverged=products["count_diverged"],
    )
    return Fitted(
        product_ids=np.array(products["product_ids"]),
        arima=parameters,
        lstm_weights=artefacts.get(WEIGHTS_FILE, b""),
        season_shares=np.array(products.get("season_shares", own_season.EQUAL_SHARES)),
        trees=artefacts.get(TREES_FILE, b""),
    )


def is_known(artefacts: Mapping[str, bytes]) -> bool:
    """True if this code has all candidates of the stored weights."""
    return set(_candidates(json.loads(artefacts[PRODUCTS_FILE]))) <= set(CANDIDATES)


def has_fade(artefacts: Mapping[str, bytes]) -> bool:
    """True if the model's weights fade where the season moves; in older models they do not."""
    return "candidates" in json.loads(artefacts[PRODUCTS_FILE])


def weights_of(
    artefacts: Mapping[str, bytes], product_ids: np.ndarray, size: np.ndarray
) -> np.ndarray:
    """Weights of CANDIDATES, shape (n_products, n_candidates); by class for newer products.

    Args:
        artefacts: File name -> content, as of `files`.
        product_ids: Products to return, shape (n_products,).
        size: Class of each product's forecast size, shape (n_products,).
    """
    products = json.loads(artefacts[PRODUCTS_FILE])
    result = np.array(products["weights_of_class"])[size]
    own = dict(zip(products["product_ids"], products["weights"], strict=True))
    for row, product_id in enumerate(product_ids):
        if product_id in own:
            result[row] = own[product_id]
    placed = np.zeros((len(result), len(CANDIDATES)))
    placed[:, [CANDIDATES.index(name) for name in _candidates(products)]] = result
    return placed


def _candidates(products: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(products.get("candidates", OLDER_CANDIDATES))
