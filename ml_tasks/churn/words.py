"""Reasons as countable codes and as sentences, each with the rule for when it may be shown."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd

from ml_tasks.churn.profile import GROUPS, Usual, rhythm_days
from ml_tasks.customers.matrix import DAYS_OF_YEAR

AS_USUAL = "as_usual"
# A customer orders clearly faster than usual up to this share of the usual days between orders.
CLEARLY_FASTER = 0.8
NOTHING_APART = "nothing sets them apart from the shop's usual customer"


class Code(NamedTuple):
    """A reason, and the customers who may have it.

    Attributes:
        group: One of GROUPS.
        is_raising: Whether the reason raises the risk of churn; a code never does both.
        is_plain: Facts -> whether plain sense allows the reason, shape (n,).
        feature: Column of the facts that the reason shows.
        usual: Column of the facts with the usual value beside it.
        sentence: Row of facts -> sentence.
    """

    group: str
    is_raising: bool
    is_plain: Callable[[pd.DataFrame], pd.Series]
    feature: str
    usual: str
    sentence: Callable[[dict[str, float]], str]


def facts(snapshot: pd.DataFrame, usual: Usual) -> pd.DataFrame:
    """What sentences and rules read: each customer's figures beside the usual ones.

    Args:
        snapshot: Columns of features.customer_snapshots.
        usual: As of `profile.usual_of`.

    Returns:
        The rows and index of `snapshot`. Columns: the customer's own figures, rhythm_days, and the
        usual figures, with names that begin with `usual_`.
    """
    own = {
        "customer_id", "days_since_last_order", "days_since_first_order", "count_orders",
        "count_order_days", "avg_order_amount", "refund_amount_365d", "first_order_amount",
        "count_orders_season_last_year",
    }  # fmt: skip
    frame = snapshot[sorted(own)].copy()
    frame["rhythm_days"] = rhythm_days(snapshot, usual)
    for name in ("avg_order_amount", "first_order_amount", "refund_amount_365d"):
        frame[f"usual_{name}"] = usual[name]
    frame["usual_gap_days"] = max(round(usual["gap_days"]), 1)
    frame["usual_count_orders"] = usual["count_order_days"]
    frame["usual_season"] = usual["count_orders_season_last_year"]
    return frame


def codes(facts: pd.DataFrame, is_raising: np.ndarray) -> np.ndarray:
    """The reason code of each customer and group, "" where plain sense allows none.

    Args:
        facts: As of `facts`.
        is_raising: Whether the group's contribution raises the risk, shape (n, len(GROUPS)).

    Returns:
        Keys of CODES or "", shape (n, len(GROUPS)).
    """
    allowed = np.full(is_raising.shape, "", dtype=object)
    for name, code in CODES.items():
        place = GROUPS.index(code.group)
        is_it = (is_raising[:, place] == code.is_raising) & code.is_plain(facts).to_numpy()
        allowed[is_it, place] = name
    return allowed


def described(facts: pd.DataFrame, code: np.ndarray) -> dict[str, np.ndarray]:
    """Columns feature, feature_value, usual_value and reason for each row's code.

    Args:
        facts: As of `facts`, n rows.
        code: Keys of CODES or AS_USUAL, shape (n,).

    Returns:
        Column -> array of shape (n,). A row that is as usual has no feature, NaN values and the
        sentence NOTHING_APART.
    """
    feature = np.full(len(facts), None, dtype=object)
    value, beside = np.full(len(facts), np.nan), np.full(len(facts), np.nan)
    sentence = np.full(len(facts), NOTHING_APART, dtype=object)
    for name, known in CODES.items():
        is_it = code == name
        rows = facts[is_it]
        feature[is_it] = known.feature
        value[is_it] = rows[known.feature].to_numpy(dtype=float)
        beside[is_it] = rows[known.usual].to_numpy(dtype=float)
        does = "raises the risk" if known.is_raising else "lowers the risk"
        records = rows.drop(columns="customer_id").to_dict("records")
        sentence[is_it] = [f"{known.sentence(row)}: {does}" for row in records]
    return {"feature": feature, "feature_value": value, "usual_value": beside, "reason": sentence}


def _counted(number: float, what: str) -> str:
    return f"{number:.0f} {what}{'' if round(number) == 1 else 's'}"


def _silence(row: dict[str, float]) -> str:
    ago = f"{_counted(row['days_since_last_order'], 'day')} ago"
    if row["count_order_days"] == 1:
        return f"only order {ago}, a second one usually takes {_days(row['rhythm_days'])}"
    return f"last order {ago}, the next one usually takes them {_days(row['rhythm_days'])}"


def _days(number: float) -> str:
    return _counted(number, "day")


def _often(row: dict[str, float]) -> str:
    is_faster = row["rhythm_days"] <= CLEARLY_FASTER * row["usual_gap_days"]
    return _orders(row, with_count=True, with_pace=is_faster)


def _rarely(row: dict[str, float]) -> str:
    is_fewer = row["count_orders"] < row["usual_count_orders"]
    is_slower = CLEARLY_FASTER * row["rhythm_days"] >= row["usual_gap_days"]
    return _orders(row, with_count=is_fewer, with_pace=is_slower)


def _orders(row: dict[str, float], *, with_count: bool, with_pace: bool) -> str:
    """The number of orders and, where wanted, the usual number and the pace beside the usual."""
    usual = f" ({row['usual_count_orders']:.0f} usual in the shop)" if with_count else ""
    text = f"{_counted(row['count_orders'], 'order')} so far{usual}"
    if not with_pace or row["count_order_days"] == 1:
        return text
    return (
        f"{text}, about one in {_days(row['rhythm_days'])} "
        f"({row['usual_gap_days']:.0f} usual in the shop)"
    )


def _amount(feature: str, what: str) -> Callable[[dict[str, float]], str]:
    return lambda row: (
        f"{what.format(f'{row[feature]:.2f}')} ({row[f'usual_{feature}']:.2f} usual in the shop)"
    )


def _season(row: dict[str, float]) -> str:
    orders = (
        _counted(row["count_orders_season_last_year"], "order")
        if (row["count_orders_season_last_year"])
        else "no order"
    )
    return f"{orders} in the same 90 days last year"


def _returns(row: dict[str, float]) -> str:
    return f"{row['refund_amount_365d']:.2f} refunded in the last year"


_OF_SILENCE = ("days_since_last_order", "rhythm_days", _silence)
_OF_FREQUENCY = ("count_orders", "usual_count_orders")
_OF_AMOUNT = (
    "avg_order_amount", "usual_avg_order_amount", _amount("avg_order_amount", "{} an order")
)  # fmt: skip
_OF_BEGINNING = (
    "first_order_amount", "usual_first_order_amount",
    _amount("first_order_amount", "first order of {}"),
)  # fmt: skip
_OF_SEASON = ("count_orders_season_last_year", "usual_season", _season)


def _is_no_frequent_buyer(rows: pd.DataFrame) -> pd.Series:
    is_fewer = rows["count_orders"] < rows["usual_count_orders"]
    is_rarer = CLEARLY_FASTER * rows["rhythm_days"] >= rows["usual_gap_days"]
    return is_fewer | ((rows["count_orders"] == rows["usual_count_orders"]) & is_rarer)


# A raising code needs the customer's activity below a bound, a lowering code needs it above one:
# one more order, or a later one, never brings a customer a reason that raises the risk.
CODES: dict[str, Code] = {
    "long_silence": Code(
        "silence", True,
        lambda rows: rows["days_since_last_order"] > rows["rhythm_days"], *_OF_SILENCE,
    ),
    "recent_order": Code(
        "silence", False,
        lambda rows: rows["days_since_last_order"] <= rows["rhythm_days"], *_OF_SILENCE,
    ),
    "one_order_only": Code(
        "frequency", True,
        lambda rows: _is_no_frequent_buyer(rows) & (rows["count_orders"] == 1),
        *_OF_FREQUENCY, _rarely,
    ),
    "orders_rarely": Code(
        "frequency", True,
        lambda rows: _is_no_frequent_buyer(rows) & (rows["count_orders"] > 1),
        *_OF_FREQUENCY, _rarely,
    ),
    "orders_often": Code(
        "frequency", False,
        lambda rows: rows["count_orders"] > rows["usual_count_orders"], *_OF_FREQUENCY, _often,
    ),
    "spends_little": Code(
        "amount", True,
        lambda rows: rows["avg_order_amount"] < rows["usual_avg_order_amount"], *_OF_AMOUNT,
    ),
    "spends_much": Code(
        "amount", False,
        lambda rows: rows["avg_order_amount"] > rows["usual_avg_order_amount"], *_OF_AMOUNT,
    ),
    "returns_much": Code(
        "returns", True,
        lambda rows: rows["refund_amount_365d"] > rows["usual_refund_amount_365d"],
        "refund_amount_365d", "usual_refund_amount_365d", _returns,
    ),
    "first_order_of_leavers": Code(
        "beginning", True, lambda rows: rows["first_order_amount"] >= 0, *_OF_BEGINNING
    ),
    "first_order_of_stayers": Code(
        "beginning", False, lambda rows: rows["first_order_amount"] >= 0, *_OF_BEGINNING
    ),
    "not_in_this_season": Code(
        "season", True,
        lambda rows: (rows["count_orders_season_last_year"] == 0)
        & (rows["days_since_first_order"] > DAYS_OF_YEAR),
        *_OF_SEASON,
    ),
    "in_this_season": Code(
        "season", False,
        lambda rows: rows["count_orders_season_last_year"] > rows["usual_season"], *_OF_SEASON,
    ),
}  # fmt: skip
