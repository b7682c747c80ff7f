"""Rows about the whole shop: survival curves and hazard ratios, or the reason for none."""

from __future__ import annotations

import json

import pandas as pd

from ml_tasks.question import Frames
from ml_tasks.score_rows import not_scored, scored
from ml_tasks.survival.effects import EFFECT_COLUMNS, with_reasons
from ml_tasks.trained_model import NO_MODEL, TrainedModel
from perennial import contracts

CURVES, EFFECTS = "survival_curves", "survival_effects"
CURVES_FILE, EFFECTS_FILE = "curves.json", "effects.json"
NO_EFFECTS = "the model is older than its effects"


def files(curves: pd.DataFrame, effects: pd.DataFrame) -> dict[str, bytes]:
    """The artefacts that `frames` reads: file name -> content.

    Args:
        curves: Columns CURVE_COLUMNS.
        effects: As of `fit_effects`.
    """
    return {
        name: table.to_json(orient="columns", double_precision=15).encode()
        for name, table in ((CURVES_FILE, curves), (EFFECTS_FILE, effects))
    }


def frames(model: TrainedModel) -> Frames:
    """Rows of scores.survival_curves and scores.survival_effects, from the model's artefacts."""
    if model.name == NO_MODEL:
        reason = model.parameters["reason"]
        return {CURVES: _no_curves(reason), EFFECTS: _no_effects(reason)}
    curves = pd.DataFrame(json.loads(model.artefacts[CURVES_FILE]))
    effects = pd.DataFrame(json.loads(model.artefacts.get(EFFECTS_FILE, b"{}")))
    return {
        CURVES: scored(curves.reset_index(drop=True)),
        EFFECTS: (
            _no_effects(NO_EFFECTS)
            if effects.empty
            else rows_of_effects(effects.reset_index(drop=True))
        ),
    }


def rows_of_effects(effects: pd.DataFrame) -> pd.DataFrame:
    """Rows of scores.survival_effects: scored where there is a ratio, else with a reason.

    Args:
        effects: As of `fit_effects`, by this version or an earlier one.
    """
    rows = with_reasons(effects).rename(columns={"reason": "score_reason"})
    status = rows["score_reason"].isna().map({True: "scored", False: "not_scored"})
    numbers = {name: rows[name].astype(float) for name in EFFECT_COLUMNS[3:]}
    return rows.assign(score_status=status, **numbers)


def _no_curves(reason: str) -> pd.DataFrame:
    known = pd.DataFrame({"group_name": ["all"], "day": [0]})
    return not_scored(contracts.load("survival").table(CURVES), known, reason)


def _no_effects(reason: str) -> pd.DataFrame:
    known = pd.DataFrame({"covariate": ["all"], "description": ["No effect."]})
    return not_scored(contracts.load("survival").table(EFFECTS), known, reason)
