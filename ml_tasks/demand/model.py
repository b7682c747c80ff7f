"""The forecasters together: fit those that learn, let all of them forecast.

Forecasts are quantiles .1, .5, .9 of log(1 + units), arrays of shape (n_products, STEPS, 3); step 0
is the week after the panel's last.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ml_tasks.demand import arima, boosted, closures, intermittent, lstm, own_season, smoothing
from ml_tasks.demand.launches import (
    Launches,
    after_first_sale,
    begun_as_usual,
    is_young,
    launches_of,
    rates,
)
from ml_tasks.demand.lstm import ShopRun
from ml_tasks.demand.panel import SEASON_WEEKS, STEPS, Panel
from ml_tasks.demand.prices import at_usual_price, elasticity_of
from ml_tasks.demand.season import season_of
from ml_tasks.demand.smoothing import Usual

SEASONAL_NAIVE, MEAN = "seasonal_naive", "mean_8_weeks"
# What an analyst would draw up in a minute: what everything is compared with.
SIMPLE = (SEASONAL_NAIVE, MEAN)
SMOOTHING, PRICED_SMOOTHING, INTERMITTENT = "smoothing", "priced_smoothing", "intermittent"
ARIMA, LSTM = "arima", "lstm"
SEASONAL_MEAN, OWN_SEASON, TREES = "seasonal_mean", "own_season", "boosted_trees"
# What is blended: the simple methods, too. Some shops repeat last year's weeks to the letter; the
# mean of the last weeks is moved along the shop's season.
CANDIDATES = (
    SMOOTHING,
    PRICED_SMOOTHING,
    INTERMITTENT,
    ARIMA,
    LSTM,
    SEASONAL_NAIVE,
    SEASONAL_MEAN,
    OWN_SEASON,
    TREES,
)
MEAN_WEEKS = 8

Forecasts = dict[str, np.ndarray]


@dataclass(frozen=True)
class Fitted:
    """What was learnt from one panel; the arrays are of that panel's products.

    Attributes:
        product_ids: Shape (n_products,).
        arima: Parameters of the same products.
        lstm_weights: As of `lstm.fit`; empty where the shop is too young: no LSTM, no ARIMA.
        season_shares: As of `own_season.learn`.
        trees: As of `boosted.fit`; empty where the shop is too young.
    """

    product_ids: np.ndarray
    arima: arima.ArimaParameters
    lstm_weights: bytes
    season_shares: np.ndarray
    trees: bytes = b""


@dataclass(frozen=True)
class Shop:
    """What the forecast of one product takes from all others; see `shop_of`.

    Attributes:
        season: Shape (n_weeks + STEPS,), as of `season_of`.
        elasticity: As of `elasticity_of`.
        usual: Of sales as they were.
        usual_priced: Of sales at usual prices.
        run: Of sales as they were.
        launches: Of all products, those that fell asleep too.
    """

    season: np.ndarray
    elasticity: float
    usual: Usual
    usual_priced: Usual
    run: ShopRun
    launches: Launches


def fit(panel: Panel, seed: int) -> Fitted:
    """Fit the candidates that learn, to all weeks of the panel."""
    panel = closures.without_past(panel)
    recent_amount = panel.amount[:, -26:].sum(axis=1)
    begun = replace(panel, units=begun_as_usual(panel.units, launches_of(panel.units)))
    season = season_of(panel)
    return Fitted(
        product_ids=panel.product_ids,
        arima=arima.fit(begun.units, season, recent_amount),
        lstm_weights=lstm.fit(panel, seed),
        season_shares=own_season.learn(begun, season),
        trees=boosted.fit(begun, season, seed),
    )


def unfitted(panel: Panel) -> Fitted:
    """Of a shop that is too young for the candidates that learn: without ARIMA, LSTM and trees."""
    panel = closures.without_past(panel)
    begun = replace(panel, units=begun_as_usual(panel.units, launches_of(panel.units)))
    return Fitted(
        product_ids=panel.product_ids,
        arima=arima.defaults(len(panel.product_ids)),
        lstm_weights=b"",
        season_shares=own_season.learn(begun, season_of(panel)),
    )


def shop_of(panel: Panel, launches: Launches) -> Shop:
    """What forecasts take from the whole shop.

    Args:
        panel: All products that are forecast, at least one week.
        launches: Of all products that were ever sold.
    """
    panel = closures.without_past(panel)
    season = season_of(panel)
    elasticity = elasticity_of(panel, season)
    return Shop(
        season=season,
        elasticity=elasticity,
        usual=smoothing.usual_of(panel, season),
        usual_priced=smoothing.usual_of(at_usual_price(panel, elasticity), season),
        run=lstm.run_of(panel),
        launches=launches,
    )


def forecast(fitted: Fitted, panel: Panel, shop: Shop) -> Forecasts:
    """What each candidate and the simple methods say of the weeks after a panel.

    Args:
        fitted: From the same or an earlier panel; a product it does not know takes the medians.
        panel: At least one week; some products of the shop, or all. What is said of one does not
            depend on which others are in it.
        shop: Of all products.
    """
    panel = closures.without_past(panel)
    season = shop.season
    priced = at_usual_price(panel, shop.elasticity)
    begun = replace(panel, units=begun_as_usual(panel.units, shop.launches))
    told = simple(panel.units, shop.launches)
    along = _along(told[MEAN], season, panel.n_weeks)
    has_year = ~np.isnan(_last_year(panel.units))[..., None]
    told |= {
        SMOOTHING: smoothing.forecast(panel, season, shop.usual),
        PRICED_SMOOTHING: smoothing.forecast(priced, season, shop.usual_priced),
        INTERMITTENT: intermittent.forecast(panel.units, season, shop.launches.chance),
        SEASONAL_NAIVE: np.where(has_year, told[SEASONAL_NAIVE], along),
        SEASONAL_MEAN: along,
        OWN_SEASON: own_season.forecast(begun, season, fitted.season_shares),
    }
    if fitted.trees:
        told[TREES] = boosted.forecast(begun, season, fitted.trees)
    if not fitted.lstm_weights:
        return told
    parameters = _aligned(fitted, panel.product_ids)
    return told | {
        ARIMA: arima.forecast(begun.units, season, parameters),
        LSTM: lstm.forecast(begun, fitted.lstm_weights, shop.run),
    }


def simple(units: np.ndarray, launches: Launches) -> Forecasts:
    """The methods that need no fit.

    They have no spread of their own: the bands come from their errors in the backtest. A product
    that is known for fewer weeks than the mean is of is expected to sell by `launches.rates`.
    """
    mean = np.nanmean(units[:, -MEAN_WEEKS:], axis=1)
    recent = np.where(is_young(units), rates(units, launches), mean)[:, None]
    last_year = _last_year(units)
    medians = {
        SEASONAL_NAIVE: np.where(np.isnan(last_year), recent, last_year),
        MEAN: np.repeat(recent, STEPS, axis=1),
    }
    return {name: np.repeat(np.log1p(m)[:, :, None], 3, axis=2) for name, m in medians.items()}


def _last_year(units: np.ndarray) -> np.ndarray:
    """Units in the weeks a year before those to come, (n_products, STEPS); NaN where unknown."""
    year_ago = units.shape[1] + np.arange(STEPS) - SEASON_WEEKS
    return np.where(year_ago >= 0, after_first_sale(units)[:, np.maximum(year_ago, 0)], np.nan)


def _along(mean: np.ndarray, season: np.ndarray, n_weeks: int) -> np.ndarray:
    """The mean of the last weeks moved along the shop's season, same shape."""
    usual = np.exp(season)
    recent = usual[max(n_weeks - MEAN_WEEKS, 0) : n_weeks].mean()
    return np.log1p(np.expm1(mean) * (usual[n_weeks:] / recent)[None, :, None])


def _aligned(fitted: Fitted, product_ids: np.ndarray) -> arima.ArimaParameters:
    """The ARIMA parameters of the given products; medians for those not fitted."""
    place = {product_id: row for row, product_id in enumerate(fitted.product_ids)}
    rows = np.array([place.get(product_id, -1) for product_id in product_ids], dtype=int)
    known = rows >= 0
    own, sigma, is_own = fitted.arima.coefficients, fitted.arima.sigma, fitted.arima.is_own
    pooled = own[~is_own][0] if (~is_own).any() else np.median(own, axis=0)
    return arima.ArimaParameters(
        np.where(known[:, None], own[rows], pooled),
        np.where(known, sigma[rows], np.median(sigma)),
        known & is_own[rows],
        fitted.arima.count_diverged,
    )
