"""Bias: whether a model's totals were too high or too low on past dates, out of time.

A model may rank customers well and still predict twice the actual total. Its scores are published
nevertheless, since no better ones may exist, but a warning reaches everyone who adds them up.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

from ml_tasks.evaluation.comparison import Evaluation

# Bound on the mean over cuts of predicted over actual, less 1. A budget or an order of goods
# tolerates an error of about 15 %, which the benchmarks also demand of each cut's total. A larger
# mean over several cuts is not one season's surprise.
MAX_BIAS_RATE = 0.15
# In a small shop cuts differ by chance: the mean must also be this many standard errors from 0.
MIN_STANDARD_ERRORS = 2.0
FIGURE = "bias_rate"


@dataclass(frozen=True)
class BiasFigures:
    """The metrics of an evaluation that bias is computed from.

    Attributes:
        predicted: Metric with the predicted total or mean probability.
        actual: Metric with the actual total or rate. If empty, `predicted` is already the bias
            (predicted over actual, less 1).
        is_rate: Whether both are shares of customers. The bias of a share is relative to the rarer
            outcome, see `bias_of_rate`.
    """

    predicted: str
    actual: str = ""
    is_rate: bool = False


@dataclass(frozen=True)
class Bias:
    """A model's bias on past dates.

    Attributes:
        of_cuts: Predicted over actual, less 1, of each cut.
        standard_error: Standard error of the mean over the cuts.
    """

    of_cuts: tuple[float, ...]
    standard_error: float

    @property
    def mean(self) -> float:
        """Mean over the cuts; NaN without cuts."""
        return fmean(self.of_cuts) if self.of_cuts else math.nan

    @property
    def is_beyond(self) -> bool:
        """Whether the mean exceeds MAX_BIAS_RATE, and chance does not explain it."""
        least = max(MAX_BIAS_RATE, MIN_STANDARD_ERRORS * self.standard_error)
        return abs(self.mean) > least


def bias_of(evaluation: Evaluation, figures: BiasFigures) -> Bias:
    """The winner's bias on each cut that has the metrics, by rising date.

    Args:
        evaluation: The evaluation of a training.
        figures: The question's metrics.
    """
    rows = evaluation.rows(evaluation.winner)
    counts = {row.cut: row.n for row in rows if row.metric == figures.predicted}
    of_cuts, variances = [], []
    for cut, values in sorted(evaluation.of(evaluation.winner).items()):
        bias = _of_cut(values, figures, counts.get(cut))
        if bias is not None:
            of_cuts.append(bias[0])
            variances.append(bias[1])
    count = len(of_cuts)
    by_chance = math.sqrt(math.fsum(variances)) / count if count else 0.0
    by_spread = stdev(of_cuts) / math.sqrt(count) if count > 1 else 0.0
    return Bias(tuple(of_cuts), max(by_chance, by_spread))


def bias_of_rate(predicted: float, actual: float) -> float:
    """Error of a mean probability as a share of the rarer outcome; NaN if only one occurred.

    Args:
        predicted: Mean probability.
        actual: Share of customers with the event, in [0, 1].

    Example:
        >>> round(bias_of_rate(predicted=0.85, actual=0.8), 2)
        0.25
    """
    rarer = min(actual, 1 - actual)
    return (predicted - actual) / rarer if rarer > 0 else math.nan


def _of_cut(
    values: Mapping[str, float], figures: BiasFigures, count_customers: int | None
) -> tuple[float, float] | None:
    """Bias of one cut and its sampling variance. The variance of a total is unknown, so it is 0."""
    predicted, actual = values.get(figures.predicted), values.get(figures.actual)
    if predicted is None or (figures.actual and actual is None):
        return None
    if actual is None:
        return predicted, 0.0
    if not figures.is_rate:
        return (predicted / actual - 1, 0.0) if actual > 0 else None
    rarer = min(actual, 1 - actual)
    if rarer <= 0:
        return None
    variance = actual * (1 - actual) / (count_customers or math.inf) / rarer**2
    return bias_of_rate(predicted, actual), variance


def warnings(report: Mapping[str, Any], model_name: str, figures: BiasFigures | None) -> list[str]:
    """One sentence if the published model's bias is beyond the bound, else an empty list.

    Args:
        report: The training report.
        model_name: Published name of the model.
        figures: The question's metrics; None if it has none.
    """
    if figures is None:
        return []
    bias = bias_of(Evaluation.from_report(report, model_name), figures)
    return [_sentence(bias, model_name, figures)] if bias.is_beyond else []


def _sentence(bias: Bias, model_name: str, figures: BiasFigures) -> str:
    count = len(bias.of_cuts)
    direction = "high" if bias.mean > 0 else "low"
    subject = "as many of the rarer outcome" if figures.is_rate else "the actual total"
    return (
        f"too {direction} on past dates: {model_name} predicted {1 + bias.mean:.2f} times"
        f" {subject} ({bias.mean:+.0%}, mean of {count} cut{'s' if count > 1 else ''}, bound"
        f" {MAX_BIAS_RATE:.0%}): read totals with care, see its card"
    )


def with_warnings(
    report: dict[str, Any], model_name: str, figures: BiasFigures | None
) -> dict[str, Any]:
    """The report with the entry `bias_rate` and its warning, if any. Args as of `warnings`."""
    if figures is None:
        return report
    bias = bias_of(Evaluation.from_report(report, model_name), figures)
    if not bias.of_cuts:
        return report
    return {
        **report,
        FIGURE: {"mean": bias.mean, "of_cuts": list(bias.of_cuts), "bound": MAX_BIAS_RATE},
        "warnings": [*report.get("warnings", []), *warnings(report, model_name, figures)],
    }
