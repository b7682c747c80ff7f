"""Whether a model's totals were too high or too low on past dates that it had not seen.

A model may sort customers well and still predict twice what comes. That holds no scores back, as
there may be none better; but who adds them up has to know.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

from ml_tasks.evaluation.comparison import Evaluation

# Predicted over actual, less 1, mean over the cuts. A budget or an order of goods stands an error
# of some 15 %, which is also what the benchmarks ask of each cut's total; what is off by more than
# that on the mean over cuts is no season's surprise.
MAX_BIAS_RATE = 0.15
# Cuts of a small shop differ by chance: the mean has to be so many of its standard errors off.
MIN_STANDARD_ERRORS = 2.0
FIGURE = "bias_rate"


@dataclass(frozen=True)
class BiasFigures:
    """Metrics of an evaluation that say what a model predicted in all, and what came.

    Attributes:
        predicted: Metric with a total, or a mean probability.
        actual: Metric with the total, or the rate, that came; empty: `predicted` is predicted over
            actual, less 1.
        is_rate: Whether they are shares of customers; a share is off by as much as the rarer side
            of it is.
    """

    predicted: str
    actual: str = ""
    is_rate: bool = False


@dataclass(frozen=True)
class Bias:
    """A model's bias on past dates.

    Attributes:
        of_cuts: Predicted over actual, less 1, of each cut.
        standard_error: Of their mean.
    """

    of_cuts: tuple[float, ...]
    standard_error: float

    @property
    def mean(self) -> float:
        """Mean over the cuts; NaN if none has a bias."""
        return fmean(self.of_cuts) if self.of_cuts else math.nan

    @property
    def is_beyond(self) -> bool:
        """Whether it is more than MAX_BIAS_RATE, and more than chance makes it."""
        least = max(MAX_BIAS_RATE, MIN_STANDARD_ERRORS * self.standard_error)
        return abs(self.mean) > least


def bias_of(evaluation: Evaluation, figures: BiasFigures) -> Bias:
    """The bias of the winner on each cut that has the figures, by rising date.

    Args:
        evaluation: Of a training.
        figures: Of the question.
    """
    rows = evaluation.rows(evaluation.winner)
    counts = {row.cut: row.n for row in rows if row.metric == figures.predicted}
    of_cuts, variances = [], []
    for cut, values in sorted(evaluation.of(evaluation.winner).items()):
        found = _of_cut(values, figures, counts.get(cut))
        if found is not None:
            of_cuts.append(found[0])
            variances.append(found[1])
    count = len(of_cuts)
    by_chance = math.sqrt(math.fsum(variances)) / count if count else 0.0
    by_spread = stdev(of_cuts) / math.sqrt(count) if count > 1 else 0.0
    return Bias(tuple(of_cuts), max(by_chance, by_spread))


def bias_of_rate(predicted: float, actual: float) -> float:
    """How far a mean probability is off, as a share of the rarer side; NaN where there is none."""
    rarer = min(actual, 1 - actual)
    return (predicted - actual) / rarer if rarer > 0 else math.nan


def _of_cut(
    values: Mapping[str, float], figures: BiasFigures, count_customers: int | None
) -> tuple[float, float] | None:
    """Bias of one cut and its sampling variance; 0 where that is not known, as of a total."""
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
    """A sentence if the bias of the published model is beyond the bound; else nothing.

    Args:
        report: Of a training.
        model_name: As published.
        figures: Of the question; None: it has none.
    """
    if figures is None:
        return []
    bias = bias_of(Evaluation.from_report(report, model_name), figures)
    return [_sentence(bias, model_name, figures)] if bias.is_beyond else []


def _sentence(bias: Bias, model_name: str, figures: BiasFigures) -> str:
    count = len(bias.of_cuts)
    direction = "high" if bias.mean > 0 else "low"
    subject = "as many of the rarer outcome" if figures.is_rate else "what came in all"
    return (
        f"too {direction} on past dates: {model_name} predicted {1 + bias.mean:.2f} times"
        f" {subject} ({bias.mean:+.0%}, mean of {count} cut{'s' if count > 1 else ''}, bound"
        f" {MAX_BIAS_RATE:.0%}): read totals with care, see its card"
    )


def with_warnings(
    report: dict[str, Any], model_name: str, figures: BiasFigures | None
) -> dict[str, Any]:
    """The report, with the bias and its warning where there is one."""
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
