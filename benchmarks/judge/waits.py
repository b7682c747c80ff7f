"""Time to the next order."""

from __future__ import annotations

import numpy as np
import pandas as pd

from benchmarks.judge.calibration import error_and_limit
from benchmarks.judge.customers import HORIZON_DAYS, base_rates, known_customers
from benchmarks.judge.paired import Concordance, Judgement, Mean, Measure, by_model

DAYS = (30, 60, 90, 180)
CALIBRATED_DAYS = (30, 90, 180)


def survival(
    predictions: pd.DataFrame, days: pd.DataFrame, cut: pd.Timestamp, known_days: int
) -> Judgement:
    """Evaluate each model's time to the next order.

    Args:
        predictions: Columns model, customer_id, wait (ranks customers; longer means later), s30,
            s60, s90, s180 (probability of no order by then; a model that only ranks has none).
        days: Columns customer_id, day_date, count_orders, net_amount; all days, also after the cut.
        cut: Day 1 of the wait.
        known_days: Number of known days after the cut. All customers are watched for the same 365,
            180 or 90 of them, so that censoring is the same for all.

    Returns:
        Figures concordance (Harrell), integrated_brier (to 180 days, or as far as known, constant
        hazard between the four days), error_30d, error_90d, error_180d (calibration error over ten
        equal-count bins) and their _limit, unscored (count); measures concordance and
        integrated_brier.
    """
    customers = known_customers(days, cut)
    watched = max((n for n in (365, 180, 90) if n <= known_days), default=known_days)
    wait, is_ordered = waits(days, customers, cut, watched)
    base_rate, _ = base_rates(days, cut, HORIZON_DAYS)
    hazard = -np.log(max(1 - base_rate, 1e-6)) / HORIZON_DAYS
    rows: dict[str, dict[str, float]] = {}
    measures: dict[str, dict[str, Measure]] = {"concordance": {}, "integrated_brier": {}}
    for model, frame in by_model(predictions).items():
        aligned = frame.set_index("customer_id").reindex(customers)
        rank = aligned["wait"].fillna(aligned["wait"].median()).fillna(0).to_numpy()
        measures["concordance"][model] = Concordance(wait, is_ordered, rank)
        figures: dict[str, float] = {}
        if "s90" in aligned and aligned["s90"].notna().any():
            alive = np.column_stack(
                [aligned[f"s{day}"].fillna(np.exp(-hazard * day)) for day in DAYS]
            )
            loss = brier_losses(wait, is_ordered, alive, watched)
            measures["integrated_brier"][model] = Mean(loss)
            for day in CALIBRATED_DAYS:
                if day <= watched:
                    happened = is_ordered & (wait <= day)
                    chance = 1 - alive[:, DAYS.index(day)]
                    figures |= error_and_limit(happened, chance, f"error_{day}d")
        rows[model] = figures | {"unscored": float(aligned["wait"].isna().sum())}
    once = np.ones((1, len(customers)))
    for name, of_models in measures.items():
        for model, measure in of_models.items():
            rows[model] = {name: float(measure.of(once)[0])} | rows[model]
    return Judgement(pd.DataFrame.from_dict(rows, orient="index"), measures)


def waits(
    days: pd.DataFrame, customers: pd.Index, cut: pd.Timestamp, watched: int
) -> tuple[np.ndarray, np.ndarray]:
    """Day of each customer's next order (the cut is day 1), and whether it fell into the watch."""
    later = days[(days["day_date"] >= cut) & (days["count_orders"] > 0)]
    first = later.groupby("customer_id")["day_date"].min().reindex(customers)
    wait = ((first - cut).dt.days + 1).to_numpy(dtype=float)
    is_ordered = np.isfinite(wait) & (wait <= watched)
    return np.where(is_ordered, wait, watched), is_ordered


def brier_losses(
    wait: np.ndarray, is_ordered: np.ndarray, alive: np.ndarray, watched: int
) -> np.ndarray:
    """Each customer's mean Brier loss of S(t) over t = 1..min(180, watched), shape (n,).

    No customer is censored by then.

    Args:
        wait: Days to the next order, shape (n,).
        is_ordered: Whether the order came while watched, shape (n,).
        alive: S at DAYS, shape (n, 4).
        watched: Days of the watch.

    Source:
        Graf and others (1999), Statistics in Medicine 18:2529-2545.
    """
    end = min(watched, DAYS[-1])
    logs = np.log(np.clip(np.column_stack([np.ones(len(alive)), alive]), 1e-12, 1))
    knots = np.array([0, *DAYS])
    total = np.zeros(len(alive))
    for day in range(1, end + 1):
        right = int(np.searchsorted(knots, day))
        share = (day - knots[right - 1]) / (knots[right] - knots[right - 1])
        survival = np.exp((1 - share) * logs[:, right - 1] + share * logs[:, right])
        still_away = ~(is_ordered & (wait <= day))
        total += (still_away - survival) ** 2
    return total / end
