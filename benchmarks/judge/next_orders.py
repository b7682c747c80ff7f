"""Next orders: when, how much and what, of the customers who order within 90 days."""

from __future__ import annotations

import numpy as np
import pandas as pd

from benchmarks.judge.customers import HORIZON_DAYS, known_customers
from benchmarks.judge.paired import Judgement, Mean, Measure, by_model

SHOWN = 3
SOON_DAYS = 7
DATES = ["days_p10", "days_p50", "days_p90"]
AMOUNTS = ["amount_p10", "amount_p50", "amount_p90"]


def next_orders(days: pd.DataFrame, cut: pd.Timestamp) -> pd.DataFrame:
    """The first order day from a cut on of each known customer who orders within 90 days.

    Args:
        days: Columns customer_id, day_date, count_orders, gross_spend_amount.
        cut: First day of the 90.

    Returns:
        Columns day_date, wait (1 for an order on the cut), amount (gross of refunds); index
        customer_id, ascending.
    """
    end = cut + pd.Timedelta(days=HORIZON_DAYS)
    is_next = (days["day_date"] >= cut) & (days["day_date"] < end) & (days["count_orders"] > 0)
    first = days[is_next].sort_values(["customer_id", "day_date"]).drop_duplicates("customer_id")
    first = first.set_index("customer_id")
    first = first.loc[first.index.intersection(known_customers(days, cut)).sort_values()]
    return pd.DataFrame(
        {
            "day_date": first["day_date"],
            "wait": (first["day_date"] - cut).dt.days + 1,
            "amount": first["gross_spend_amount"].astype(float),
        }
    )


def judged(
    predictions: pd.DataFrame, days: pd.DataFrame, families: pd.DataFrame, cut: pd.Timestamp
) -> Judgement:
    """Evaluate each model's date, amount and families.

    Args:
        predictions: Columns model, customer_id, and those that the model has of days_p10, _p50,
            _p90 (0 for the cut), amount (mean), amount_p10, _p50, _p90, families (three names).
        days: See `next_orders`.
        families: Columns customer_id, day_date, family.
        cut: First day of the 90.

    Returns:
        Figures log_days_error, within_7_days, date_coverage, log_amount_error, amount_mae,
        total_error (of the mean, of the median where there is none), amount_coverage,
        precision_at_3 (of customers with a family in their next order), unscored; measures
        log_days_error, log_amount_error, precision_at_3.
    """
    ordered = next_orders(days, cut)
    baskets = _baskets(ordered, families)
    rows: dict[str, dict[str, float]] = {}
    measures: dict[str, dict[str, Measure]] = {}
    for model, frame in by_model(predictions).items():
        given = frame.set_index("customer_id").reindex(ordered.index)
        errors = _of_days(given, ordered) | _of_amount(given, ordered)
        errors |= _of_families(given, baskets)
        rows[model] = {name: float(values.mean()) for name, values in errors.items()}
        rows[model] |= _total(given, ordered)
        rows[model]["unscored"] = float((~ordered.index.isin(frame["customer_id"])).sum())
        for name in ("log_days_error", "log_amount_error", "precision_at_3"):
            if name in errors:
                measures.setdefault(name, {})[model] = Mean(errors[name])
    return Judgement(pd.DataFrame.from_dict(rows, orient="index"), measures)


def _of_days(given: pd.DataFrame, ordered: pd.DataFrame) -> dict[str, np.ndarray]:
    if not _has(given, ["days_p50"]):
        return {}
    wait = ordered["wait"].to_numpy(dtype=float)
    predicted = given["days_p50"].to_numpy(dtype=float).clip(0, HORIZON_DAYS - 1) + 1
    found = {
        "log_days_error": np.abs(np.log(wait) - np.log(predicted)),
        "within_7_days": (np.abs(wait - predicted) <= SOON_DAYS).astype(float),
    }
    if _has(given, DATES):
        lower, upper = given["days_p10"] + 1, given["days_p90"] + 1
        found["date_coverage"] = ((lower <= wait) & (wait <= upper)).to_numpy(dtype=float)
    return found


def _of_amount(given: pd.DataFrame, ordered: pd.DataFrame) -> dict[str, np.ndarray]:
    if not _has(given, ["amount_p50"]):
        return {}
    amount = ordered["amount"].to_numpy()
    median = given["amount_p50"].to_numpy(dtype=float)
    logs = (np.log(np.maximum(values, 0.01)) for values in (amount, median))
    found = {
        "log_amount_error": np.abs(next(logs) - next(logs)),
        "amount_mae": np.abs(amount - median),
    }
    if _has(given, AMOUNTS):
        lower, upper = (given[name].to_numpy(dtype=float) for name in ("amount_p10", "amount_p90"))
        found["amount_coverage"] = ((lower <= amount) & (amount <= upper)).astype(float)
    return found


def _total(given: pd.DataFrame, ordered: pd.DataFrame) -> dict[str, float]:
    for name in ("amount", "amount_p50"):
        if _has(given, [name]):
            return {"total_error": float(given[name].sum() / ordered["amount"].sum() - 1)}
    return {}


def _of_families(given: pd.DataFrame, baskets: pd.Series) -> dict[str, np.ndarray]:
    if "families" not in given or baskets.empty:
        return {}
    named = given["families"].reindex(baskets.index)
    if named.isna().all():
        return {}
    hits = [
        len(basket.intersection(names[:SHOWN])) / SHOWN if names is not None else 0.0
        for basket, names in zip(baskets, named.where(named.notna(), None), strict=True)
    ]
    return {"precision_at_3": np.array(hits)}


def _baskets(ordered: pd.DataFrame, families: pd.DataFrame) -> pd.Series:
    """Customer -> set of families in the next order, where there is any."""
    next_days = ordered["day_date"].reset_index()
    found = families.merge(next_days, on=["customer_id", "day_date"])
    return found.groupby("customer_id")["family"].agg(set)


def _has(given: pd.DataFrame, columns: list[str]) -> bool:
    """Whether the model predicts these of the buyers.

    Raises:
        ValueError: If it does of some only; its figures would be those of other rows.
    """
    if not set(columns) <= set(given):
        return False
    missing = given[columns].isna().any(axis=1)
    if missing.any() and not missing.all():
        raise ValueError(f"{missing.sum()} of {len(given)} buyers lack {', '.join(columns)}")
    return not missing.any()
