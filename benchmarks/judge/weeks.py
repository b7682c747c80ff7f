"""Weekly demand. An unknown week counts neither before the origin nor after it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from benchmarks.judge.paired import Judgement, Mean, Measure, by_model

HORIZON_WEEKS = 8
QUANTILES = {"p10": 0.1, "p50": 0.5, "p90": 0.9}
# Forecasts are compared on products with high revenue that sell often.
COUNT_PRODUCTS = 1_000
REVENUE_WEEKS = 13
SOLD_WEEKS, OF_WEEKS = 26, 52
WEEK = pd.Timedelta(weeks=1)


@dataclass(frozen=True)
class Judged:
    """The products on which forecasts are compared at one origin.

    Attributes:
        product_ids: Ascending, shape (n,).
        weight: Share of the revenue of the 13 weeks before, shape (n,).
        mean_square_step: Mean squared one-week change from the first sale to the origin.
        mean_step: Mean absolute one-week change over the same weeks.
        actual: Units of the 8 weeks, shape (n, 8); NaN where unknown.
    """

    product_ids: pd.Index
    weight: np.ndarray
    mean_square_step: np.ndarray
    mean_step: np.ndarray
    actual: np.ndarray


def judged(weeks: pd.DataFrame, origin: pd.Timestamp, known: pd.DataFrame | None = None) -> Judged:
    """Select the products compared at an origin (see COUNT_PRODUCTS), with their actual units.

    Args:
        weeks: Columns product_id, week_start_date, sold_units, sold_amount; all weeks, also after
            the origin, with or without rows of zeros.
        origin: A Monday, the first day of the first week forecast.
        known: Columns product_id, week_start_date of the known weeks. None means that all are known
            and a week without a row has no sales.
    """
    units, revenue = _wide(weeks, "sold_units"), _wide(weeks, "sold_amount")
    calendar = pd.date_range(units.columns.min(), origin + (HORIZON_WEEKS - 1) * WEEK, freq="W-MON")
    units = units.reindex(columns=calendar).fillna(0.0)
    revenue = revenue.reindex(columns=calendar).fillna(0.0)
    if known is not None:
        units = units.where(_is_known(known, units))
    past = units.loc[:, calendar < origin]
    recent = (calendar >= origin - REVENUE_WEEKS * WEEK) & (calendar < origin)
    total = revenue.loc[:, recent].sum(axis=1)
    is_often = (past.iloc[:, -OF_WEEKS:] > 0).sum(axis=1) >= min(SOLD_WEEKS, past.shape[1] // 2)
    chosen = total[is_often & (total > 0)].sort_values(ascending=False, kind="stable")
    ids = chosen.head(COUNT_PRODUCTS).index.sort_values()
    begun = past.loc[ids].where(past.loc[ids].fillna(0).cumsum(axis=1) > 0).to_numpy()
    steps = np.diff(begun, axis=1)
    count = np.isfinite(steps).sum(axis=1).clip(min=1)
    mean_square = np.nansum(steps**2, axis=1) / count
    mean_absolute = np.nansum(np.abs(steps), axis=1) / count
    actual = units.loc[ids, calendar >= origin].to_numpy()
    is_comparable = (mean_absolute > 0) & np.isfinite(actual).any(axis=1)
    ids = ids[is_comparable]
    return Judged(
        ids,
        (total[ids] / total[ids].sum()).to_numpy(),
        mean_square[is_comparable],
        mean_absolute[is_comparable],
        actual[is_comparable],
    )


def _wide(weeks: pd.DataFrame, column: str) -> pd.DataFrame:
    return weeks.pivot(index="product_id", columns="week_start_date", values=column).sort_index()


def _is_known(known: pd.DataFrame, units: pd.DataFrame) -> pd.DataFrame:
    """Whether each product's week is known, in the shape of `units`."""
    flags = known[["product_id", "week_start_date"]].assign(is_known=True)
    wide = flags.pivot(index="product_id", columns="week_start_date", values="is_known")
    return wide.reindex(index=units.index, columns=units.columns).notna()


