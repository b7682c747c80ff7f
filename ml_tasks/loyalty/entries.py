"""Orders and refunds of customers before a date, as whole numbers.

An amount is in ten-thousandths of the currency (`_e4`), so that sums and points are exact; a day
is a proleptic ordinal (`date.toordinal`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from psycopg import sql

if TYPE_CHECKING:
    from ml_tasks.features.store import FeatureStore

E4 = 10_000
EPOCH = date(1970, 1, 1).toordinal()

CUSTOMERS = (
    "select customer_id from features.customer_snapshots where as_of_date = {day} and {is_own}"
    ' order by customer_id collate "C"'
)
ORDERS = (
    "select customer_id, order_id, ordered_date as day,"
    " round(product_amount * 10000)::bigint as amount_e4"
    " from marts.fct_orders where ordered_date < {day} and customer_id is not null and {is_own}"
    ' order by customer_id collate "C", ordered_date, ordered_at, order_id collate "C"'
)
REFUNDS = (
    "select customer_id, refund_id, refunded_order_id as order_id, refunded_date as day,"
    " round(sum(refund_amount) * 10000)::bigint as amount_e4"
    " from marts.fct_refunds where refunded_date < {day} and customer_id is not null and {is_own}"
    " group by customer_id, refund_id, refunded_order_id, refunded_date"
    ' order by customer_id collate "C", refunded_date, min(refunded_at), refund_id collate "C",'
    ' refunded_order_id collate "C"'
)


@dataclass(frozen=True)
class History:
    """Orders, and what refunds took of each.

    Attributes:
        customers: Ids, ascending by bytes, shape (n_customers,).
        orders: One row per order, by customer and day: `customer` (position in `customers`), `day`,
            `amount_e4` (products, before refunds).
        takings: One row per refund and order that it reduces, by order and day: `order` (position
            in `orders`), `day`, `amount_e4`. The takings of an order never exceed its amount.
    """

    customers: np.ndarray
    orders: pd.DataFrame
    takings: pd.DataFrame


def read(store: FeatureStore, as_of_date: date) -> History:
    """The customers of the store's shard, with what they ordered and returned before a date."""
    names = {
        "day": sql.Literal(as_of_date),
        "is_own": store.shard.condition(sql.Identifier("customer_id")),
    }
    customers, orders, refunds = (
        store.read(sql.SQL(query).format(**names), {}) for query in (CUSTOMERS, ORDERS, REFUNDS)
    )
    return history(customers["customer_id"], orders, refunds)


def history(customers: pd.Series, orders: pd.DataFrame, refunds: pd.DataFrame) -> History:
    """Attribute refunds to orders.

    Args:
        customers: Ids of all customers to consider, ascending by bytes.
        orders: Columns `customer_id`, `order_id`, `day` (date), `amount_e4`; by customer and day.
        refunds: The same columns, `order_id` None where the shop does not name the order.
    """
    index = pd.Index(customers)
    orders, refunds = _numbered(orders, index), _numbered(refunds, index)
    named = orders[["customer", "order_id"]].assign(order=orders.index)
    refunds = refunds.merge(named, how="left", on=["customer", "order_id"])
    refunds["order"] = refunds["order"].fillna(-1).astype(np.int64)
    columns = ["customer", "day", "amount_e4"]
    return History(index.to_numpy(), orders[columns], takings(orders, refunds))


def _numbered(frame: pd.DataFrame, index: pd.Index) -> pd.DataFrame:
    """The rows of the customers, with their positions and with days as ordinals."""
    frame = frame.assign(
        customer=index.get_indexer(pd.Index(frame["customer_id"])),
        day=_ordinals(frame["day"]),
    )
    return frame[frame["customer"] >= 0].reset_index(drop=True)


def _ordinals(days: pd.Series) -> np.ndarray:
    return days.to_numpy(dtype="datetime64[D]").astype(np.int64) + EPOCH


def takings(orders: pd.DataFrame, refunds: pd.DataFrame) -> pd.DataFrame:
    """What each refund takes of which order; the columns of `History.takings`.

    A refund that names its order reduces that order, by what is left of it at most. One that names
    none reduces the customer's newest orders up to its day, newest first. What exceeds them takes
    nothing. A refund dated before its order counts on the order's day.
    """
    left, days = orders["amount_e4"].to_list(), orders["day"].to_list()
    customers = orders["customer"].to_numpy()
    starts = np.searchsorted(customers, refunds["customer"])
    # where the customer's orders up to the day end
    ends = np.searchsorted(_key(orders), _key(refunds), "right")
    found: list[tuple[int, int, int]] = []

    def take(order: int, day: int, amount: int) -> int:
        taken = min(left[order], amount)
        if taken:
            left[order] -= taken
            found.append((order, max(day, days[order]), taken))
        return amount - taken

    own = refunds[["order", "day", "amount_e4"]].to_numpy(dtype=np.int64).tolist()
    is_named = refunds["order_id"].notna().tolist()
    for start, end, named, (order, day, amount) in zip(
        starts.tolist(), ends.tolist(), is_named, own, strict=True
    ):
        if named and order >= 0:
            take(order, day, amount)
        while not named and amount and end > start:
            end -= 1
            amount = take(end, day, amount)
    frame = pd.DataFrame(found, columns=["order", "day", "amount_e4"], dtype=np.int64)
    return frame.sort_values(["order", "day"], kind="stable", ignore_index=True)


def _key(frame: pd.DataFrame) -> np.ndarray:
    """Customer and day as one number that ascends with both."""
    return frame["customer"].to_numpy() * 2**22 + frame["day"].to_numpy()
