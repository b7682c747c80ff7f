"""All candidates and simple methods: fit those that need it, and forecast with each.

Forecasts are quantiles .1, .5, .9 of log(1 + units), arrays of shape (n_products, STEPS, 3); step 0
is the week after the panel's last one.
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
# Baselines: methods that an analyst builds in a minute.
SIMPLE = (SEASONAL_NAIVE, MEAN)
SMOOTHING, PRICED_SMOOTHING, INTERMITTENT = "smoothing", "priced_smoothing", "intermittent"
ARIMA, LSTM = "arima", "lstm"
SEASONAL_MEAN, OWN_SEASON, TREES = "seasonal_mean", "own_season", "boosted_trees"
# Members of the blend, simple methods too: some shops repeat last year's weeks exactly. The mean of
# the last weeks takes part as SEASONAL_MEAN, moved along the shop's season.
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
    """Parameters fitted to one panel, with a row per product of the panel.

    Attributes:
        product_ids: Shape (n_products,).
        arima: ARIMA parameters of the same products.
        lstm_weights: As of `lstm.fit`; empty in a young shop, which has neither LSTM nor ARIMA.
        season_shares: As of `own_season.learn`.
        trees: As of `boosted.fit`; empty in a young shop.
    """

    product_ids: np.ndarray
    arima: arima.ArimaParameters
    lstm_weights: bytes
    season_shares: np.ndarray
    trees: bytes = b""


@dataclass(frozen=True)
class Shop:
    """Figures of the whole shop that every product's forecast uses.

    Attributes:
        season: As of `season_of`, shape (n_weeks + STEPS,).
        elasticity: As of `elasticity_of`.
        usual: Usual level and spread of sales.
        usual_priced: Usual level and spread of sales at usual prices.
        run: Shared inputs of the LSTM.
        launches: Launches of all products, those no longer sold too.
    """

    season: np.ndarray
    elasticity: float
    usual: Usual
    usual_priced: Usual
    run: ShopRun
    launches: Launches


def fit(panel: Panel, seed: int) -> Fitted:
    """Fit the candidates that need it to all weeks of the panel.

    Args:
        panel: All products.
        seed: Seed of LSTM and trees.
    """
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
    """Parameters for a shop too young for ARIMA, LSTM and trees."""
    panel = closures.without_past(panel)
    begun = replace(panel, units=begun_as_usual(panel.units, launches_of(panel.units)))
    return Fitted(
        product_ids=panel.product_ids,
        arima=arima.defaults(len(panel.product_ids)),
        lstm_weights=b"",
        season_shares=own_season.learn(begun, season_of(panel)),
    )


def shop_of(panel: Panel, launches: Launches) -> Shop:
    """Compute the figures of the whole shop.

    Args:
        panel: All products to forecast, at least one week.
        launches: Launches of all products ever sold.
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
    """Forecast the weeks after a panel with each candidate and simple method.

    Args:
        fitted: Fitted to the same or an earlier panel; a product unknown then gets the medians.
        panel: Some products of the shop, or all, at least one week: a product's forecast does not
            depend on others.
        shop: As of `shop_of`, from all products.

    Returns:
        Method -> quantiles, shape (n_products, STEPS, 3).
    """
    panel = closures.without_past(panel)
    season = shop.season
    priced = at_usual_price(panel, shop.elasticity)
    begun = replace(panel, units=begun_as_usual(panel.units, shop.launches))
    forecasts = simple(panel.units, shop.launches)
    along = _along(forecasts[MEAN], season, panel.n_weeks)
    has_year = ~np.isnan(_last_year(panel.units))[..., None]
    forecasts |= {
        SMOOTHING: smoothing.forecast(panel, season, shop.usual),
        PRICED_SMOOTHING: smoothing.forecast(priced, season, shop.usual_priced),
        INTERMITTENT: intermittent.forecast(panel.units, season, shop.launches.chance),
        SEASONAL_NAIVE: np.where(has_year, forecasts[SEASONAL_NAIVE], along),
        SEASONAL_MEAN: along,
        OWN_SEASON: own_season.forecast(begun, season, fitted.season_shares),
    }
    if fitted.trees:
        forecasts[TREES] = boosted.forecast(begun, season, fitted.trees)
    if not fitted.lstm_weights:
        return forecasts
    parameters = _aligned(fitted, panel.product_ids)
    return forecasts | {
        ARIMA: arima.forecast(begun.units, season, parameters),
        LSTM: lstm.forecast(begun, fitted.lstm_weights, shop.run),
    }


def simple(units: np.ndarray, launches: Launches) -> Forecasts:
    """Forecasts of the methods that need no fit.

    All three quantiles are equal: the bands come from the errors in the backtest. A product known
    for at most LAUNCH_WEEKS gets the rate of `launches.rates`.

    Args:
        units: Shape (n_products, n_weeks); NaN before a product's first sale.
        launches: Launches of the shop.

    Returns:
        Method -> quantiles, shape (n_products, STEPS, 3).
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
    """Units a year before each week to come, shape (n_products, STEPS); NaN where unknown."""
    year_ago = units.shape[1] + np.arange(STEPS) - SEASON_WEEKS
    return np.where(year_ago >= 0, after_first_sale(units)[:, np.maximum(year_ago, 0)], np.nan)


def _along(mean: np.ndarray, season: np.ndarray, n_weeks: int) -> np.ndarray:
    """The mean of the last weeks moved along the shop's season, same shape."""
    usual = np.exp(season)
    recent = usual[max(n_weeks - MEAN_WEEKS, 0) : n_weeks].mean()
    return np.log1p(np.expm1(mean) * (usual[n_weeks:] / recent)[None, :, None])


def _aligned(fitted: Fitted, product_ids: np.ndarray) -> arima.ArimaParameters:
    """The ARIMA parameters of `product_ids`; medians for products without a fit."""
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
