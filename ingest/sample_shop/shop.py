"""Generate the whole shop, month by month, in the canonical form."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property

import numpy as np
import pandas as pd

from ingest.sample_shop import bonds, campaigns
from ingest.sample_shop import customers as customers_module
from ingest.sample_shop import orders as events
from ingest.sample_shop.events import Events
from ingest.sample_shop.plan import (
    POSTAGE_CODE,
    START,
    Plan,
    day_number,
    first_of_month,
    month_index,
)
from ingest.sample_shop.products import Catalogue, catalogue
from ingest.sample_shop.seasons import Promotions, promotions

REGISTERS_BEFORE_SECONDS = 15 * 60
# A refund comes at most 45 days after its order, whose products depend on the month before.
EARLY_MONTHS = 3


@dataclass(frozen=True)
class Month:
    """The shop's records of a month, each frame in order of time.

    Attributes:
        month: Months from the opening.
        customers: Columns customer_id, registered_at, country.
        orders: Columns order_id, customer_id (None: guest), ordered_at, country, order_type,
            refunded_order_id (None for a sale). Times are shop-local, whole seconds.
        order_items: Columns order_item_id, order_id, product_id, quantity, unit_price_amount
            (pounds), line_type.
        contacts: Columns contact_id, customer_id, contacted_at, campaign, action, is_held_out.
    """

    month: int
    customers: pd.DataFrame
    orders: pd.DataFrame
    order_items: pd.DataFrame
    contacts: pd.DataFrame

    def before(self, day: date) -> Month:
        """The records from before `day`; they don't depend on later ones."""
        orders = self.orders[self.orders.ordered_at < np.datetime64(day)]
        return Month(
            self.month,
            self.customers[self.customers.registered_at < np.datetime64(day)],
            orders,
            self.order_items[self.order_items.order_id.isin(orders.order_id)],
            self.contacts[self.contacts.contacted_at < np.datetime64(day)],
        )


@dataclass(frozen=True)
class Shop:
    """A sample shop and its truth, which is never written to the files."""

    plan: Plan
    months: tuple[Month, ...]
    truth_customers: pd.DataFrame
    truth_products: pd.DataFrame
    truth_promotions: pd.DataFrame
    truth_bonds: pd.DataFrame
    catalogue: Catalogue

    @cached_property
    def customers(self) -> pd.DataFrame:
        """All months' customers."""
        return pd.concat([month.customers for month in self.months], ignore_index=True)

    @cached_property
    def orders(self) -> pd.DataFrame:
        """All months' orders and refunds."""
        return pd.concat([month.orders for month in self.months], ignore_index=True)

    @cached_property
    def order_items(self) -> pd.DataFrame:
        """All months' lines of orders and refunds."""
        return pd.concat([month.order_items for month in self.months], ignore_index=True)

    @cached_property
    def contacts(self) -> pd.DataFrame:
        """All months' contacts."""
        return pd.concat([month.contacts for month in self.months], ignore_index=True)

    @property
    def products(self) -> pd.DataFrame:
        """The catalogue as known at the end of the plan."""
        return self.products_before(self.plan.end)

    def products_before(self, day: date) -> pd.DataFrame:
        """The catalogue as known at the beginning of `day`."""
        return products_before(self.catalogue, day)


def generate(seed: int = 7, customers: int = 5_000, days: int = 730) -> Shop:
    """Generate a shop. The same arguments give the same shop; more days continue it exactly.

    Args:
        seed: Any whole number from 0.
        customers: Customers who arrive in the first 730 days; guests come on top.
        days: Days of history, from 2023-01-01.
    """
    plan = Plan(seed, customers, days)
    promoted, sold = promotions(plan), catalogue(plan)
    arrivals = customers_module.truth(plan, promoted)
    return Shop(
        plan=plan,
        months=tuple(_months(plan, arrivals, sold, promoted, first=0)),
        truth_customers=_with_dates(arrivals, plan),
        truth_products=sold.products,
        truth_promotions=pd.DataFrame([vars(promotion) for promotion in promoted]),
        truth_bonds=bonds.truth(sold),
        catalogue=sold,
    )


def months(plan: Plan, first: int = 0) -> Iterator[Month]:
    """Generate a shop's months in order, from `first` on, with one month in memory at a time."""
    promoted = promotions(plan)
    arrivals = customers_module.truth(plan, promoted)
    yield from _months(plan, arrivals, catalogue(plan), promoted, first)


def products_before(sold: Catalogue, day: date) -> pd.DataFrame:
    """The catalogue as known at the beginning of `day`: no later product, price or end.

    Returns:
        One row a product with columns product_id, product_name, product_family, list_price_amount
        (pounds), introduced_date, discontinued_date (NaT if not yet discontinued).
    """
    before = np.datetime64(day)
    newest = month_index(day - timedelta(days=1))
    known = (sold.products.introduced_date < before).to_numpy()
    products = sold.products[known].drop(columns="base_weight")
    ended = products.discontinued_date < before
    products["discontinued_date"] = products.discontinued_date.where(ended)
    products.insert(3, "list_price_amount", sold.price_pence[known, newest] / 100)
    return products


