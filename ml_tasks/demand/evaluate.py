"""Out of time: every candidate, the blend and the simple methods on weeks new to all of them.

Weights and bands at an origin are learnt from the origins whose weeks had passed by it.
"""

from __future__ import annotations

import math
from statistics import fmean
from typing import Any

import numpy as np

from ml_tasks.demand import blend, level, reconcile
from ml_tasks.demand.accuracy import accuracy, coverage, judged_products, pinball
from ml_tasks.demand.backtest import BLEND, Backtest, bands_of, weights, with_blend
from ml_tasks.demand.launches import launches_of
from ml_tasks.demand.model import CANDIDATES, SIMPLE
from ml_tasks.demand.panel import AWAKE_WEEKS, HORIZON_WEEKS, Panel
from ml_tasks.demand.season import season_of
from ml_tasks.evaluation.bias import FIGURE

MIN_WEEKS = 12
# The blend's expected units, beside its median.
BLEND_MEAN = "blend_mean"
TOTALS = "totals"  # the report's rows with each method's bias


def report(tested: Backtest) -> dict[str, Any]:
    """Figures of every method at each origin that can be judged, and their means.

    Empty if there is none, or no product to judge: nothing can be tested then.
    """
    cuts = {
        str(tested.panel.week(tested.origins[number])): figures
        for number in tested.judged()
        if (figures := _at_origin(tested, number)) is not None
    }
    if not cuts:
        return {}
    first = next(iter(cuts.values()))
    methods = {
        method: {name: fmean(cut[method][name] for cut in cuts.values()) for name in figures}
        for method, figures in first.items()
    }
    return {
        "decision": _decision(methods),
        "methods": methods,
        "cuts": [{"cut_date": day, **figures} for day, figures in cuts.items()],
    }


def judged_units(tested: Backtest, number: int) -> dict[str, np.ndarray] | None:
    """What the blend said of the judged products at an origin, for pictures.

    Returns:
        history, actual, units and the products' takings; None if there is no product to judge.
    """
    found = _forecast_at(tested, number)
    if found is None:
        return None
    rows, revenue, units = found
    origin = tested.origins[number]
    return {
        "history": tested.panel.units[rows, :origin],
        "actual": tested.panel.units[rows, origin : origin + HORIZON_WEEKS],
        "units": units[BLEND],
        "revenue": revenue,
    }


def _forecast_at(
    tested: Backtest, number: int
) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]] | None:
    """Rows of the judged products, their takings, and each method's units at an origin."""
    past = tested.panel.until(tested.origins[number])
    judged, revenue = judged_products(past)
    if not judged.any():
        return None
    known, units, factor = _units_at(tested, number, past)
    expected = reconcile.means(units[BLEND], past, season_of(past), launches_of(past.units))
    expected *= factor
    units[BLEND] = reconcile.consistent(units[BLEND], expected, blend.least_sold(past.units))
    units[BLEND_MEAN] = np.repeat(expected[..., None], 3, axis=2)
    cut = {name: values[judged][:, :HORIZON_WEEKS] for name, values in units.items()}
    return known[judged], revenue, cut


def _units_at(
    tested: Backtest, number: int, past: Panel
) -> tuple[np.ndarray, dict[str, np.ndarray], float]:
    """Rows of the products known at an origin, each method's units of theirs, the blend's level."""
    known = np.searchsorted(tested.panel.product_ids, past.product_ids)
    before, now = tested.before(number), tested.origins[number]
    of_product = weights(tested, before, now).of_product
    forecasts = {place: with_blend(tested, of_product, place) for place in (*before, number)}
    newest = forecasts.pop(number)
    shifts = bands_of(tested, forecasts, known_weeks=now)
    units = {
        name: blend.units_of(values[known], shifts[name], past.units)
        for name, values in newest.items()
    }
    return known, units, level.factor(tested, forecasts, shifts[BLEND])


def totals(tested: Backtest) -> list[dict[str, Any]]:
    """A row per judged origin and method: by how much its expected units were too many.

    Of all products that would have been scored, as their means are there to be added up; those of
    a shop whose products are all sold rarely, too, where nothing else can be judged.
    """
    rows = []
    for number in tested.judged():
        past = tested.panel.until(tested.origins[number])
        known, units, factor = _units_at(tested, number, past)
        awake = past.sold_within(AWAKE_WEEKS)
        origin, season, launches = past.n_weeks, season_of(past), launches_of(past.units)
        came = np.nansum(tested.panel.units[known[awake], origin : origin + HORIZON_WEEKS])
        for name in (BLEND, *SIMPLE):
            quantiles = units[name][awake]
            expected = reconcile.means(quantiles, past.only(awake), season, launches)
            total = expected[:, :HORIZON_WEEKS].sum() * (factor if name == BLEND else 1.0)
            rows.append(
                {
                    "cut_date": str(past.week(origin)),
                    "model": name,
                    FIGURE: float(total / came - 1) if came else None,
                }
            )
    return rows


def _at_origin(tested: Backtest, number: int) -> dict[str, dict[str, float]] | None:
    """Method -> figures; None if there is no product to judge."""
    found = _forecast_at(tested, number)
    if found is None:
        return None
    rows, revenue, units = found
    origin = tested.origins[number]
    actual = tested.panel.units[rows, origin : origin + HORIZON_WEEKS]
    history = tested.panel.units[rows, :origin]
    return {
        name: accuracy(values[..., 1], actual, history, revenue)
        | ({} if name == BLEND_MEAN else _of_bands(values, actual, history))
        for name, values in units.items()
    }


def _of_bands(units: np.ndarray, actual: np.ndarray, history: np.ndarray) -> dict[str, float]:
    return {
        "pinball": pinball(units, actual, history),
        "coverage_p10_p90": coverage(units, actual),
    }


def combined(of_product: np.ndarray, count_origins: int) -> str:
    """What counts how much on average, the most first, and on how many origins it rests.

    Args:
        of_product: Weights of CANDIDATES, shape (n_products, n_candidates).
        count_origins: Past dates that the weights were learnt on.
    """
    shares = sorted(zip(of_product.mean(axis=0), CANDIDATES, strict=True), reverse=True)
    parts = [f"{name} {share:.0%}" for share, name in shares if share >= 0.005]
    return f"{', '.join(parts)}, by {count_origins} past dates"


def best_simple(figures: dict[str, Any]) -> str:
    """The simple method that did best; the first if nothing was tested."""
    if not figures:
        return SIMPLE[0]
    methods = figures["methods"]
    return min(SIMPLE, key=lambda name: (not _is_told(methods[name]), methods[name]["wrmsse"]))


def headlines(figures: dict[str, Any]) -> dict[str, float]:
    """Figures of the blend, of the best simple method, and of the rest by name."""
    prefixes = {BLEND: "", best_simple(figures): "baseline_"}
    return {
        f"{prefixes.get(method, method + '_')}{name}": value
        for method, of_method in figures.get("methods", {}).items()
        for name, value in of_method.items()
        if np.isfinite(value)
    }


def _decision(methods: dict[str, Any]) -> str:
    best = best_simple({"methods": methods})
    ours, theirs = methods[BLEND]["wrmsse"], methods[best]["wrmsse"]
    return (
        f"WRMSSE {ours:.3f} for the blend, {theirs:.3f} for {best}, which is the best of the simple"
        " methods and part of the blend as far as it earned a weight"
    )


def _is_told(figures: dict[str, float]) -> bool:
    return math.isfinite(figures["wrmsse"])
