"""Predicted columns of scores.clv, by the models of this version and of earlier ones."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ml_tasks.clv import baselines, before, outcomes, tiers
from ml_tasks.clv.amounts import OrderAmounts
from ml_tasks.clv.model import ValueModel
from ml_tasks.clv.outcomes import HORIZON_DAYS, YEAR_HORIZON_DAYS
from ml_tasks.features.store import FeatureStore
from ml_tasks.trained_model import TrainedModel

HORIZONS = (HORIZON_DAYS, YEAR_HORIZON_DAYS)
YEAR_COLUMN = "predicted_spend_amount_365d"
# Column of scores.clv -> the model's name of it, without the horizon.
QUANTITIES = {
    "predicted_spend_amount_{days}d": "spend",
    "predicted_spend_amount_{days}d_lower": "lower",
    "predicted_spend_amount_{days}d_p50": "median",
    "predicted_spend_amount_{days}d_upper": "upper",
    "spend_probability_{days}d": "chance",
}
IF_BUYING = {
    f"predicted_spend_if_buying_90d_{suffix}": f"if_buying_{name}_90"
    for suffix, name in (("lower", "lower"), ("p50", "median"), ("upper", "upper"))
}
PREDICTED = (
    *(column.format(days=days) for days in HORIZONS for column in QUANTITIES),
    "predicted_orders_90d",
    *IF_BUYING,
)
# Published note where the interval is [0, 0].
MOST_SPEND_NOTHING = "most will spend nothing in {days} days"


def restored(model: TrainedModel) -> ValueModel | before.ValueModel:
    """The fitted model, rebuilt from its parameters and artefacts."""
    stored = model.parameters["model"]
    if model.name == ValueModel.name:
        return ValueModel.restored(stored, model.artefacts)
    trees = {name: model.artefacts[f"{name}.ubj"] for name in before.PARTS}
    return before.ValueModel.restored(stored, trees)


def predicted(snapshot: pd.DataFrame, model: TrainedModel) -> pd.DataFrame:
    """Predict the columns PREDICTED, a row per row of `snapshot`; NaN where the model has none."""
    snapshot = OrderAmounts(**model.parameters["amounts"]).believable(snapshot)
    predictions = pd.DataFrame(np.nan, index=range(len(snapshot)), columns=list(PREDICTED))
    if model.name in (ValueModel.name, before.NAME):
        has_year = outcomes.was_watched_for(snapshot, outcomes.MIN_DAYS_FOR_YEAR)
        ours = restored(model).predict(snapshot).reset_index(drop=True)
        predictions["predicted_orders_90d"] = ours["orders"]
        for days in HORIZONS if has_year else HORIZONS[:1]:
            for column, name in QUANTITIES.items():
                predictions[column.format(days=days)] = ours[f"{name}_{days}"]
        for column, name in IF_BUYING.items():
            predictions[column] = ours.get(name, np.nan)
        return predictions
    baseline = baselines.restored(model.name, model.parameters.get("model", {}))
    simple = baseline.predict(snapshot).reset_index(drop=True)
    predictions["predicted_spend_amount_90d"] = simple["spend_90"]
    predictions["predicted_orders_90d"] = simple["orders"]
    if "chance_90" in simple:
        predictions["spend_probability_90d"] = simple["chance_90"]
    if outcomes.was_watched_for(snapshot, YEAR_HORIZON_DAYS):
        predictions["predicted_spend_amount_365d"] = simple["spend_365"]
        if "chance_365" in simple:
            predictions["spend_probability_365d"] = simple["chance_365"]
    return predictions


def notes(predictions: pd.DataFrame) -> np.ndarray:
    """Note where both bounds are 0, for the longest such horizon; None elsewhere, shape (n,).

    Args:
        predictions: Columns PREDICTED.
    """
    texts = np.full(len(predictions), None, dtype=object)
    for days in HORIZONS:
        upper = predictions[f"predicted_spend_amount_{days}d_upper"].to_numpy(dtype=float)
        texts[upper.round(2) == 0] = MOST_SPEND_NOTHING.format(days=days)
    return texts


def tier(
    snapshot: pd.DataFrame, predictions: pd.DataFrame, model: TrainedModel, store: FeatureStore
) -> np.ndarray:
    """Value tier of each customer, by the bounds fixed in training.

    A customer of the training date keeps the tier of that date unless the amount is clearly past
    a bound (`tiers.steady_tier`).

    Args:
        snapshot: The scored customers, n rows.
        predictions: Columns PREDICTED for the same rows.
        model: The model that scores.
        store: Reads the snapshot of the training date.

    Returns:
        Names of tiers.TIERS, shape (n,).
    """
    by, bounds = (model.parameters["tiers"][name] for name in ("by", "bounds"))
    then = store.snapshot(model.training_date)
    before = predicted(then, model)[by].set_axis(then["customer_id"].to_numpy(dtype=object))
    amount_before = before.reindex(snapshot["customer_id"]).to_numpy(dtype=float)
    return tiers.steady_tier(predictions[by].to_numpy(), amount_before, bounds)
