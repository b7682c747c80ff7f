"""Stages: probabilities of six stages 90 days later. The rules are written here anew."""

from __future__ import annotations

import numpy as np
import pandas as pd

from benchmarks.judge.calibration import error_and_limit
from benchmarks.judge.customers import known_customers
from benchmarks.judge.paired import Judgement, Mean, Measure, by_model

STAGES = ("new", "active", "loyal", "at_risk", "lost", "won_back")
HORIZON_DAYS = 90
LEAST_PROBABILITY = 1e-4


def stages_at(days: pd.DataFrame, day: pd.Timestamp) -> pd.DataFrame:
    """What the rules read of each customer before a day, and the stage; index customer_id.

    Args:
        days: Columns customer_id, day_date, count_orders; one row per customer and day.
        day: Only days before it are read.

    Returns:
        Columns recency_days, age_days, order_days, order_days_90d, _275d and _365d, last_gap_days,
        stage (a place in STAGES).
    """
    orders = days[(days["day_date"] < day) & (days["count_orders"] > 0)]
    orders = orders.sort_values(["customer_id", "day_date"])
    ago = (day - orders["day_date"]).dt.days
    orders = orders.assign(
        ago=ago, gap=orders.groupby("customer_id")["day_date"].diff().dt.days.fillna(0)
    )
    by = orders.groupby("customer_id")
    frame = pd.DataFrame(
        {
            "recency_days": by["ago"].min(),
            "age_days": by["ago"].max(),
            "order_days": by.size(),
            "last_gap_days": by["gap"].last(),
        }
    )
    for window in (90, 275, 365):
        recent = orders[orders["ago"] <= window].groupby("customer_id").size()
        frame[f"order_days_{window}d"] = recent.reindex(frame.index, fill_value=0)
    back = orders[(orders["gap"] > 180) & (orders["ago"] <= 90)]["customer_id"].unique()
    recent = frame["recency_days"] <= 90
    names = ["won_back", "new", "loyal", "active", "at_risk"]
    conditions = [
        frame.index.isin(back) & recent,
        frame["age_days"] <= 90,
        recent & (frame["order_days_365d"] >= 4),
        recent,
        frame["recency_days"] <= 180,
    ]
    places = [np.full(len(frame), STAGES.index(name)) for name in names]
    frame["stage"] = np.select(conditions, places, STAGES.index("lost"))
    return frame


def stages(predictions: pd.DataFrame, days: pd.DataFrame, cut: pd.Timestamp) -> Judgement:
    """Evaluate each model's probabilities of the stages.

    Args:
        predictions: Columns model, customer_id, and p_<stage> of each stage; a customer without a
            row counts as sure to stay in the present stage.
        days: Columns customer_id, day_date, count_orders; one row per customer and day.
        cut: First day of the horizon.

    Returns:
        Figures log_loss, brier (sum over stages), calibration (mean over stages of the error over
        ten bins of equal count), worst_calibration and worst_calibration_limit, unscored; measures
        log_loss and brier.
    """
    customers = known_customers(days, cut)
    now = stages_at(days, cut)["stage"].reindex(customers).to_numpy()
    later = stages_at(days, cut + pd.Timedelta(days=HORIZON_DAYS))["stage"]
    happened = later.reindex(customers).to_numpy(dtype=int)
    actual = np.eye(len(STAGES))[happened]
    rows: dict[str, dict[str, float]] = {}
    measures: dict[str, dict[str, Measure]] = {"log_loss": {}, "brier": {}}
    for model, frame in by_model(predictions).items():
        given = frame.set_index("customer_id")[[f"p_{name}" for name in STAGES]].reindex(customers)
        probability = np.where(given.isna(), np.eye(len(STAGES))[now], given.to_numpy(dtype=float))
        chosen = probability[np.arange(len(customers)), happened]
        surprise = -np.log(np.maximum(chosen, LEAST_PROBABILITY))
        loss = ((probability - actual) ** 2).sum(axis=1)
        errors = [
            error_and_limit(actual[:, stage] > 0, probability[:, stage], "error")
            for stage in range(len(STAGES))
        ]
        worst = max(errors, key=lambda one: one["error"])
        rows[model] = {
            "log_loss": float(surprise.mean()),
            "brier": float(loss.mean()),
            "calibration": float(np.mean([one["error"] for one in errors])),
            "worst_calibration": float(worst["error"]),
            "worst_calibration_limit": float(worst["error_limit"]),
            "unscored": float(given.isna().any(axis=1).sum()),
        }
        measures["log_loss"][model], measures["brier"][model] = Mean(surprise), Mean(loss)
    return Judgement(pd.DataFrame.from_dict(rows, orient="index"), measures)
