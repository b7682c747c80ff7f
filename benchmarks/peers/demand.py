"""Weekly demand: statsforecast's models, their median, boosted trees over lags, rules.

The trees get unknown weeks as missing. statsforecast's models cannot, and get a line between the
neighbouring known weeks.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from statsforecast import StatsForecast
from statsforecast.models import (
    IMAPA,
    MSTL,
    TSB,
    AutoARIMA,
    AutoCES,
    AutoETS,
    CrostonSBA,
    DynamicOptimizedTheta,
    SeasonalNaive,
    Theta,
    ZeroModel,
)
from statsforecast.utils import ConformalIntervals

from benchmarks.peers.lags import forecast_by_trees
from benchmarks.predictions import Predictions, for_each_cut

HORIZON_WEEKS = 8
SEASON_WEEKS = 52
LEVEL = 80
COUNT_PRODUCTS = 1_000
REVENUE_WEEKS = 13
SOLD_WEEKS, OF_WEEKS = 26, 52
WEEK = pd.Timedelta(weeks=1)
INTERVALS = ConformalIntervals(h=HORIZON_WEEKS, n_windows=2)
MODELS = {
    "auto_arima": AutoARIMA(),
    "auto_ets": AutoETS(),
    "theta": Theta(),
    "dynamic_theta": DynamicOptimizedTheta(),
    "auto_ces": AutoCES(),
    "croston_sba": CrostonSBA(prediction_intervals=INTERVALS),
    "tsb": TSB(0.2, 0.2, prediction_intervals=INTERVALS),
    "imapa": IMAPA(prediction_intervals=INTERVALS),
    "seasonal_naive": SeasonalNaive(season_length=SEASON_WEEKS),
    "all_zero": ZeroModel(),
}
# A season needs two known years; a shorter series gets the forecast of the model named beside.
SEASONAL = {
    "theta_52": (Theta(season_length=SEASON_WEEKS), "theta"),
    "mstl_52_ets": (MSTL(SEASON_WEEKS, trend_forecaster=AutoETS(model="ZZN")), "auto_ets"),
}
TREES = "xgboost_lags"
MEDIAN = "median_of_all"
NOT_IN_MEDIAN = ("seasonal_naive", "all_zero")
QUANTILES = ["p10", "p50", "p90"]


def predict(folder: Path, cut: pd.Timestamp) -> Predictions:
    """Forecasts of all peers at one origin; where a model fails, the last week is repeated."""
    weeks = pd.read_parquet(folder / "product_weeks.parquet")
    known = folder / "known_weeks.parquet"
    series = _series(weeks, cut, pd.read_parquet(known) if known.exists() else None)
    filled = series.assign(y=series.groupby("unique_id")["y"].transform(pd.Series.interpolate))
    predictions, forecasts = Predictions(), {}
    for name, model in MODELS.items():
        with predictions.timed(name):
            forecasts[name] = _forecast(model, filled)
    length = filled.groupby("unique_id")["y"].transform("size")
    for name, (model, otherwise) in SEASONAL.items():
        with predictions.timed(name):
            of_long = filled[length >= 2 * SEASON_WEEKS]
            forecasts[name] = _with(
                forecasts[otherwise], _forecast(model, of_long) if len(of_long) else None
            )
    with predictions.timed(TREES):
        forecasts[TREES] = forecast_by_trees(series, HORIZON_WEEKS, SEASON_WEEKS)
    members = [name for name in forecasts if name not in NOT_IN_MEDIAN]
    with predictions.timed(MEDIAN):
        stacked = np.stack([forecasts[name][["mean", *QUANTILES]].to_numpy() for name in members])
        forecasts[MEDIAN] = forecasts["theta"][["product_id", "week_start_date"]].copy()
        forecasts[MEDIAN][["mean", *QUANTILES]] = np.nanmedian(stacked, axis=0)
    predictions.seconds[MEDIAN] += sum(predictions.seconds[name] for name in members)
    for name, frame in forecasts.items():
        ids = {"product_id": frame["product_id"], "week_start_date": frame["week_start_date"]}
        values = frame[["mean", *QUANTILES]].fillna(0).clip(lower=0)
        predictions.add(name, ids, **{column: values[column] for column in values})
    return predictions


def _series(weeks: pd.DataFrame, origin: pd.Timestamp, known: pd.DataFrame | None) -> pd.DataFrame:
    """Series of the compared products from the first sale on: columns unique_id, ds, y.

    Weeks without a sale are 0, unknown weeks NaN.
    """
    recent = weeks[weeks["week_start_date"] >= origin - REVENUE_WEEKS * WEEK]
    revenue = recent.groupby("product_id")["sold_amount"].sum()
    year = weeks[weeks["week_start_date"] >= origin - OF_WEEKS * WEEK]
    known_weeks = (origin - weeks["week_start_date"].min()).days // 7
    sold = year[year["sold_units"] > 0].groupby("product_id").size()
    often = sold[sold >= min(SOLD_WEEKS, known_weeks // 2)].index
    chosen = revenue[revenue.index.isin(often) & (revenue > 0)].sort_values(
        ascending=False, kind="stable"
    )
    ids = chosen.head(COUNT_PRODUCTS).index.sort_values()
    wide = weeks[weeks["product_id"].isin(ids)].pivot(
        index="product_id", columns="week_start_date", values="sold_units"
    )
    calendar = pd.date_range(weeks["week_start_date"].min(), origin - WEEK, freq="W-MON")
    wide = wide.reindex(index=ids, columns=calendar).fillna(0.0).astype(float)
    is_begun = wide.cumsum(axis=1) > 0
    if known is not None:
        flags = known.assign(flag=1.0).pivot(
            index="product_id", columns="week_start_date", values="flag"
        )
        wide = wide.where(flags.reindex(index=ids, columns=calendar).notna())
    long = wide.rename_axis(columns="ds").stack(future_stack=True).rename("y").reset_index()
    long = long[is_begun.stack(future_stack=True).to_numpy()]
    return long.rename(columns={"product_id": "unique_id"}).reset_index(drop=True)


def _forecast(model: object, series: pd.DataFrame) -> pd.DataFrame:
    forecaster = StatsForecast(
        [model], freq="W-MON", n_jobs=1, fallback_model=SeasonalNaive(season_length=1)
    )
    return _named(forecaster.forecast(df=series, h=HORIZON_WEEKS, level=[LEVEL]))


def _named(frame: pd.DataFrame) -> pd.DataFrame:
    """The forecast with our column names; its one point forecast is used as median and mean."""
    frame = frame.reset_index(drop="unique_id" in frame.columns)
    model = next(c for c in frame if c not in {"unique_id", "ds"} and "-" not in c)
    low, high = f"{model}-lo-{LEVEL}", f"{model}-hi-{LEVEL}"
    names = {"unique_id": "product_id", "ds": "week_start_date", model: "mean", low: "p10",
             high: "p90"}  # fmt: skip
    frame = frame.rename(columns=names)
    for missing in {"p10", "p90"} - set(frame.columns):
        frame[missing] = np.nan
    frame["p50"] = frame["mean"]
    return frame[["product_id", "week_start_date", "mean", *QUANTILES]].sort_values(
        ["product_id", "week_start_date"], ignore_index=True
    )


def _with(otherwise: pd.DataFrame, of_long: pd.DataFrame | None) -> pd.DataFrame:
    """The forecasts of the long series, with those of the other series from `otherwise`."""
    if of_long is None:
        return otherwise
    rest = otherwise[~otherwise["product_id"].isin(of_long["product_id"])]
    return pd.concat([of_long, rest]).sort_values(
        ["product_id", "week_start_date"], ignore_index=True
    )


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    for_each_cut(sys.argv[1:], predict)