def demand(
    predictions: pd.DataFrame,
    weeks: pd.DataFrame,
    origin: pd.Timestamp,
    known: pd.DataFrame | None = None,
) -> Judgement:
    """Evaluate each model's forecast of 8 weeks; a product without a forecast counts as 0 units.

    Args:
        predictions: Columns model, product_id, week_start_date, mean, p10, p50, p90.
        weeks: As in `judged`.
        origin: First day of the first week.
        known: As in `judged`.

    Returns:
        Figures wrmsse and mase (of the median), total_error (of the means over the actual total,
        less 1), coverage (of 80 % bands), mean_above_p90 (share of the cells), pinball (mean of
        three quantiles, each product's divided by mean_step as in MASE), unscored (products);
        measures wrmsse and mase, over series.

    Source:
        Makridakis, Spiliotis and Assimakopoulos (2022), doi 10.1016/j.ijforecast.2021.11.013;
        weights and scales are those of this origin.
    """
    truth = judged(weeks, origin, known)
    rows = {}
    measures: dict[str, dict[str, Measure]] = {"wrmsse": {}, "mase": {}}
    for model, frame in by_model(predictions).items():
        wide = _forecast(frame, truth, origin)
        error = np.nan_to_num(wide["p50"]) - truth.actual
        rmsse = np.sqrt(np.nanmean(error**2, axis=1) / truth.mean_square_step)
        mase = np.nanmean(np.abs(error), axis=1) / truth.mean_step
        measures["wrmsse"][model] = Mean(rmsse, truth.weight)
        measures["mase"][model] = Mean(mase)
        rows[model] = {
            "wrmsse": float(np.sum(truth.weight * rmsse)),
            "mase": float(np.mean(mase)),
            **_others(wide, truth),
        }
    return Judgement(pd.DataFrame.from_dict(rows, orient="index"), measures)


def _forecast(frame: pd.DataFrame, truth: Judged, origin: pd.Timestamp) -> dict[str, np.ndarray]:
    calendar = pd.date_range(origin, periods=HORIZON_WEEKS, freq="7D")
    frame = frame[frame["product_id"].isin(truth.product_ids)]
    return {
        name: frame.pivot(index="product_id", columns="week_start_date", values=name)
        .reindex(index=truth.product_ids, columns=calendar)
        .to_numpy(dtype=float)
        for name in ("mean", *QUANTILES)
    }


def _others(wide: dict[str, np.ndarray], truth: Judged) -> dict[str, float]:
    is_known = np.isfinite(truth.actual)
    actual = truth.actual[is_known]
    mean = np.nan_to_num(wide["mean"])[is_known]
    figures = {
        "total_error": mean.sum() / actual.sum() - 1 if actual.sum() else float("nan"),
        "coverage": float("nan"),
        "mean_above_p90": float("nan"),
        "pinball": float("nan"),
        "unscored": float(np.isnan(wide["mean"]).any(axis=1).sum()),
    }
    if np.isfinite(wide["p10"]).any() and np.isfinite(wide["p90"]).any():
        low, high = (np.nan_to_num(wide[name])[is_known] for name in ("p10", "p90"))
        losses = [
            np.nanmean(pinball(truth.actual, np.nan_to_num(wide[name]), level), axis=1)
            for name, level in QUANTILES.items()
        ]
        figures |= {
            "coverage": float(np.mean((actual >= low) & (actual <= high))),
            "mean_above_p90": float(np.mean(mean > high)),
            "pinball": float(np.mean(np.mean(losses, axis=0) / truth.mean_step)),
        }
    return figures


def pinball(actual: np.ndarray, quantile: np.ndarray, level: float) -> np.ndarray:
    """Loss of a quantile forecast, elementwise: a unit above the forecast costs `level`."""
    return np.maximum(level * (actual - quantile), (level - 1) * (actual - quantile))
