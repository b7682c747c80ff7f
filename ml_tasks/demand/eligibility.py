"""What a shop's sales are enough for, in sentences for the model card."""

from __future__ import annotations

import math

import numpy as np

from ml_tasks.demand import arima
from ml_tasks.demand.backtest import BLEND, MIN_WEEKS_TO_FIT, Backtest
from ml_tasks.demand.evaluate import COVERAGE
from ml_tasks.demand.panel import HORIZON_WEEKS, Panel
from ml_tasks.demand.season import MIN_WEEKS as SEASON_MIN_WEEKS
from ml_tasks.evaluation.comparison import Evaluation

# Fitted to the first weeks, weighed by the first horizon, tested on the second.
MIN_WEEKS_TO_TEST = MIN_WEEKS_TO_FIT + 2 * HORIZON_WEEKS
PROMISED_COVERAGE = (0.75, 0.85)


def warnings(panel: Panel, tested: Backtest, evaluation: Evaluation) -> list[str]:
    """What a reader should know before relying on the forecasts; none if all is well.

    Args:
        panel: What was trained on.
        tested: Its backtest.
        evaluation: Of the backtest.
    """
    rate_inside = evaluation.mean(BLEND, COVERAGE)
    sold = f"the shop had sold for {panel.n_weeks} whole weeks"
    found = []
    if panel.n_weeks < MIN_WEEKS_TO_TEST:
        found.append(f"{sold}: ARIMA and the LSTM need {MIN_WEEKS_TO_TEST}, so neither is used")
    if not tested.judged():
        found.append(f"{sold}: nothing could be tested on weeks that it had not seen")
    elif math.isnan(rate_inside):
        found.append("no product sold in half of the weeks: nothing could be judged")
    if panel.n_weeks < SEASON_MIN_WEEKS:
        found.append(f"{sold}: a season needs {SEASON_MIN_WEEKS}, so none is expected")
    young = int(((~np.isnan(panel.units)).sum(axis=1) < arima.MIN_WEEKS).sum())
    if young:
        found.append(
            f"{young} of {len(panel.units)} products were first sold fewer than"
            f" {arima.MIN_WEEKS} weeks ago: they lean on what is usual in the shop"
        )
    if tested.count_diverged:
        found.append(f"{tested.count_diverged} ARIMA fits diverged and took the shop's medians")
    low, high = PROMISED_COVERAGE
    if rate_inside < low or rate_inside > high:
        found.append(f"the 80 % bands held {rate_inside:.0%} of the weeks")
    return found
