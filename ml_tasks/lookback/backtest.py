"""The value of a figure to expect from the model's own backtest, and a limit around it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ml_tasks.evaluation.comparison import Evaluation

# Distance of the limit from the backtest's mean, in spreads.
LIMIT_SPREADS = 3.0
# Figures with a limit -> whether higher is better.
IS_MORE_BETTER = {
    "auc": True,
    "gini": True,
    "concordance": True,
    "calibration_error": False,
    "abs_total_error": False,
    "wrmsse": False,
}


@dataclass(frozen=True)
class Expected:
    """A figure's distribution over the cuts of the backtest.

    Attributes:
        value: Mean over the cuts; NaN without cuts.
        spread: Standard deviation over the cuts; NaN for fewer than two.
        limit: The worst value to expect on one more date; NaN for a figure without a limit.
    """

    value: float = math.nan
    spread: float = math.nan
    limit: float = math.nan

    def is_worse(self, figure: str, value: float) -> bool | None:
        """Whether a value is beyond the limit; None if there is no limit."""
        if math.isnan(self.limit) or math.isnan(value):
            return None
        return value < self.limit if IS_MORE_BETTER[figure] else value > self.limit


def expected(figure: str, of_cuts: list[float], standard_error: float) -> Expected:
    """The mean of a backtest, and a three-sigma limit around it for one more date.

    The limit uses the spread of the cuts, but at least the sampling error of the value to compare:
    two or three cuts may agree by chance.

    Args:
        figure: Name of the figure.
        of_cuts: Value on each cut.
        standard_error: Sampling error of the value to compare; NaN if unknown.

    Source:
        Shewhart (1931), Economic Control of Quality of Manufactured Product.
    """
    count = len(of_cuts)
    if not count:
        return Expected()
    mean = math.fsum(of_cuts) / count
    spread = float(np.std(of_cuts, ddof=1)) if count > 1 else math.nan
    if figure not in IS_MORE_BETTER:
        return Expected(mean, spread)
    # fmax ignores NaN
    reach = LIMIT_SPREADS * float(np.fmax(spread, standard_error)) * math.sqrt(1 + 1 / count)
    return Expected(mean, spread, mean - reach if IS_MORE_BETTER[figure] else mean + reach)


def of_cuts(evaluation: Evaluation) -> dict[str, list[float]]:
    """Metric -> values of the published model, one for each cut that has the metric."""
    values: dict[str, list[float]] = {}
    for figures in evaluation.of(evaluation.winner).values():
        for name, value in figures.items():
            values.setdefault(name, []).append(value)
    return values
