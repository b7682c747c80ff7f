"""Out of time: every candidate, the blend and the simple methods on weeks new to all of them.

Weights and bands at an origin are learnt from the origins whose weeks had passed by it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ml_tasks.demand import blend, level, reconcile
from ml_tasks.demand.accuracy import accuracy, coverage, judged_products, pinball
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
# Bias of expected units of all products that would have been scored, not of the judged ones alone.
TOTAL_BIAS = f"total_{FIGURE}"


@dataclass(frozen=True)
class Forecast:
    """What every method forecast at a past origin.

    Attributes:
        past: The panel as it was known then.
        places: Rows of its products in the whole panel, shape (n_known,).
        units: Method -> quantiles of units, shape (n_known, STEPS, 3).
        factor: Level that the blend's expected units are multiplied by.
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
            method: Whose quantiles.
            is_chosen: Of which products, shape (n_known,); None: of all.
        """
        units, panel = self.units[method], self.past
        if is_chosen is not None:
            units, panel = units[is_chosen], panel.only(is_chosen)
        return reconcile.means(units, panel, self._season, launches_of(self.past.units))


@dataclass(frozen=True)
class Judged:
    """What happened to the judged products after an origin, and what was forecast of them.

    Attributes:
        history: Units before, shape (n_judged, n_past).
        actual: Units that came, shape (n_judged, HORIZON_WEEKS).
        revenue: Takings that weigh the products, shape (n_judged,).
        units: Method -> quantiles of units, shape (n_judged, HORIZON_WEEKS, 3).
    """

    history: np.ndarray
    actual: np.ndarray
    revenue: np.ndarray
    units: dict[str, np.ndarray]


def evaluate(tested: Backtest) -> Evaluation:
    """Figures of every method at each origin that can be judged.

    Returns:
        In favour of the blend, of which the simple methods are a part. Without METRICS if no
        product can be judged.
    """
    found: list[Figure] = []
    for number in tested.judged():
        forecast = forecast_at(tested, number)
        cut = tested.panel.week(tested.origins[number])
        judged = judged_at(tested, forecast)
        if judged:
            for name, units in judged.units.items():
                found += rows(cut, name, _figures(name, units, judged), len(units))
        is_awake = forecast.past.sold_within(AWAKE_WEEKS)
        for name in (BLEND, *SIMPLE):
            bias = _total_bias(tested, forecast, name, is_awake)
            found += rows(cut, name, {TOTAL_BIAS: bias}, int(is_awake.sum()))
    figures = Evaluation(tuple(found))
    best = figures.best(SIMPLE, "wrmsse", LOWER)
    prefixes = {row.model: f"{row.model}_" for row in found} | {BLEND: "", best: "baseline_"}
    return Evaluation(
        figures.figures, BLEND, _decision(figures, best), figures.means(METRICS, prefixes)
    )


def forecast_at(tested: Backtest, number: int) -> Forecast:
    """The forecasts of the origin of a number."""
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


def judged_at(tested: Backtest, forecast: Forecast) -> Judged | None:
    """What was forecast of the judged products, and came; None if there is no product to judge."""
    past = forecast.past
    is_judged, revenue = judged_products(past)
    if not is_judged.any():
        return None
    expected = forecast.expected(BLEND) * forecast.factor
    least = blend.least_sold(past.units)
    units = {
        **forecast.units,
        BLEND: reconcile.consistent(forecast.units[BLEND], expected, least),
        BLEND_MEAN: np.repeat(expected[..., None], 3, axis=2),
    }
    places, origin = forecast.places[is_judged], past.n_weeks
    return Judged(
        history=tested.panel.units[places, :origin],
        actual=tested.panel.units[places, origin : origin + HORIZON_WEEKS],
        revenue=revenue,
        units={name: values[is_judged][:, :HORIZON_WEEKS] for name, values in units.items()},
    )


def _figures(name: str, units: np.ndarray, judged: Judged) -> dict[str, float]:
    """METRICS of a method; without those of bands for BLEND_MEAN, which has none."""
    found = accuracy(units[..., 1], judged.actual, judged.history, judged.revenue)
    if name == BLEND_MEAN:
        return found
    return found | {
        "pinball": pinball(units, judged.actual, judged.history),
        COVERAGE: coverage(units, judged.actual),
    }


def _total_bias(tested: Backtest, forecast: Forecast, name: str, is_awake: np.ndarray) -> float:
    """Total of a method's expected units over the total that came, less 1; NaN if none came.

    Of all products that would have been scored, as their means are there to be added up. A shop
    whose products are all sold rarely has it, too, where nothing else can be judged.
    """
    origin = forecast.past.n_weeks
    weeks = slice(origin, origin + HORIZON_WEEKS)
    came = np.nansum(tested.panel.units[forecast.places[is_awake], weeks])
    factor = forecast.factor if name == BLEND else 1.0
    total = forecast.expected(name, is_awake)[:, :HORIZON_WEEKS].sum() * factor
    return float(total / came - 1) if came else math.nan


def combined(of_product: np.ndarray, count_origins: int) -> str:
    """What counts how much on average, the most first, and on how many origins it rests.

    Args:
        of_product: Weights of CANDIDATES, shape (n_products, n_candidates).
        count_origins: Past dates that the weights were learnt on.
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
