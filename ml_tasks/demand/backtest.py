"""Forecasts made at past origins, and what is learnt from them: weights and bands.

What has to be fitted is fitted once, to the weeks before the first origin, and forecasts from each
origin with those parameters, so every one of the weeks it is tested on is new to it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ml_tasks.demand import blend, closures, model
from ml_tasks.demand.accuracy import changes
from ml_tasks.demand.blend import Weights
from ml_tasks.demand.launches import launches_of
from ml_tasks.demand.model import CANDIDATES, LSTM, SIMPLE, SMOOTHING, Fitted, Forecasts
from ml_tasks.demand.panel import HORIZON_WEEKS, STEPS, Panel

# Horizons side by side, and how far apart the origins are: windows overlap, which costs little.
COUNT_HORIZONS = 3
SPACING_WEEKS = 4
# ARIMA and the LSTM need half a year to learn from; the others none.
MIN_WEEKS_TO_FIT, MIN_WEEKS = 26, 4
BLEND = "blend"


@dataclass(frozen=True)
class Backtest:
    """Forecasts from past origins; rows are the products of the whole panel.

    Attributes:
        panel: The whole panel.
        origins: Weeks known at each origin, rising.
        forecasts: For each origin, method -> quantiles of log(1 + units), shape (n_products,
            STEPS, 3); NaN for a product not known then.
        seasons: For each origin, as of `season_of`, shape (origin + STEPS,).
        count_diverged: ARIMA fits that were replaced.
    """

    panel: Panel
    origins: list[int]
    forecasts: list[Forecasts]
    seasons: list[np.ndarray]
    count_diverged: int = 0

    @cached_property
    def _demand(self) -> np.ndarray:
        """Units of the whole panel; NaN in closures, which no forecast is to answer for."""
        return np.where(closures.closed(self.panel.units), np.nan, self.panel.units)

    @property
    def is_fitted(self) -> bool:
        """Whether the shop was old enough to fit ARIMA and the LSTM."""
        return LSTM in self.forecasts[0]

    def actual(self, origin: int, known_weeks: int | None = None) -> np.ndarray:
        """log(1 + units) after an origin, shape (n_products, STEPS).

        NaN where not known yet, and in closures: they would make weights and bands those of the
        chance to close.

        Args:
            origin: Weeks known at it.
            known_weeks: Nothing of later weeks is told; all if it is not given.
        """
        came = np.full((len(self.panel.product_ids), STEPS), np.nan)
        weeks = self._demand[:, origin : min(origin + STEPS, known_weeks or self.panel.n_weeks)]
        came[:, : weeks.shape[1]] = np.log1p(weeks)
        return came

    def before(self, number: int) -> list[int]:
        """Numbers of the origins whose HORIZON_WEEKS had passed at that of a number."""
        now = self.origins[number]
        return [n for n in range(number) if self.origins[n] + HORIZON_WEEKS <= now]

    def judged(self) -> list[int]:
        """Numbers of the origins to judge at: HORIZON_WEEKS apart, with others before them."""
        newest = self.origins[-1]
        return [
            number
            for number, origin in enumerate(self.origins)
            if (newest - origin) % HORIZON_WEEKS == 0 and self.before(number)
        ]


def backtest(panel: Panel, seed: int) -> Backtest:
    """Forecast from past origins, SPACING_WEEKS apart, over up to COUNT_HORIZONS horizons.

    ARIMA and the LSTM take part where they can be fitted before two horizons: one to be weighed
    by, one to be tested on.
    """
    latest = panel.n_weeks - HORIZON_WEEKS
    is_fitted = latest - HORIZON_WEEKS >= MIN_WEEKS_TO_FIT
    least = MIN_WEEKS_TO_FIT if is_fitted else MIN_WEEKS
    earliest = max(latest - HORIZON_WEEKS * (COUNT_HORIZONS - 1), least)
    origins = list(range(latest, earliest - 1, -SPACING_WEEKS))[::-1]
    past = panel.until(origins[0])
    fitted = model.fit(past, seed) if is_fitted else model.unfitted(past)
    return _of_origins(panel, origins, fitted)


def _of_origins(panel: Panel, origins: list[int], fitted: Fitted) -> Backtest:
    found = [_aligned(fitted, panel, origin) for origin in origins]
    return Backtest(
        panel,
        origins,
        forecasts=[forecasts for forecasts, _ in found],
        seasons=[season for _, season in found],
        count_diverged=fitted.arima.count_diverged,
    )


def _aligned(fitted: Fitted, panel: Panel, origin: int) -> tuple[Forecasts, np.ndarray]:
    """Forecasts at an origin, a row per product of the panel, and the season."""
    past = panel.until(origin)
    shop = model.shop_of(past, launches_of(past.units))
    of_past = model.forecast(fitted, past, shop)
    rows = np.searchsorted(panel.product_ids, past.product_ids)
    aligned = {}
    for name, values in of_past.items():
        aligned[name] = np.full((len(panel.product_ids), STEPS, 3), np.nan)
        aligned[name][rows] = values
    return aligned, shop.season


def weights(tested: Backtest, numbers: Collection[int], known_weeks: int | None = None) -> Weights:
    """Weights of the candidates by some of the origins.

    Args:
        tested: The backtest.
        numbers: Of the origins to learn from.
        known_weeks: Nothing of later weeks is used; all if it is not given.
    """
    there = [place for place, name in enumerate(CANDIDATES) if name in tested.forecasts[0]]
    shape = (len(tested.panel.product_ids), len(there))
    total, count_weeks = np.zeros(shape), np.zeros(shape[0])
    size, cross = np.zeros(shape[0], dtype=int), np.zeros((len(there), len(there)))
    for number in numbers:
        origin, forecasts = tested.origins[number], tested.forecasts[number]
        actual = np.expm1(tested.actual(origin, known_weeks)[:, :HORIZON_WEEKS])
        scale = changes(tested.panel.units[:, :origin])[1][:, None]
        known = ~np.isnan(actual) & ~np.isnan(forecasts[SMOOTHING][:, :HORIZON_WEEKS, 1])
        known &= scale > 0
        count_weeks += known.sum(axis=1)
        size = np.where(known.any(axis=1), sizes(forecasts), size)
        errors = []
        for column, place in enumerate(there):
            median = np.expm1(np.maximum(forecasts[CANDIDATES[place]][:, :HORIZON_WEEKS, 1], 0.0))
            error = np.where(known, (median - actual) / np.where(scale > 0, scale, 1.0), 0.0)
            total[:, column] += np.abs(error).sum(axis=1)
            errors.append(error.clip(-blend.MAX_ERROR, blend.MAX_ERROR).ravel())
        cross += np.stack(errors) @ np.stack(errors).T
    disjoint = count_horizons(len(numbers)) / max(len(numbers), 1)
    found = blend.weights(
        total / np.maximum(count_weeks, 1)[:, None],
        count_weeks * disjoint,
        size,
        blend.team(cross, count_horizons(len(numbers))),
    )
    return Weights(_placed(found.of_product, there), _placed(found.of_class, there))


def count_horizons(count_origins: int) -> float:
    """How many horizons side by side so many origins are worth, at least 1.

    Their windows overlap: a week that was forecast twice says little more.
    """
    return 1 + min(SPACING_WEEKS / HORIZON_WEEKS, 1.0) * max(count_origins - 1, 0)


def _placed(weights: np.ndarray, there: list[int]) -> np.ndarray:
    """Weights of all CANDIDATES, 0 of those that are not there."""
    placed = np.zeros((len(weights), len(CANDIDATES)))
    placed[:, there] = weights
    return placed


def sizes(forecasts: Forecasts) -> np.ndarray:
    """Each product's class of forecast size, shape (n_products,)."""
    return blend.size_class(forecasts[SMOOTHING][:, 0, 1])


def with_blend(tested: Backtest, of_product: np.ndarray, number: int) -> Forecasts:
    """The forecasts of an origin, the blend among them."""
    forecasts = tested.forecasts[number]
    fade = blend.fade(tested.seasons[number])
    return forecasts | {BLEND: blend.blended(forecasts, of_product, fade)}


def bands_of(
    tested: Backtest,
    forecasts: Mapping[int, Forecasts],
    names: tuple[str, ...] | None = None,
    known_weeks: int | None = None,
) -> dict[str, np.ndarray]:
    """Band shifts of each method, see `blend.bands`.

    Args:
        tested: The backtest.
        forecasts: Number of an origin to learn from -> its forecasts.
        names: Of the methods; all if not given.
        known_weeks: Nothing of later weeks is used; all if it is not given.
    """
    actual = np.concatenate([tested.actual(tested.origins[n], known_weeks) for n in forecasts])
    found = list(forecasts.values())
    actual[np.isnan(np.concatenate([f[SIMPLE[0]][..., 1] for f in found]))] = np.nan
    return {
        name: blend.bands(np.concatenate([f[name] for f in found]), actual)
        for name in names or tuple(found[0])
    }
