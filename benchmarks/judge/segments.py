"""Segments of customers: whether they explain later spend, hold still, and come again."""

from __future__ import annotations

import numpy as np
import pandas as pd
from sklearn.metrics import adjusted_rand_score

from benchmarks.judge.customers import HORIZON_DAYS, known_customers, outcomes
from benchmarks.judge.paired import Judgement, Measure, by_model

# Moment -> days before the cut on which customers are assigned, always by the segments of `before`.
MOMENTS = {"before": HORIZON_DAYS, "week": 7, "now": 0}
COUNT_RESAMPLES = 10
RESAMPLES = [f"resample_{number}" for number in range(COUNT_RESAMPLES)]


class RSquared:
    """R2 of predictions."""

    def __init__(self, actual: np.ndarray, predicted: np.ndarray) -> None:
        self._actual, self._squares = actual, (actual - predicted) ** 2
        self.count_rows = len(actual)

    def of(self, counts: np.ndarray) -> np.ndarray:
        """See Measure; NaN for a draw of equal values."""
        sizes, sums = counts.sum(axis=1), counts @ self._actual
        total = counts @ self._actual**2 - sums**2 / sizes
        missed = counts @ self._squares
        return 1 - np.divide(missed, total, out=np.full_like(missed, np.nan), where=total > 1e-9)


def facts_at(days: pd.DataFrame, day: pd.Timestamp) -> pd.DataFrame:
    """Recency, frequency and money of the customers with an order before a day.

    Args:
        days: Columns customer_id, day_date, count_orders, net_amount.
        day: Only days before it are read.

    Returns:
        Columns recency_days, order_days, net_amount (at least 0); index customer_id, ascending.
    """
    past = days[days["day_date"] < day]
    by = past[past["count_orders"] > 0].groupby("customer_id")["day_date"]
    spent = past.groupby("customer_id")["net_amount"].sum().clip(lower=0)
    facts = pd.DataFrame({"recency_days": (day - by.max()).dt.days, "order_days": by.size()})
    return facts.assign(net_amount=spent.reindex(facts.index))


def segments(predictions: pd.DataFrame, days: pd.DataFrame, cut: pd.Timestamp) -> Judgement:
    """Evaluate each model's segments, which were learnt 90 days before the cut.

    Args:
        predictions: Columns model, customer_id, moment (a key of MOMENTS), label, and RESAMPLES:
            labels of `before` by fits to resamples, where the model has them.
        days: Columns customer_id, day_date, count_orders, net_amount; all days, also after the cut.
        cut: First day of the 90 whose spend is explained.

    Returns:
        Figures spend_r2 (of the log of 1 + spend, by the segments' means of the 90 days before),
        stability and lowest_stability (adjusted Rand index, mean and lowest over the resamples),
        weekly_change (share of the customers without an order or refund in the week before the cut
        who changed segment in it), smallest_share, count_segments, unscored (count); measure
        spend_r2.
    """
    customers = known_customers(days, cut)
    start = cut - pd.Timedelta(days=HORIZON_DAYS)
    earlier = known_customers(days, start)
    learnt_from, actual = (
        np.log1p(outcomes(days, some, since, HORIZON_DAYS)["net_amount"])
        for some, since in ((earlier, start), (customers, cut))
    )
    is_week = (days["day_date"] >= cut - pd.Timedelta(days=7)) & (days["day_date"] < cut)
    quiet = customers.difference(pd.Index(days.loc[is_week, "customer_id"].unique()))
    rows: dict[str, dict[str, float]] = {}
    measures: dict[str, Measure] = {}
    for model, frame in by_model(predictions).items():
        labels = {
            moment: of_moment.set_index("customer_id")["label"]
            for moment, of_moment in frame.groupby("moment")
        }
        means = learnt_from.groupby(labels["before"].reindex(earlier)).mean()
        now = labels["now"].reindex(customers)
        predicted = now.map(means).fillna(learnt_from.mean()).to_numpy(dtype=float)
        measures[model] = RSquared(actual.to_numpy(), predicted)
        shares = now.value_counts(normalize=True)
        rows[model] = {
            "spend_r2": float(measures[model].of(np.ones((1, len(customers))))[0]),
            **_stability(frame[frame["moment"] == "before"]),
            "weekly_change": _change(labels["week"], labels["now"], quiet),
            "smallest_share": float(shares.min()) if len(shares) else float("nan"),
            "count_segments": float(len(shares)),
            "unscored": float(now.isna().sum()),
        }
    return Judgement(pd.DataFrame.from_dict(rows, orient="index"), {"spend_r2": measures})


def _stability(before: pd.DataFrame) -> dict[str, float]:
    if not set(RESAMPLES) <= set(before) or before[RESAMPLES].isna().any(axis=None):
        return {"stability": float("nan"), "lowest_stability": float("nan")}
    found = [adjusted_rand_score(before["label"], before[name]) for name in RESAMPLES]
    return {"stability": float(np.mean(found)), "lowest_stability": float(min(found))}


def _change(week: pd.Series, now: pd.Series, quiet: pd.Index) -> float:
    both = pd.DataFrame({"week": week, "now": now}).reindex(quiet).dropna()
    return float((both["week"] != both["now"]).mean())
