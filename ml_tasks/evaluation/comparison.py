"""What an out-of-time comparison hands back, for every question that makes one."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ml_tasks.evaluation import contest

Figures = dict[str, float]


@dataclass(frozen=True)
class Evaluation:
    """What the cuts said.

    Attributes:
        winner: Name of the model or baseline to publish.
        decision: Why, in a sentence.
        metrics: Means over the cuts; the baseline's begin with `baseline_`.
        report: The decision, and one row per cut and model, as JSON.
        plots: File name -> PNG of the newest cut.
    """

    winner: str
    decision: str
    metrics: Figures = field(default_factory=dict)
    report: dict[str, Any] = field(default_factory=dict)
    plots: dict[str, bytes] = field(default_factory=dict)


def untested(baseline: str) -> Evaluation:
    """No past date to test on: a model that can't be tested is not used."""
    decision = f"no past date to test a model on, so {baseline}"
    return Evaluation(baseline, decision, report={"decision": decision, "cuts": []})


def means(rows: Sequence[Mapping[str, Any]], model: str, figures: Sequence[str]) -> Figures:
    """Mean over the cuts of a model's figures; one that could never be told is left out.

    Args:
        rows: From the report: `model` and figures, None or left out where a cut could not tell.
        model: Whose.
        figures: Which.
    """
    kept = {
        name: [row[name] for row in rows if row["model"] == model and row.get(name) is not None]
        for name in figures
    }
    return {name: math.fsum(values) / len(values) for name, values in kept.items() if values}


# A model that tells less (no season, no bounds) has to be better by so much of its figure.
LEAST_GAIN = 0.01


def clearly_better(
    names: Iterable[str], than: str, rows: Sequence[Mapping[str, Any]], figure: str, better: str
) -> list[str]:
    """The models whose figure is better than another's beyond the spread over the cuts.

    And by LEAST_GAIN at least: they take the place of one that tells more.

    Args:
        names: Whose.
        than: The other.
        rows: From the report: `cut_date`, `model` and figures.
        figure: Which.
        better: contest.LOWER or contest.HIGHER.
    """
    other = contest.column_of(than, {"cuts": rows})
    return [
        name
        for name in names
        for compared in contest.compare(
            other, contest.column_of(name, {"cuts": rows}), {figure: better}
        )
        if compared.says == contest.BETTER and compared.gain >= LEAST_GAIN
    ]


def told(figures: Mapping[str, float]) -> dict[str, float | None]:
    """The figures as JSON: what could not be told (NaN, infinite) is None."""
    return {name: float(value) if math.isfinite(value) else None for name, value in figures.items()}
