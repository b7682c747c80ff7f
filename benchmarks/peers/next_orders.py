"""Next orders: constants, the customer's own history, trees on absolute errors of logarithms."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from xgboost import XGBRegressor

from benchmarks.predictions import Predictions, for_each_cut

HORIZON_DAYS, RECENT_DAYS, STEP_DAYS = 90, 28, 30
LEAST_DAYS = 60  # of history before the first date to learn from
PRIOR_ORDER_DAYS = 3.0
SHOWN = 3
TREES = {"n_estimators": 150, "objective": "reg:absoluteerror", "random_state": 7, "n_jobs": 1}
COLUMNS = [
    *("recency_days", "age_days", "order_days", "median_gap", "last_gap", "sd_gap"),
    *("mean_amount", "median_amount", "last_amount", "season_sin", "season_cos"),
]


def predict(folder: Path, cut: pd.Timestamp) -> Predictions:
    """All peers at one cut."""
    days = pd.read_parquet(folder / "customer_days.parquet")
    days = days[days["count_orders"] > 0].sort_values(["customer_id", "day_date"])
    families = pd.read_parquet(folder / "day_families.parquet")
    predictions, now = Predictions(), facts(days, cut)
    past = _past(days, cut)
    named = usual(families, cut), own_families(families, now), last_families(families, now)
    if len(past):
        _simple(predictions, past, now, named)
        _trees(predictions, past, now)
    return predictions


def facts(days: pd.DataFrame, day: pd.Timestamp) -> pd.DataFrame:
    """What is known of each customer with an order before a day; index customer_id, ascending.

    Args:
        days: Order days, by customer and day; columns customer_id, day_date, gross_spend_amount.
        day: Only days before it are read.
    """
    past = days[days["day_date"] < day]
    past = past.assign(gap=past.groupby("customer_id")["day_date"].diff().dt.days)
    by = past.groupby("customer_id")
    amount, gap = by["gross_spend_amount"], by["gap"]
    angle = 2 * np.pi * day.dayofyear / 365
    return pd.DataFrame(
        {
            "last_date": by["day_date"].max(),
            "recency_days": (day - by["day_date"].max()).dt.days,
            "age_days": (day - by["day_date"].min()).dt.days,
            "order_days": by.size(),
            "median_gap": gap.median(),
            "last_gap": gap.last(),
            "sd_gap": gap.std(),
            "mean_amount": amount.mean().astype(float),
            "median_amount": amount.median().astype(float),
            "last_amount": amount.last().astype(float),
            "season_sin": np.sin(angle),
            "season_cos": np.cos(angle),
        }
    )


def _past(days: pd.DataFrame, cut: pd.Timestamp) -> pd.DataFrame:
    """Facts on earlier dates of customers who ordered within 90 days, with wait and amount."""
    frames = [pd.DataFrame()]
    oldest = days["day_date"].min() + pd.Timedelta(days=LEAST_DAYS)
    day = cut - pd.Timedelta(days=HORIZON_DAYS)
    while day >= oldest:
        end = day + pd.Timedelta(days=HORIZON_DAYS)
        window = days[(days["day_date"] >= day) & (days["day_date"] < end)]
        first = window.drop_duplicates("customer_id").set_index("customer_id")
        known = facts(days, day)
        known = known.loc[known.index.intersection(first.index)]
        first = first.loc[known.index]
        wait = (first["day_date"] - day).dt.days + 1
        frames.append(known.assign(wait=wait, amount=first["gross_spend_amount"].astype(float)))
        day -= pd.Timedelta(days=STEP_DAYS)
    return pd.concat(frames)


def _simple(
    predictions: Predictions, past: pd.DataFrame, now: pd.DataFrame, named: tuple[pd.Series, ...]
) -> None:
    ids = {"customer_id": now.index}
    usual_wait = np.full(len(now), past["wait"].median() - 1)
    usual_families, own, last = named
    low, high = past["wait"].quantile([0.1, 0.9])
    levels = {"amount_p10": 0.1, "amount_p50": 0.5, "amount_p90": 0.9}
    amounts = {name: past["amount"].quantile(level) for name, level in levels.items()}
    predictions.add(
        "constant", ids, days_p10=low - 1, days_p50=usual_wait, days_p90=high - 1,
        amount=past["amount"].mean(), **amounts,
        families=pd.Series([usual_families.index.tolist()] * len(now)),
    )  # fmt: skip
    due = now["median_gap"] - now["recency_days"]
    predictions.add(
        "own_history", ids, days_p50=np.where(due >= 0, due, usual_wait),
        amount_p50=now["median_amount"].to_numpy(), families=own.to_numpy(),
    )  # fmt: skip
    predictions.add("own_mean", ids, amount_p50=now["mean_amount"].to_numpy())
    predictions.add(
        "last_order", ids, amount_p50=now["last_amount"].to_numpy(), families=last.to_numpy()
    )


def _trees(predictions: Predictions, past: pd.DataFrame, now: pd.DataFrame) -> None:
    with predictions.timed("xgboost_log_absolute"):
        found = {}
        for name, target in (("days_p50", "wait"), ("amount_p50", "amount")):
            actual = np.log(past[target].clip(lower=0.01))
            model = XGBRegressor(**TREES).fit(past[COLUMNS], actual)
            found[name] = np.exp(model.predict(now[COLUMNS]))
        found["days_p50"] = found["days_p50"] - 1
        predictions.add("xgboost_log_absolute", {"customer_id": now.index}, **found)


def usual(families: pd.DataFrame, cut: pd.Timestamp) -> pd.Series:
    """Order days of the last 28 with each of the most usual families, SHOWN of them.

    Args:
        families: Columns customer_id, day_date, family; days before the cut.
        cut: The date.
    """
    recent = families[families["day_date"] >= cut - pd.Timedelta(days=RECENT_DAYS)]
    return recent["family"].value_counts().sort_index().nlargest(SHOWN, keep="first")


def own_families(families: pd.DataFrame, now: pd.DataFrame) -> pd.Series:
    """The families with the largest own share of order days, shrunk by 3 order days of all."""
    counts = families.groupby(["customer_id", "family"]).size().unstack(fill_value=0)
    counts = counts.reindex(now.index, fill_value=0)
    order_days = now["order_days"].to_numpy(dtype=float)
    share = counts.to_numpy(dtype=float).sum(axis=0) / order_days.sum()
    weight = (order_days + PRIOR_ORDER_DAYS)[:, None]
    shrunk = (counts.to_numpy() + PRIOR_ORDER_DAYS * share) / weight
    best = np.argsort(-shrunk, axis=1, kind="stable")[:, :SHOWN]
    names = np.array(counts.columns, dtype=object)[best]
    return pd.Series(names.tolist(), index=now.index)


def last_families(families: pd.DataFrame, now: pd.DataFrame) -> pd.Series:
    """The families of the last order day, those most usual of all customers first."""
    overall = families["family"].value_counts()
    last = families.merge(
        now["last_date"].rename("day_date").reset_index(), on=["customer_id", "day_date"]
    )
    last = last.assign(count=last["family"].map(overall))
    last = last.sort_values(["customer_id", "count", "family"], ascending=[True, False, True])
    found = last.groupby("customer_id")["family"].agg(lambda names: list(names[:SHOWN]))
    return found.reindex(now.index).apply(lambda names: names if isinstance(names, list) else [])


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    for_each_cut(sys.argv[1:], predict)
