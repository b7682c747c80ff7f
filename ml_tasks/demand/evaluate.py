"""Evaluate candidates, blend and simple methods out of time, on weeks that none was fitted to.

Weights and bands at an origin are learnt from earlier origins with a whole horizon before it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ml_tasks.demand import blend, level, reconcile
from ml_tasks.demand.accuracy import accuracy, coverage, evaluated_products, pinball
from ml_tasks.demand.backtest import BLEND, Backtest, bands_of, weights, with_blend
from ml_tasks.demand.launches import launches_of
from ml_tasks.demand.model import CANDIDATES, SIMPLE
from ml_tasks.demand.panel import AWAKE_WEEKS, HORIZON_WEEKS, Panel
from ml_tasks.demand.season import season_of
from ml_tasks.evaluation.bias import FIGURE
from ml_tasks.evaluation.comparison import Evaluation
from ml_tasks.evaluation.contest import LOWER
from ml_tasks.evaluation.figures import Figure, rows

MIN_WEEKS = 12
# The blend's expected units, beside its median.
BLEND_MEAN = "blend_mean"
COVERAGE = "coverage_p10_p90"
METRICS = ("wrmsse", "mase", "bias_rate", "pinball", COVERAGE)
# Bias of expected units over all products that would have been scored, not the evaluated ones only.
TOTAL_BIAS = f"total_{FIGURE}"


@dataclass(frozen=True)
class Forecast:
    """Forecasts of every method at a past origin.

    Attributes:
        past: The panel as known at the origin.
        places: Rows of its products in the whole panel, shape (n_known,).
        units: Method -> quantiles of units, shape (n_known, STEPS, 3).
        factor: Factor on the blend's expected units that corrects their level.
    """

    past: Panel
    places: np.ndarray
    units: dict[str, np.ndarray]
    factor: float

    @cached_property
    def _season(self) -> np.ndarray:
        return season_of(self.past)

    def expected(self, method: str, is_chosen: np.ndarray | None = None) -> np.ndarray:
        """Expected units before `factor`, shape (n_known or n_chosen, STEPS).

        Args:
            method: Key of `units`.
            is_chosen: Products to compute, booleans of shape (n_known,); None: all.
        """
        units, panel = self.units[method], self.past
        if is_chosen is not None:
            units, panel = units[is_chosen], panel.only(is_chosen)
        return reconcile.means(units, panel, self._season, launches_of(self.past.units))


@dataclass(frozen=True)
class Evaluated:
    """Forecasts and actual units of the evaluated products after an origin.

    Attributes:
        history: Units before the origin, shape (n_chosen, n_past).
        actual: Actual units, shape (n_chosen, HORIZON_WEEKS).
        revenue: Takings that weight the products, shape (n_chosen,).
        units: Method -> quantiles of units, shape (n_chosen, HORIZON_WEEKS, 3).
    """

    history: np.ndarray
    actual: np.ndarray
    revenue: np.ndarray
    units: dict[str, np.ndarray]


def evaluate(tested: Backtest) -> Evaluation:
    """Compute the figures of every method at each origin of `Backtest.evaluated`.

    Returns:
        The winner is always the blend, because the simple methods are part of it. There are no
        METRICS if no product can be evaluated.
    """
    computed: list[Figure] = []
    for number in tested.evaluated():
        forecast = forecast_at(tested, number)
        cut = tested.panel.week(tested.origins[number])
        evaluated = evaluated_at(tested, forecast)
        if evaluated:
            for name, units in evaluated.units.items():
                computed += rows(cut, name, _figures(name, units, evaluated), len(units))
        is_awake = forecast.past.sold_within(AWAKE_WEEKS)
        for name in (BLEND, *SIMPLE):
            bias = _total_bias(tested, forecast, name, is_awake)
            computed += rows(cut, name, {TOTAL_BIAS: bias}, int(is_awake.sum()))
    figures = Evaluation(tuple(computed))
    best = figures.best(SIMPLE, "wrmsse", LOWER)
    prefixes = {row.model: f"{row.model}_" for row in computed} | {BLEND: "", best: "baseline_"}
    return Evaluation(
        figures.figures, BLEND, _decision(figures, best), figures.means(METRICS, prefixes)
    )


def forecast_at(tested: Backtest, number: int) -> Forecast:
    """The forecasts at origin `number`, with weights and bands known by then."""
    past = tested.panel.until(tested.origins[number])
    places = np.searchsorted(tested.panel.product_ids, past.product_ids)
    before, now = tested.before(number), tested.origins[number]
    of_product = weights(tested, before, now).of_product
    forecasts = {place: with_blend(tested, of_product, place) for place in (*before, number)}
    newest = forecasts.pop(number)
    shifts = bands_of(tested, forecasts, known_weeks=now)
    units = {
        name: blend.units_of(values[places], shifts[name], past.units)
        for name, values in newest.items()
    }
    return Forecast(past, places, units, level.factor(tested, forecasts, shifts[BLEND]))


def evaluated_at(tested: Backtest, forecast: Forecast) -> Evaluated | None:
    """Forecasts and actual units of the evaluated products; None if there is no such product."""
    past = forecast.past
    is_chosen, revenue = evaluated_products(past)
    if not is_chosen.any():
        return None
    expected = forecast.expected(BLEND) * forecast.factor
    least = blend.least_sold(past.units)
    units = {
        **forecast.units,
        BLEND: reconcile.consistent(forecast.units[BLEND], expected, least),
        BLEND_MEAN: np.repeat(expected[..., None], 3, axis=2),
    }
    places, origin = forecast.places[is_chosen], past.n_weeks
    return Evaluated(
        history=tested.panel.units[places, :origin],
        actual=tested.panel.units[places, origin : origin + HORIZON_WEEKS],
        revenue=revenue,
        units={name: values[is_chosen][:, :HORIZON_WEEKS] for name, values in units.items()},
    )


def _figures(name: str, units: np.ndarray, evaluated: Evaluated) -> dict[str, float]:
    """METRICS of a method; for BLEND_MEAN without the measures of bands, which it has not."""
    figures = accuracy(units[..., 1], evaluated.actual, evaluated.history, evaluated.revenue)
    if name == BLEND_MEAN:
        return figures
    return figures | {
        "pinball": pinball(units, evaluated.actual, evaluated.history),
        COVERAGE: coverage(units, evaluated.actual),
    }


def _total_bias(tested: Backtest, forecast: Forecast, name: str, is_awake: np.ndarray) -> float:
    """Total of a method's expected units over the actual total, minus 1; NaN without a sale.

    The totals are of all products that would have been scored, because expected units are meant to
    be added up. So the bias is known even where every product sells too rarely to be evaluated.
    """
    origin = forecast.past.n_weeks
    weeks = slice(origin, origin + HORIZON_WEEKS)
    actual = np.nansum(tested.panel.units[forecast.places[is_awake], weeks])
    factor = forecast.factor if name == BLEND else 1.0
    total = forecast.expected(name, is_awake)[:, :HORIZON_WEEKS].sum() * factor
    return float(total / actual - 1) if actual else math.nan


def combined(of_product: np.ndarray, count_origins: int) -> str:
    """The candidates' mean weights as a text, largest first, with the number of origins.

    Args:
        of_product: Weights of CANDIDATES, shape (n_products, n_candidates).
        count_origins: Number of past dates that the weights were learnt from.
    """
    shares = sorted(zip(of_product.mean(axis=0), CANDIDATES, strict=True), reverse=True)
    parts = [f"{name} {share:.0%}" for share, name in shares if share >= 0.005]
    return f"{', '.join(parts)}, by {count_origins} past dates"


def _decision(tested: Evaluation, best: str) -> str:
    ours, theirs = (tested.mean(name, "wrmsse") for name in (BLEND, best))
    if not tested.values(BLEND, COVERAGE):
        return "nothing could be tested"
    return (
        f"WRMSSE {ours:.3f} for the blend, {theirs:.3f} for {best}, which is the best of the simple"
        " methods and part of the blend as far as it earned a weight"
    )
