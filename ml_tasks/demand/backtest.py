"""Forecasts made at past origins, and what is learnt from them: weights and bands.

What has to be fitted is fitted once, to the weeks before the first origin, and forecasts from each
origin with those parameters, so every one of the weeks it is tested on is new to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ml_tasks.demand import blend, closures, model
from ml_tasks.demand.accuracy import changes
from ml_tasks.demand.blend import Weights
from ml_tasks.demand.launches import launches_of
from ml_tasks.demand.model import CANDIDATES, SIMPLE, SMOOTHING, Fitted, Forecasts
from ml_tasks.demand.panel import HORIZON_WEEKS, STEPS, Panel

COUNT_ORIGINS = 3
# Candidates need half a year to learn from.
MIN_WEEKS_TO_FIT = 26
BLEND = "blend"


@dataclass(frozen=True)
class Backtest:
    """Forecasts from past origins; rows are the products of the whole panel.

    Attributes:
        panel: The whole panel.
        origins: Weeks known at each origin, rising.
        forecasts: For each origin, method -> quantiles of log(1 + units), shape (n_products,
            STEPS, 3); NaN for a product not known then.
        count_diverged: ARIMA fits that were replaced.
    """

    panel: Panel
    origins: list[int]
    forecasts: list[Forecasts]
    count_diverged: int = 0

    @property
    def has_candidates(self) -> bool:
        """Whether the shop was old enough to fit more than the simple methods."""
        return SMOOTHING in self.forecasts[0]

    @cached_property
    def _demand(self) -> np.ndarray:
        """Units of the whole panel; NaN in closures, which no forecast is to answer for."""
        return np.where(closures.closed(self.panel.units), np.nan, self.panel.units)

    def actual(self, origin: int) -> np.ndarray:
        """log(1 + units) after an origin, shape (n_products, STEPS).

        NaN where not known yet, and in closures: they would make weights and bands those of the
        chance to close.
        """
        came = np.full((len(self.panel.product_ids), STEPS), np.nan)
        weeks = self._demand[:, origin : origin + STEPS]
        came[:, : weeks.shape[1]] = np.log1p(weeks)
        return came


def backtest(panel: Panel, seed: int) -> Backtest:
    """Forecast from up to COUNT_ORIGINS past origins, HORIZON_WEEKS apart.

    Where the shop is too young to fit the candidates, the simple methods alone are tested.
    """
    latest = panel.n_weeks - HORIZON_WEEKS
    origins = [latest - HORIZON_WEEKS * back for back in reversed(range(COUNT_ORIGINS))]
    origins = [origin for origin in origins if origin >= MIN_WEEKS_TO_FIT]
    if not origins:
        return Backtest(panel, [latest], [_aligned(None, panel, latest)])
    fitted = model.fit(panel.until(origins[0]), seed)
    forecasts = [_aligned(fitted, panel, origin) for origin in origins]
    return Backtest(panel, origins, forecasts, fitted.arima.count_diverged)


def _aligned(fitted: Fitted | None, panel: Panel, origin: int) -> Forecasts:
    past = panel.until(origin)
    launches = launches_of(past.units)
    of_past = (
        model.simple(past.units, launches)
        if fitted is None
        else model.forecast(fitted, past, model.shop_of(past, launches))
    )
    rows = np.searchsorted(panel.product_ids, past.product_ids)
    aligned = {}
    for name, values in of_past.items():
        aligned[name] = np.full((len(panel.product_ids), STEPS, 3), np.nan)
        aligned[name][rows] = values
    return aligned


def weights(tested: Backtest, count_origins: int) -> Weights:
    """Weights of the candidates by the first `count_origins` origins."""
    count_products = len(tested.panel.product_ids)
    total = {name: np.zeros(count_products) for name in CANDIDATES}
    count_weeks, size = np.zeros(count_products), np.zeros(count_products, dtype=int)
    cross = np.zeros((len(CANDIDATES), len(CANDIDATES)))
    pairs = zip(tested.origins, tested.forecasts, strict=True)
    for origin, forecasts in list(pairs)[:count_origins]:
        actual = np.expm1(tested.actual(origin)[:, :HORIZON_WEEKS])
        scale = changes(tested.panel.units[:, :origin])[1][:, None]
        known = ~np.isnan(actual) & ~np.isnan(forecasts[SMOOTHING][:, :HORIZON_WEEKS, 1])
        known &= scale > 0
        count_weeks += known.sum(axis=1)
        size = np.where(known.any(axis=1), sizes(forecasts), size)
        errors = []
        for name in CANDIDATES:
            median = np.expm1(np.maximum(forecasts[name][:, :HORIZON_WEEKS, 1], 0.0))
            error = np.where(known, (median - actual) / np.where(scale > 0, scale, 1.0), 0.0)
            total[name] += np.abs(error).sum(axis=1)
            errors.append(error.clip(-blend.MAX_ERROR, blend.MAX_ERROR).ravel())
        cross += np.stack(errors) @ np.stack(errors).T
    loss = {name: value / np.maximum(count_weeks, 1) for name, value in total.items()}
    return blend.weights(loss, count_weeks, size, blend.team(cross))


def sizes(forecasts: Forecasts) -> np.ndarray:
    """Each product's class of forecast size, shape (n_products,)."""
    return blend.size_class(forecasts[SMOOTHING][:, 0, 1])


def with_blend(tested: Backtest, of_product: np.ndarray, count_origins: int) -> list[Forecasts]:
    """The forecasts of the first `count_origins` origins, the blend among them."""
    return [
        forecasts | {BLEND: blend.blended(forecasts, of_product)}
        for forecasts in tested.forecasts[:count_origins]
    ]


def bands_of(
    tested: Backtest, forecasts: list[Forecasts], names: tuple[str, ...] | None = None
) -> dict[str, np.ndarray]:
    """Band shifts of each method, see `blend.bands`, by the first `len(forecasts)` origins."""
    origins = tested.origins[: len(forecasts)]
    actual = np.concatenate([tested.actual(origin) for origin in origins])
    actual[np.isnan(np.concatenate([f[SIMPLE[0]][..., 1] for f in forecasts]))] = np.nan
    return {
        name: blend.bands(np.concatenate([f[name] for f in forecasts]), actual)
        for name in names or tuple(forecasts[0])
    }
