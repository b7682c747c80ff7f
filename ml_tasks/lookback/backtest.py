"""What a model's own backtest let one expect of a figure, and where that ends."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ml_tasks.evaluation.comparison import Evaluation

# A value may be so many spreads worse than the backtest's mean.
LIMIT_SPREADS = 3.0
# Figures that are judged against the backtest, and whether more is better.
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
    """What the backtest says of a figure.

    Attributes:
        value: Mean over its cuts.
        spread: Standard deviation over them; NaN for one cut.
        limit: The worst value to expect of one more date; NaN for a figure that is not judged.
    """

    value: float = math.nan
    spread: float = math.nan
    limit: float = math.nan

    def is_worse(self, figure: str, value: float) -> bool | None:
        """Whether a value is beyond the limit; None if there is none."""
        if math.isnan(self.limit) or math.isnan(value):
            return None
        return value < self.limit if IS_MORE_BETTER[figure] else value > self.limit


def expected(figure: str, of_cuts: list[float], standard_error: float) -> Expected:
    """The mean of a backtest, and the three-sigma limit around it for one more date.

    The spread is that of the cuts, but at least the sampling error of the value that is judged:
    two or three cuts may agree by chance.

    Args:
        figure: Its name.
        of_cuts: The figure of each cut.
        standard_error: Sampling error of the value that is to be judged; NaN if unknown.

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
    # fmax passes over NaN
    reach = LIMIT_SPREADS * float(np.fmax(spread, standard_error)) * math.sqrt(1 + 1 / count)
    return Expected(mean, spread, mean - reach if IS_MORE_BETTER[figure] else mean + reach)


def of_cuts(evaluation: Evaluation) -> dict[str, list[float]]:
    """Each metric of the published model, on each cut that has it."""
    found: dict[str, list[float]] = {}
    for figures in evaluation.of(evaluation.winner).values():
        for name, value in figures.items():
            found.setdefault(name, []).append(value)
    return found
