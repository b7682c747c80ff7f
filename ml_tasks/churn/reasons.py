"""Why a customer's churn is what it is: what each feature adds, against an average customer.

The trees' part is split by exact tree SHAP values, the clock's part (or a plain BG/NBD's) by
Shapley values of its three inputs, which are few enough to try every order. Both add up to the log
odds, so nothing is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import permutations

import numpy as np
import pandas as pd

from ml_tasks.churn.baselines import Baseline, OrderProcess, RecencyLogistic
from ml_tasks.churn.model import ClockTrees
from ml_tasks.churn.outcomes import HORIZON_DAYS
from ml_tasks.shared import levels
from ml_tasks.shared.buying_clock import BuyingClock
from ml_tasks.shared.customer_matrix import history_days, matrix

COUNT_REASONS = 3
# What the clock's inputs are called elsewhere.
OF_CLOCK = {"x": "count_orders", "since": "days_since_last_order", "age": "days_since_first_order"}
COLUMNS = ("customer_id", "reason_rank", "feature", "feature_value", "contribution_log_odds")


def reasons(model: ClockTrees | Baseline, snapshot: pd.DataFrame) -> pd.DataFrame:
    """The features that moved each customer most, up or down.

    Returns:
        A row per customer and rank (1 moved most): COLUMNS and `reason`, in words. The contribution
        is in log odds of churn: above 0 it raises the risk. A model of fewer features has fewer.
    """
    snapshot = snapshot.assign(days_watched=history_days(snapshot))  # which a part can't tell
    parts = [
        _ranked(by_feature, snapshot.iloc[rows])
        for rows, by_feature in contributions(model, snapshot)
    ]
    if not parts:
        return pd.DataFrame(columns=[*COLUMNS, "reason"])
    return pd.concat(parts, ignore_index=True)


def contributions(
    model: ClockTrees | Baseline, snapshot: pd.DataFrame
) -> Iterator[tuple[slice, pd.DataFrame]]:
    """What each feature adds to the log odds of churn, part by part.

    Yields:
        Rows, and a column per feature.
    """
    if isinstance(model, RecencyLogistic):
        if len(snapshot):
            yield slice(0, len(snapshot)), _of_rule(model, snapshot)
        return
    if isinstance(model, OrderProcess):
        if len(snapshot):
            yield slice(0, len(snapshot)), -_of_clock(model, model.typical, snapshot)
        return
    for rows, by_feature in model.trees.contributions(snapshot):
        of_clock = _of_clock(model.clock, model.typical, snapshot.iloc[rows]) * model.trees.slope
        yield rows, -by_feature.add(of_clock, fill_value=0.0)


def in_words(feature: str, value: float, gap_days: float) -> str:
    """A feature's value as a reader would say it.

    Args:
        feature: Its name.
        value: Its value; NaN where the customer has none.
        gap_days: The customer's average days between orders; NaN with one order day.
    """
    if np.isnan(value):
        return UNKNOWN.get(feature, f"no {feature.replace('_', ' ')}")
    if feature == "days_since_last_order":
        if np.isnan(gap_days):
            return f"only order {_days(value)} ago"
        usual = "longer" if value > gap_days else "no longer"
        return f"last order {_days(value)} ago, {usual} than usual"
    return WORDS[feature](value)


def _ranked(by_feature: pd.DataFrame, snapshot: pd.DataFrame) -> pd.DataFrame:
    count = min(COUNT_REASONS, by_feature.shape[1])
    table = by_feature.to_numpy()
    order = np.argsort(-np.abs(table), axis=1, kind="stable")[:, :count]
    row = np.arange(len(table))[:, None]
    # the trees read no count of orders, and of the days since the first at most 365
    known = matrix(snapshot)
    for name in ("count_orders", "days_since_first_order"):
        known[name] = snapshot[name]
    values = known[list(by_feature.columns)].to_numpy(dtype=float)
    names = by_feature.columns.to_numpy(dtype=object)[order].ravel()
    said = pd.DataFrame(
        {
            "customer_id": np.repeat(snapshot["customer_id"].to_numpy(dtype=object), count),
            "reason_rank": np.tile(np.arange(1, count + 1), len(table)),
            "feature": names,
            "feature_value": values[row, order].ravel(),
            "contribution_log_odds": table[row, order].ravel(),
        }
    )
    gaps = np.repeat(snapshot["avg_days_between_orders"].to_numpy(dtype=float), count)
    effect = np.where(said["contribution_log_odds"] > 0, "raises the risk", "lowers the risk")
    said["reason"] = [
        f"{in_words(name, value, gap)}: {does}"
        for name, value, gap, does in zip(names, said["feature_value"], gaps, effect, strict=True)
    ]
    return said


def _of_rule(model: RecencyLogistic, snapshot: pd.DataFrame) -> pd.DataFrame:
    day, order = np.log1p(
        snapshot[["days_since_last_order", "count_orders"]].to_numpy(dtype=float)
    ).T
    return pd.DataFrame(
        {
            "days_since_last_order": -model.per_log_day * (day - model.mean_log_day),
            "count_orders": -model.per_log_order * (order - model.mean_log_order),
        }
    )


def _of_clock(
    clock: BuyingClock | OrderProcess, typical: dict[str, float], snapshot: pd.DataFrame
) -> pd.DataFrame:
    """Shapley values of the log odds of an order, over the three inputs.

    Source:
        Shapley (1953), doi 10.1515/9781400881970-018: the mean over all orders in which the
        customer's own values replace the typical ones.
    """
    own = clock.histories(snapshot, HORIZON_DAYS)
    known: dict[frozenset[str], np.ndarray] = {}

    def log_odds(inputs: frozenset[str]) -> np.ndarray:
        if inputs not in known:
            mixed = own.assign(**{name: typical[name] for name in OF_CLOCK if name not in inputs})
            known[inputs] = levels.log_odds(clock.order_probability(mixed))
        return known[inputs]

    total = {name: np.zeros(len(own)) for name in OF_CLOCK}
    orders = list(permutations(OF_CLOCK))
    for order in orders:
        for place, name in enumerate(order):
            before = frozenset(order[:place])
            total[name] += (log_odds(before | {name}) - log_odds(before)) / len(orders)
    return pd.DataFrame({OF_CLOCK[name]: value for name, value in total.items()})


def _days(value: float) -> str:
    return f"{value:.0f} day{'' if round(value) == 1 else 's'}"


def _counted(what: str, suffix: str = "") -> Callable[[float], str]:
    return lambda value: f"{value:.0f} {what}{'' if round(value) == 1 else 's'}{suffix}"


def _amount(text: str) -> Callable[[float], str]:
    return lambda value: text.format(f"{value:.2f}")


WORDS: dict[str, Callable[[float], str]] = {
    "count_orders": _counted("order", " so far"),
    "days_since_first_order": lambda value: f"first order {_days(value)} ago",
    **{
        f"count_orders_{days}d": _counted("order", f" in the last {days} days")
        for days in (30, 90, 180, 365)
    },
    **{
        f"net_spend_amount_{days}d": _amount(f"{{}} spent in the last {days} days")
        for days in (30, 90, 180, 365)
    },
    "count_active_months_365d": _counted("month", " with an order in the last year"),
    "avg_order_amount": _amount("{} an order on average"),
    "max_order_amount": _amount("largest order {}"),
    "last_order_amount": _amount("last order of {}"),
    "first_order_amount": _amount("first order of {}"),
    "avg_days_between_orders": lambda value: f"{_days(value)} between orders on average",
    "stddev_days_between_orders": lambda value: f"days between orders vary by {value:.0f}",
    "refund_amount_365d": _amount("{} refunded in the last year"),
    "count_units_365d": _counted("unit", " bought in the last year"),
    "order_days_per_day": lambda value: f"{value * 365:.1f} days with an order a year",
    "net_spend_per_day": lambda value: f"{value * 365:.2f} spent a year",
    "recency_of_age": lambda value: f"silent for {value:.0%} of the time since the first order",
    "recency_of_gap": lambda value: f"silent {value:.1f} times as long as usual between orders",
    "count_orders_season_last_year": _counted("order", " in the same 90 days last year"),
    "net_spend_amount_season_last_year": _amount("{} spent in the same 90 days last year"),
}
UNKNOWN = {
    "avg_days_between_orders": "orders on one day only",
    "stddev_days_between_orders": "too few orders for a rhythm",
    "recency_of_gap": "orders on one day only, so no usual gap",
    "count_orders_season_last_year": "the shop was not watched yet a year ago",
    "net_spend_amount_season_last_year": "the shop was not watched yet a year ago",
}
