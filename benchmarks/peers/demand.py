"""Weekly demand: statsforecast's models as they come, their median, and last year's weeks."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from statsforecast import StatsForecast
from statsforecast.models import (
    IMAPA,
    AutoARIMA,
    AutoCES,
    AutoETS,
    CrostonSBA,
    SeasonalNaive,
    Theta,
)
from statsforecast.utils import ConformalIntervals

from benchmarks.predictions import Predictions, for_each_cut

HORIZON_WEEKS = 8
SEASON_WEEKS = 52
LEVEL = 80
COUNT_PRODUCTS = 1_000
REVENUE_WEEKS = 13
SOLD_WEEKS, OF_WEEKS = 26, 52
# Two years hold too few seasons for a seasonal fit: ARIMA, ETS, CES and Theta go without.
INTERVALS = ConformalIntervals(h=HORIZON_WEEKS, n_windows=2)
MODELS = {
    "auto_arima": AutoARIMA(),
    "auto_ets": AutoETS(),
    "theta": Theta(),
    "auto_ces": AutoCES(),
    "croston_sba": CrostonSBA(prediction_intervals=INTERVALS),
    "imapa": IMAPA(prediction_intervals=INTERVALS),
    "seasonal_naive": SeasonalNaive(season_length=SEASON_WEEKS),
}
MEDIAN_OF = ("auto_arima", "auto_ets", "theta", "auto_ces", "imapa")
MEDIAN = "median_of_five"


def predict(folder: Path, cut: pd.Timestamp) -> Predictions:
    """All peers at one origin; series shorter than a model takes get that of their last weeks."""
    weeks = pd.read_parquet(folder / "product_weeks.parquet")
    series = _series(weeks, cut)
    said, told = Predictions(), {}
    for name, model in MODELS.items():
        with said.timed(name):
            forecaster = StatsForecast(
                [model], freq="W-MON", n_jobs=1, fallback_model=SeasonalNaive(season_length=1)
            )
            frame = forecaster.forecast(df=series, h=HORIZON_WEEKS, level=[LEVEL])
        told[name] = _named(frame)
    with said.timed(MEDIAN):
        stacked = np.stack([told[name][["mean", "p10", "p90"]].to_numpy() for name in MEDIAN_OF])
        median = np.nanmedian(stacked, axis=0)
    keys = told["theta"][["product_id", "week_start_date"]]
    told[MEDIAN] = keys.assign(mean=median[:, 0], p10=median[:, 1], p90=median[:, 2])
    said.seconds[MEDIAN] += sum(said.seconds[name] for name in MEDIAN_OF)
    for name, frame in told.items():
        ids = {"product_id": frame["product_id"], "week_start_date": frame["week_start_date"]}
        values = frame[["mean", "p10", "p90"]].fillna(0).clip(lower=0)
        said.add(name, ids, p50=values["mean"], **{c: values[c] for c in values})
    return said


def _series(weeks: pd.DataFrame, origin: pd.Timestamp) -> pd.DataFrame:
    """The products that are judged, from the first sale on, weeks without a sale as 0."""
    week = pd.Timedelta(weeks=1)
    recent = weeks[weeks["week_start_date"] >= origin - REVENUE_WEEKS * week]
    revenue = recent.groupby("product_id")["sold_amount"].sum()
    year = weeks[weeks["week_start_date"] >= origin - OF_WEEKS * week]
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
    calendar = pd.date_range(weeks["week_start_date"].min(), origin - week, freq="W-MON")
    wide = wide.reindex(index=ids, columns=calendar).fillna(0.0)
    long = wide.rename_axis(columns="ds").stack().rename("y").reset_index()
    is_begun = long.groupby("product_id")["y"].cumsum() > 0
    return long[is_begun].rename(columns={"product_id": "unique_id"}).reset_index(drop=True)


def _named(frame: pd.DataFrame) -> pd.DataFrame:
    """The forecast under our names of columns."""
    frame = frame.reset_index(drop="unique_id" in frame.columns)
    model = next(c for c in frame if c not in {"unique_id", "ds"} and "-" not in c)
    low, high = f"{model}-lo-{LEVEL}", f"{model}-hi-{LEVEL}"
    names = {"unique_id": "product_id", "ds": "week_start_date", model: "mean", low: "p10",
             high: "p90"}  # fmt: skip
    frame = frame.rename(columns=names)
    for missing in {"p10", "p90"} - set(frame.columns):
        frame[missing] = np.nan
    return frame[["product_id", "week_start_date", "mean", "p10", "p90"]].sort_values(
        ["product_id", "week_start_date"], ignore_index=True
    )


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    for_each_cut(sys.argv[1:], predict)