def _months(
    plan: Plan, arrivals: pd.DataFrame, sold: Catalogue, promoted: Promotions, first: int
) -> Iterator[Month]:
    coming_back: list[Events] = []
    sales = None
    for month in range(max(first - EARLY_MONTHS, 0), plan.months):
        sales = events.sales(plan, month, arrivals, sold, promoted, sales)
        order_ids = _ids("O", month, len(sales.heads))
        coming_back.append(events.refunds(plan, month, sales, order_ids, sold))
        pending = events.merge(coming_back)
        end = day_number(first_of_month(month + 1))
        now = (pending.heads.time < end).to_numpy()
        refunds, coming_back = pending.take(now), [pending.take(~now)]
        if month >= first:
            brought = events.brought(plan, month, arrivals, sold, promoted)
            parts = [
                _numbered("O", month, sales),
                _numbered("V", month, brought),
                _numbered("R", month, refunds, "refund"),
            ]
            drawn = campaigns.contacts(plan, month, arrivals)
            written = _month(month, parts, drawn, arrivals, sold)
            yield written.before(plan.end)


def _numbered(letter: str, month: int, drawn: Events, order_type: str = "sale") -> Events:
    """The month's orders or refunds with order_id, order_type and refunded (the refunded order)."""
    order_ids = _ids(letter, month, len(drawn.heads))
    refunded = drawn.heads["order_id"] if order_type == "refund" else None
    return Events(
        drawn.heads.assign(refunded=refunded, order_id=order_ids, order_type=order_type),
        drawn.lines.assign(order_id=order_ids.iloc[drawn.lines["head"]].to_numpy()),
    )


def _month(
    month: int,
    parts: list[Events],
    drawn: pd.DataFrame,
    arrivals: pd.DataFrame,
    sold: Catalogue,
) -> Month:
    merged = events.merge(parts)
    return Month(
        month,
        _registered(month, arrivals),
        _order_rows(merged.heads, arrivals),
        _item_rows(merged.lines, sold),
        _contact_rows(month, drawn, arrivals),
    )


def _contact_rows(month: int, drawn: pd.DataFrame, arrivals: pd.DataFrame) -> pd.DataFrame:
    who = drawn.customer.to_numpy(dtype=int)
    return pd.DataFrame(
        {
            "contact_id": _ids("K", month, len(drawn)),
            "customer_id": arrivals.customer_id.to_numpy(dtype=object)[who],
            "contacted_at": _clock_time(drawn.time.to_numpy(dtype=float)),
            "campaign": drawn.campaign,
            "action": drawn.action,
            "is_held_out": drawn.is_held_out.map({True: "true", False: "false"}),
        }
    )


def _order_rows(heads: pd.DataFrame, arrivals: pd.DataFrame) -> pd.DataFrame:
    who, names = heads.customer.to_numpy(), arrivals.customer_id.to_numpy(dtype=object)
    return pd.DataFrame(
        {
            "order_id": heads.order_id.to_numpy(),
            "customer_id": events.of_customer(names, who, guest=None),
            "ordered_at": _clock_time(heads.time.to_numpy()),
            "country": heads.country.to_numpy(),
            "order_type": heads.order_type.to_numpy(),
            "refunded_order_id": heads.refunded.to_numpy(),
        }
    )


def _item_rows(lines: pd.DataFrame, sold: Catalogue) -> pd.DataFrame:
    product = lines["product"].to_numpy()
    ids = sold.products.product_id.to_numpy(dtype=object)[product]
    number = lines.groupby("order_id", sort=False).cumcount() + 1
    return pd.DataFrame(
        {
            "order_item_id": lines.order_id + "-" + number.astype(str),
            "order_id": lines.order_id,
            "product_id": np.where(product < 0, POSTAGE_CODE, ids),
            "quantity": lines.units,
            "unit_price_amount": lines.price_pence / 100,
            "line_type": np.where(product < 0, "charge", "product"),
        }
    ).reset_index(drop=True)


def _registered(month: int, arrivals: pd.DataFrame) -> pd.DataFrame:
    begin, end = day_number(first_of_month(month)), day_number(first_of_month(month + 1))
    came = arrivals[(arrivals.arrived >= begin) & (arrivals.arrived < end)]
    registered_at = _clock_time(came.arrived.to_numpy()) - np.timedelta64(
        REGISTERS_BEFORE_SECONDS, "s"
    )
    return pd.DataFrame(
        {
            "customer_id": came.customer_id,
            "registered_at": registered_at,
            "country": came.country,
        }
    ).reset_index(drop=True)


def _with_dates(arrivals: pd.DataFrame, plan: Plan) -> pd.DataFrame:
    """The truth of customers who arrived before the plan's end, with times as timestamps."""
    came = arrivals[arrivals.arrived < plan.days].rename(columns={"family": "favourite_family"})
    # A lifetime may be longer than timestamps can hold; cap it at a century.
    left = np.minimum(came.pop("left").to_numpy(), 36_500.0)
    came["arrived_at"] = _clock_time(came.pop("arrived").to_numpy())
    came["left_at"] = _clock_time(left)
    return came.reset_index(drop=True)


def _clock_time(time: np.ndarray) -> np.ndarray:
    """Convert days since the opening to shop-local times, rounded down to whole seconds."""
    return np.datetime64(START, "s") + np.floor(time * 86_400).astype("timedelta64[s]")


def _ids(letter: str, month: int, count: int) -> pd.Series:
    number = pd.Series(np.arange(1, count + 1)).astype(str).str.zfill(7)
    return f"{letter}{first_of_month(month):%Y%m}-" + number
