"""A trained model as plain data: all that scoring needs, without pickles."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from datetime import date
from typing import Any

# Name of the model of a shop with too few data to train one. Its parameter `reason` says why, and
# all its rows are not scored.
NO_MODEL = "no_model"


@dataclass(frozen=True)
class TrainedModel:
    """The result of training, for scoring and for the registry.

    Attributes:
        name: The winning model, e.g. `xgboost_calibrated`, or the baseline that was not beaten.
        training_date: The model was trained on what was known by the start of this day.
        parameters: Settings, coefficients and thresholds for scoring, as JSON.
        artefacts: File name -> bytes (JSON, UBJ or safetensors) for scoring.
        metrics: Headline figures out of time, one number each.
        report: The whole evaluation as JSON, see `Evaluation.as_report`, and further entries of the
            question.
        plots: File name -> PNG bytes.
        data: One entry per query of the training, see `reading.facts`.
        version: The version of rules; empty for a trained model.
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
        """Training date (or the rules' version) and eight hex digits of name, parameters and files.

        Equal models have equal versions.
        """
        digest = hashlib.sha256(canonical_json([self.name, self.parameters]).encode())
        for file_name in sorted(self.artefacts):
            content = hashlib.sha256(self.artefacts[file_name]).hexdigest()
            digest.update(f"\n{file_name} {content}".encode())
        return f"{self.version or self.training_date}-{digest.hexdigest()[:8]}"


def canonical_json(value: object) -> str:
    """JSON with the same spelling for equal values.

    Raises:
        ValueError: If a number is NaN or infinite, which JSON cannot hold.
        TypeError: If a value is not JSON, such as a numpy number.

    Example:
        >>> canonical_json({"b": [1, 2.5], "a": None})
        '{"a":null,"b":[1,2.5]}'
    """
    return json.dumps(value, sort_keys=True, allow_nan=False, separators=(",", ":"))


def training_date_of(as_of_date: date) -> date:
    """The training date of the model that scores a date: the first of the date's month.

    Example:
        >>> training_date_of(date(2024, 3, 17)).isoformat()
        '2024-03-01'
    """
    return as_of_date.replace(day=1)
