"""What is kept of a model for people to read: its figures, its report, its card."""

from __future__ import annotations

import json
import math
from datetime import date
from typing import Any

from ml_tasks.shared.model import TrainedModel


def model_card(question: str, model: TrainedModel) -> str:
    """What a reader of the scores should know about the model, as Markdown."""
    metrics = "\n".join(
        f"| {name} | {value:.4g} |" for name, value in judged_metrics(model).items()
    )
    plots = "\n\n".join(f"![{name}](plots/{name})" for name in sorted(model.plots))
    report = report_json(model)
    return f"""# {question}: {model.name}

Version `{model.model_version}`, trained for {model.training_date}: on snapshots of earlier dates
whose outcome was known by then. It scores the dates from {model.training_date} to the next
training date. Its figures are out of time: trained on earlier dates than it was tested on.

| figure | value |
|---|---|
{metrics}

{plots}

## Report

```json
{report}
```
"""


def report_json(model: TrainedModel) -> str:
    """The whole evaluation as JSON; what could not be judged is null."""
    return json.dumps(_finite(model.report), indent=2, default=_plain)


def judged_metrics(model: TrainedModel) -> dict[str, float]:
    """The metrics that are numbers: what could not be judged has none."""
    return {name: float(v) for name, v in model.metrics.items() if math.isfinite(v)}


def _finite(value: Any) -> Any:
    """A report without NaN and infinity, which JSON can't hold: null in their place."""
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not abs(value) < float("inf"):
        return None
    return value


def _plain(value: Any) -> Any:
    """A numpy number or a date as JSON knows it."""
    if isinstance(value, date):
        return value.isoformat()
    if hasattr(value, "item"):
        return _finite(value.item())
    raise TypeError(f"a report can't hold {type(value).__name__}")
