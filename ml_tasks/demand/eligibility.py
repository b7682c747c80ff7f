"""Warnings of the model card: what the shop's sales are not enough for."""

from __future__ import annotations

import math

import numpy as np

from ml_tasks.demand import arima
from ml_tasks.demand.backtest import BLEND, MIN_WEEKS_TO_FIT, Backtest
from ml_tasks.demand.evaluate import COVERAGE
from ml_tasks.demand.panel import HORIZON_WEEKS, Panel
from ml_tasks.demand.season import MIN_WEEKS as SEASON_MIN_WEEKS
from ml_tasks.evaluation.comparison import Evaluation

# Fit to the first weeks, learn weights from the first horizon, test on the second.
MIN_WEEKS_TO_TEST = MIN_WEEKS_TO_FIT + 2 * HORIZON_WEEKS
NOMINAL_COVERAGE = (0.75, 0.85)


def warnings(panel: Panel, tested: Backtest, evaluation: Evaluation) -> list[str]:
    """Warnings for readers of the forecasts; empty if all is well.

    Args:
        panel: The training data.
        tested: Backtest on the panel.
        evaluation: Evaluation of the backtest.
    """
    rate_inside = evaluation.mean(BLEND, COVERAGE)
    sold = f"the shop had sold for {panel.n_weeks} whole weeks"
    texts = []
    if panel.n_weeks < MIN_WEEKS_TO_TEST:
        texts.append(f"{sold}: ARIMA and the LSTM need {MIN_WEEKS_TO_TEST}, so neither is used")
    if not tested.evaluated():
        texts.append(f"{sold}: too few to test the forecasts on weeks that they were not fitted to")
    elif math.isnan(rate_inside):
        texts.append("no product sold in half of the weeks: the forecasts could not be evaluated")
    if panel.n_weeks < SEASON_MIN_WEEKS:
        texts.append(f"{sold}: a season needs {SEASON_MIN_WEEKS}, so none is expected")
    young = int(((~np.isnan(panel.units)).sum(axis=1) < arima.MIN_WEEKS).sum())
    if young:
        texts.append(
            f"{young} of {len(panel.units)} products were first sold fewer than"
            f" {arima.MIN_WEEKS} weeks ago: their forecasts lean on what is usual in the shop"
        )
    if tested.count_diverged:
        texts.append(
            f"{tested.count_diverged} ARIMA fits diverged and were replaced by the shop's medians"
        )
    low, high = NOMINAL_COVERAGE
    if rate_inside < low or rate_inside > high:
        texts.append(f"the 80 % bands contained {rate_inside:.0%} of the weeks")
    return texts
