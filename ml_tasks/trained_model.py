"""A trained model as data: everything that scoring needs and nothing that has to be unpickled."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from datetime import date
from typing import Any

# Name of a model of which nothing could be learnt; its parameter `reason` says why. No row that it
# makes has a number.
NO_MODEL = "no_model"


@dataclass(frozen=True)
class TrainedModel:
    """What training hands to scoring and to the registry.

    Attributes:
        name: Which model won, e.g. `xgboost_calibrated`; the baseline's name if it was not beaten.
        training_date: The model saw only what was known by the start of this day.
        parameters: What scoring needs as JSON: settings, coefficients, thresholds.
        artefacts: What scoring needs as files: file name -> bytes (JSON, UBJ or safetensors).
        metrics: Headline figures out of time, one number each.
        report: The whole evaluation as JSON, see `Evaluation.as_report`, and what else its question
            says.
        plots: File name -> PNG bytes.
        data: What training read: tables, count_rows, and first and last date and count of
            customers or products as far as they have any.
        version: Of rules, as their author numbers them; empty: of a model that was trained.
    """

    name: str
    training_date: date
    parameters: dict[str, Any]
    artefacts: dict[str, bytes] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    report: dict[str, Any] = field(default_factory=dict)
    plots: dict[str, bytes] = field(default_factory=dict)
    data: list[dict[str, Any]] = field(default_factory=list)
    version: str = ""

    @property
    def model_version(self) -> str:
        """Training date, or the rules' version, and eight hex digits of what was learnt.

        Equal models have equal versions.
        """
        digest = hashlib.sha256(canonical_json([self.name, self.parameters]).encode())
        for file_name in sorted(self.artefacts):
            content = hashlib.sha256(self.artefacts[file_name]).hexdigest()
            digest.update(f"\n{file_name} {content}".encode())
        return f"{self.version or self.training_date}-{digest.hexdigest()[:8]}"


def canonical_json(value: object) -> str:
    """JSON with one spelling for equal values.

    Raises:
        ValueError: If a number is NaN or infinite, which JSON can't hold.
        TypeError: If something is not JSON, a numpy number for one.
    """
    return json.dumps(value, sort_keys=True, allow_nan=False, separators=(",", ":"))


def training_date_of(as_of_date: date) -> date:
    """The training date whose model scores `as_of_date`: the first of its month."""
    return as_of_date.replace(day=1)
