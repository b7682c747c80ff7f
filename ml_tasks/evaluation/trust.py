"""A sentence on how far to trust a model's scores at this shop, from its training report."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from statistics import fmean
from typing import Any

from ml_tasks.evaluation.bias import BiasFigures, bias_of
from ml_tasks.evaluation.comparison import Evaluation
from ml_tasks.evaluation.contest import LOWER

TRUST, COMBINED = "trust", "combined"  # entries of a report


def in_words(
    report: Mapping[str, Any],
    model_name: str,
    directions: Mapping[str, str],
    baselines: Iterable[str],
    bias: BiasFigures | None,
) -> str:
    """State the number of test dates, the best baseline's figure, the bias and the members.

    Args:
        report: Training report, with the entry COMBINED if several models were combined.
        model_name: Published name of the model.
        directions: Metric -> LOWER or HIGHER, whichever is better; the first metric is shown.
        baselines: Names of the baselines in the evaluation.
        bias: Metrics that bias is computed from; None if there are none.
    """
    evaluation = Evaluation.from_report(report, model_name)
    cuts = evaluation.of(evaluation.winner, directions)
    if not cuts:
        return f"No past date could test {model_name}: the shop is too young{_combined(report)}."
    metric, better = next(iter(directions.items()))
    parts = [f"Tested on {len(cuts)} past date{'s' if len(cuts) > 1 else ''}"]
    parts += _beside(evaluation, evaluation.best(baselines, metric, better), metric, better)
    if bias is not None and (level := bias_of(evaluation, bias)).of_cuts:
        parts.append(f"level off by {level.mean:+.0%} on average")
    return "; ".join(parts) + _combined(report) + "."


def of_report(report: Mapping[str, Any]) -> str:
    """The sentence stored in a report; empty in reports of versions without it."""
    return str(report.get(TRUST, ""))


def _beside(evaluation: Evaluation, baseline: str, metric: str, better: str) -> list[str]:
    """The winner's mean and the baseline's, over the cuts that both have."""
    own, beside = (evaluation.of(model, [metric]) for model in (evaluation.winner, baseline))
    pairs = [(own[cut][metric], beside[cut][metric]) for cut in own if cut in beside]
    if not pairs or baseline == evaluation.winner:
        return []
    ours, theirs = (fmean(values) for values in zip(*pairs, strict=True))
    parts = [
        f"{metric} {ours:.3f} against {theirs:.3f} of {baseline}, the best of the simple ones"
        f" ({better} is better)"
    ]
    if theirs == ours or (ours < theirs) != (better == LOWER):
        parts.append("it is no better than that")
    return parts


def _combined(report: Mapping[str, Any]) -> str:
    return f"; combined of {report[COMBINED]}" if report.get(COMBINED) else ""
