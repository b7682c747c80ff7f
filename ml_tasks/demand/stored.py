"""The blend as files: what was fitted and the weights, as JSON and safetensors."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from ml_tasks.demand.arima import ArimaParameters
from ml_tasks.demand.blend import Weights
from ml_tasks.demand.model import Fitted
from ml_tasks.shared.model import canonical_json

WEIGHTS_FILE, PRODUCTS_FILE = "lstm.safetensors", "products.json"
BANDS = "band_shifts"


def bands(shifts: np.ndarray) -> dict[str, Any]:
    """Band shifts as a parameter."""
    return {BANDS: shifts.tolist()}


def files(fitted: Fitted, weights: Weights) -> dict[str, bytes]:
    """File name -> bytes; the rows of `weights` are the products of `fitted`."""
    products = {
        "product_ids": fitted.product_ids.tolist(),
        "coefficients": fitted.arima.coefficients.tolist(),
        "sigma": fitted.arima.sigma.tolist(),
        "is_own": fitted.arima.is_own.tolist(),
        "count_diverged": fitted.arima.count_diverged,
        "weights": weights.of_product.tolist(),
        "weights_of_class": weights.of_class.tolist(),
    }
    return {WEIGHTS_FILE: fitted.lstm_weights, PRODUCTS_FILE: canonical_json(products).encode()}


def fitted(artefacts: Mapping[str, bytes]) -> Fitted:
    """What was fitted, read back."""
    products = json.loads(artefacts[PRODUCTS_FILE])
    parameters = ArimaParameters(
        coefficients=np.array(products["coefficients"]),
        sigma=np.array(products["sigma"]),
        is_own=np.array(products["is_own"]),
        count_diverged=products["count_diverged"],
    )
    return Fitted(np.array(products["product_ids"]), parameters, artefacts[WEIGHTS_FILE])


def weights_of(
    artefacts: Mapping[str, bytes], product_ids: np.ndarray, size: np.ndarray
) -> np.ndarray:
    """Weights of the candidates, a row a product; products new since take their class'."""
    products = json.loads(artefacts[PRODUCTS_FILE])
    result = np.array(products["weights_of_class"])[size]
    own = dict(zip(products["product_ids"], products["weights"], strict=True))
    for row, product_id in enumerate(product_ids):
        if product_id in own:
            result[row] = own[product_id]
    return result
