"""Forecasts from past origins, and the weights and bands learnt from them.

Candidates are fitted once, to the weeks before the first origin, and forecast from every origin
with those parameters. So every tested week is new to them.
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

# Number of consecutive horizons, and weeks between origins: windows overlap, which costs little.
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
        origins: Number of weeks known at each origin, ascending.
        forecasts: For each origin, method -> quantiles of log(1 + units), shape (n_products,
            STEPS, 3); NaN for a product unknown then.
        seasons: For each origin, as of `season_of`, shape (origin + STEPS,).
        count_diverged: Number of ARIMA fits that were replaced by medians.
    """

    panel: Panel
    origins: list[int]
    forecasts: list[Forecasts]
    seasons: list[np.ndarray]
    count_diverged: int = 0

    @cached_property
    def _demand(self) -> np.ndarray:
        """Units of the whole panel; NaN in closures, which no forecast is tested on."""
        return np.where(closures.closed(self.panel.units), np.nan, self.panel.units)

    @property
    def is_fitted(self) -> bool:
        """True if the shop was old enough to fit ARIMA and the LSTM."""
        return LSTM in self.forecasts[0]

    def actual(self, origin: int, known_weeks: int | None = None) -> np.ndarray:
        """Actual log(1 + units) after an origin, shape (n_products, STEPS).

        Weeks not known yet are NaN. Closures are NaN too: with them, weights and bands would
        measure the chance of a closure.

        Args:
            origin: Number of weeks known at the origin.
            known_weeks: Later weeks are NaN; None: all weeks of the panel are known.
        """
        actual = np.full((len(self.panel.product_ids), STEPS), np.nan)
        weeks = self._demand[:, origin : min(origin + STEPS, known_weeks or self.panel.n_weeks)]
        actual[:, : weeks.shape[1]] = np.log1p(weeks)
        return actual

    def before(self, number: int) -> list[int]:
        """Numbers of the earlier origins with a whole horizon before origin `number`."""
        now = self.origins[number]
        return [n for n in range(number) if self.origins[n] + HORIZON_WEEKS <= now]

    def evaluated(self) -> list[int]:
        """Numbers of the origins to evaluate: HORIZON_WEEKS apart, with others before them."""
        newest = self.origins[-1]
        return [
            number
            for number, origin in enumerate(self.origins)
            if (newest - origin) % HORIZON_WEEKS == 0 and self.before(number)
        ]


def backtest(panel: Panel, seed: int) -> Backtest:
    """Forecast from past origins, SPACING_WEEKS apart, over up to COUNT_HORIZONS horizons.

    ARIMA and the LSTM take part where they can be fitted before two horizons: one to learn the
    weights from, one to test on.
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
    aligned = [_aligned(fitted, panel, origin) for origin in origins]
    return Backtest(
        panel,
        origins,
        forecasts=[forecasts for forecasts, _ in aligned],
        seasons=[season for _, season in aligned],
        count_diverged=fitted.arima.count_diverged,
    )


def _aligned(fitted: Fitted, panel: Panel, origin: int) -> tuple[Forecasts, np.ndarray]:
    """Forecasts at an origin with a row per product of the panel, and the season."""
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
    """Learn the weights of the candidates from some of the origins.

    Args:
        tested: The backtest.
        numbers: Numbers of the origins to learn from.
        known_weeks: Later weeks are not used; None: all weeks are.
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
    learnt = blend.weights(
        total / np.maximum(count_weeks, 1)[:, None],
        count_weeks * disjoint,
        size,
        blend.team(cross, count_horizons(len(numbers))),
    )
    return Weights(_placed(learnt.of_product, there), _placed(learnt.of_class, there))


def count_horizons(count_origins: int) -> float:
    """Number of consecutive horizons with the evidence of `count_origins` origins, at least 1.

    Windows overlap: a second forecast of the same week adds little evidence.
    """
    return 1 + min(SPACING_WEEKS / HORIZON_WEEKS, 1.0) * max(count_origins - 1, 0)


def _placed(weights: np.ndarray, there: list[int]) -> np.ndarray:
    """Weights of all CANDIDATES, shape (n, n_candidates); 0 for absent ones."""
    placed = np.zeros((len(weights), len(CANDIDATES)))
    placed[:, there] = weights
    return placed


def sizes(forecasts: Forecasts) -> np.ndarray:
    """Class of each product's forecast size, shape (n_products,)."""
    return blend.size_class(forecasts[SMOOTHING][:, 0, 1])


def with_blend(tested: Backtest, of_product: np.ndarray, number: int) -> Forecasts:
    """The forecasts of origin `number`, and the blend of them.

    Args:
        tested: The backtest.
        of_product: Weights of CANDIDATES, shape (n_products, n_candidates).
        number: Number of the origin.
    """
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
        names: Names of the methods; None: all.
        known_weeks: Later weeks are not used; None: all weeks are.

    Returns:
        Method -> shifts, shape (COUNT_CLASSES, 2).
    """
    actual = np.concatenate([tested.actual(tested.origins[n], known_weeks) for n in forecasts])
    of_origins = list(forecasts.values())
    actual[np.isnan(np.concatenate([f[SIMPLE[0]][..., 1] for f in of_origins]))] = np.nan
    return {
        name: blend.bands(np.concatenate([f[name] for f in of_origins]), actual)
        for name in names or tuple(of_origins[0])
    }
