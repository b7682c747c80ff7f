"""How far to trust a model's scores at this shop, in words, from its own training report."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from statistics import fmean
from typing import Any

from ml_tasks.evaluation.bias import BiasFigures, bias_of
from ml_tasks.evaluation.contest import LOWER, baseline_of, column_of

TRUST, COMBINED = "trust", "combined"  # entries of a report


def in_words(
    report: Mapping[str, Any],
    model_name: str,
    judged_by: Mapping[str, str],
    baselines: Iterable[str],
    bias: BiasFigures | None,
) -> str:
    """What the scores rest on: past dates, the simplest method beside, level, what was combined.

    Args:
        report: Of the training: `cuts`, and COMBINED where several models were combined.
        model_name: As published.
        judged_by: Figure -> LOWER or HIGHER; the first is told.
        baselines: The simple methods, as the report calls them.
        bias: Where the report has its totals.
    """
    ours = column_of(model_name, report)
    if not ours.figures:
        return f"No past date could test {model_name}: the shop is too young{_combined(report)}."
    figure, better = next(iter(judged_by.items()))
    parts = [f"Tested on {len(ours.figures)} past date{'s' if len(ours.figures) > 1 else ''}"]
    beside = baseline_of(report, baselines, {figure: better})
    pairs = [
        (own[figure], beside.figures[cut][figure])
        for cut, own in ours.figures.items()
        if figure in own and figure in beside.figures.get(cut, {})
    ]
    if pairs and beside.name != model_name:
        own, other = (fmean(values) for values in zip(*pairs, strict=True))
        parts.append(
            f"{figure} {own:.3f} against {other:.3f} of {beside.name}, the best of the simple ones"
            f" ({better} is better)"
        )
        if other == own or (own < other) != (better == LOWER):
            parts.append("it is no better than that")
    if bias is not None and (level := bias_of(report, model_name, bias)).of_cuts:
        parts.append(f"level off by {level.mean:+.0%} on average")
    return "; ".join(parts) + _combined(report) + "."


def of_report(report: Mapping[str, Any]) -> str:
    """The words that a stored report holds; empty of one from before there were any."""
    return str(report.get(TRUST, ""))


def _combined(report: Mapping[str, Any]) -> str:
    return f"; combined of {report[COMBINED]}" if report.get(COMBINED) else ""
