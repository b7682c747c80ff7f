"""Churn and value: probabilities of an order, and net spend."""

from __future__ import annotations

import numpy as np
import pandas as pd

from benchmarks.judge.calibration import error_and_limit, randomised_pit, uniformity
from benchmarks.judge.paired import Auc, Gini, Judgement, Mean, Measure, by_model
from ml_tasks.evaluation import metrics

HORIZON_DAYS = 90
QUANTILES = ["spend_p10", "spend_p50", "spend_p90"]
IF_BUYING = ["if_buying_p10", "if_buying_p90"]

Figures = dict[str, float | str]


def known_customers(days: pd.DataFrame, cut: pd.Timestamp) -> pd.Index:
    """Customers with an order before a cut, ascending."""
    is_past = (days["day_date"] < cut) & (days["count_orders"] > 0)
    return pd.Index(np.sort(days.loc[is_past, "customer_id"].unique()), name="customer_id")


def outcomes(
    days: pd.DataFrame, customers: pd.Index, cut: pd.Timestamp, horizon_days: int
) -> pd.DataFrame:
    """Orders and net spend (at least 0) of each customer in [cut, cut + horizon)."""
    end = cut + pd.Timedelta(days=horizon_days)
    window = days[(days["day_date"] >= cut) & (days["day_date"] < end)]
    sums = window.groupby("customer_id")[["count_orders", "net_amount"]].sum()
    return sums.reindex(customers, fill_value=0).clip(lower=0).astype(float)


def base_rates(days: pd.DataFrame, cut: pd.Timestamp, horizon_days: int) -> tuple[float, float]:
    """Share of customers who ordered, and mean spend, in the last horizon known at a cut.

    An unscored customer counts with these.
    """
    start = cut - pd.Timedelta(days=horizon_days)
    happened = outcomes(days, known_customers(days, start), start, horizon_days)
    if happened.empty:
        return 0.5, 0.0
    return float((happened["count_orders"] > 0).mean()), float(happened["net_amount"].mean())


def churn(predictions: pd.DataFrame, days: pd.DataFrame, cut: pd.Timestamp) -> Judgement:
    """Evaluate each model's probability of an order in the next 90 days.

    Args:
        predictions: Columns model, customer_id, order_probability.
        days: Columns customer_id, day_date, count_orders, net_amount; all days, also after the cut.
        cut: First day of the 90.

    Returns:
        Figures auc, brier, calibration_error, calibration_error_limit (the 95 % point of a perfect
        model with the same probabilities), unscored (count); measures auc and brier.
    """
    customers = known_customers(days, cut)
    event = outcomes(days, customers, cut, HORIZON_DAYS)["count_orders"].to_numpy() > 0
    base_rate, _ = base_rates(days, cut, HORIZON_DAYS)
    rows: dict[str, Figures] = {}
    measures: dict[str, dict[str, Measure]] = {"auc": {}, "brier": {}}
    for model, frame in by_model(predictions).items():
        chance = frame.set_index("customer_id")["order_probability"].reindex(customers)
        probability = chance.fillna(base_rate).to_numpy()
        loss = (probability - event) ** 2
        rows[model] = {
            "auc": metrics.auc(event, probability),
            "brier": float(loss.mean()),
            **error_and_limit(event, probability, "calibration_error"),
            "unscored": float(chance.isna().sum()),
        }
        measures["auc"][model] = Auc(event, probability)
        measures["brier"][model] = Mean(loss)
    return Judgement(pd.DataFrame.from_dict(rows, orient="index"), measures)


def clv(
    predictions: pd.DataFrame, days: pd.DataFrame, cut: pd.Timestamp, horizon_days: int
) -> Judgement:
    """Evaluate each model's net spend.

    Args:
        predictions: Columns model, customer_id, and those that the model has of spend (mean),
            spend_probability, spend_p10, _p50 and _p90, if_buying_p10 and _p90 (quantiles of those
            who spend).
        days: As in `churn`.
        cut: First day of the horizon.
        horizon_days: 90 or 365.

    Returns:
        Figures gini and total_error (of the mean), mae and mae_of (`median`, or `mean` where the
        model has no median), spend_calibration and its _limit, coverage (of the 80 % band, of
        all), coverage_if_buying (of those who spend), pit_distance and pit_p (of the band together
        with the chance), unscored (count); measures gini and mae.
    """
    customers = known_customers(days, cut)
    amount = outcomes(days, customers, cut, horizon_days)["net_amount"].to_numpy()
    _, base_amount = base_rates(days, cut, horizon_days)
    rows: dict[str, Figures] = {}
    measures: dict[str, dict[str, Measure]] = {"gini": {}, "mae": {}}
    for model, frame in by_model(predictions).items():
        of_model = (
            frame.set_index("customer_id").reindex(customers).dropna(axis="columns", how="all")
        )
        figures: Figures = {}
        point, kind = None, ""
        if "spend" in of_model:
            point, kind = of_model["spend"].fillna(base_amount).to_numpy(dtype=float), "mean"
            figures |= {
                "gini": metrics.normalised_gini(amount, point),
                "total_error": metrics.total_error(amount, point),
            }
            measures["gini"][model] = Gini(amount, point)
        if "spend_p50" in of_model:
            point, kind = of_model["spend_p50"].fillna(0).to_numpy(dtype=float), "median"
        if point is not None:
            loss = np.abs(point - amount)
            figures |= {"mae": float(loss.mean()), "mae_of": kind}
            measures["mae"][model] = Mean(loss)
        first = next((name for name in ("spend", "spend_p50") if name in of_model), None)
        unscored = of_model[first].isna().sum() if first else len(customers)
        rows[model] = figures | _spread(of_model, amount) | {"unscored": float(unscored)}
    return Judgement(pd.DataFrame.from_dict(rows, orient="index"), measures)


def _spread(of_model: pd.DataFrame, amount: np.ndarray) -> Figures:
    """Figures of the probabilities and bands that the model has, over customers with them."""
    figures: Figures = {}
    if "spend_probability" in of_model:
        given = of_model["spend_probability"].notna().to_numpy()
        chance = of_model["spend_probability"].to_numpy(dtype=float)[given]
        figures |= error_and_limit(amount[given] > 0, chance, "spend_calibration")
    figures["coverage"] = _coverage(of_model, ["spend_p10", "spend_p90"], amount)
    is_buying = amount > 0
    figures["coverage_if_buying"] = _coverage(of_model[is_buying], IF_BUYING, amount[is_buying])
    if {"spend_probability", *QUANTILES} <= set(of_model):
        given = of_model[["spend_probability", *QUANTILES]].notna().all(axis=1).to_numpy()
        if given.any():
            chance = of_model["spend_probability"].to_numpy(dtype=float)[given]
            bands = of_model[QUANTILES].to_numpy(dtype=float)[given]
            figures |= uniformity(randomised_pit(amount[given], chance, bands))
    return figures


def _coverage(of_model: pd.DataFrame, columns: list[str], actual: np.ndarray) -> float:
    """Share of the actual values inside [lower, upper], among customers with a band."""
    if not set(columns) <= set(of_model):
        return float("nan")
    low, high = (of_model[name].to_numpy(dtype=float) for name in columns)
    given = np.isfinite(low) & np.isfinite(high)
    if not given.any():
        return float("nan")
    return float(np.mean((actual >= low)[given] & (actual <= high)[given]))
