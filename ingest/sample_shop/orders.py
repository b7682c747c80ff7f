"""Draw the events of a month: orders, their lines, and refunds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from ingest.sample_shop import bonds
from ingest.sample_shop import plan as planted
from ingest.sample_shop.campaigns import orders_brought
from ingest.sample_shop.events import Events
from ingest.sample_shop.plan import COUNTRIES, FAMILIES, Plan, day_number, first_of_month
from ingest.sample_shop.products import Catalogue
from ingest.sample_shop.seasons import BuyingTime, Promotions

GUEST = -1
RETURN_DELAY_DAYS = (2.0, 45.0)  # earliest, latest
UNIT_COMES_BACK_RATE = 0.6  # share of the units beyond the first, if a line comes back


def sales(
    plan: Plan,
    month: int,
    customers: pd.DataFrame,
    catalogue: Catalogue,
    promoted: Promotions,
    before: Events | None = None,
) -> Events:
    """Draw the month's orders of customers and guests, with a postage line where it is charged.

    Args:
        plan: The shop.
        month: Counted from the opening.
        customers: The truth of all customers.
        catalogue: The products.
        promoted: The promotions.
        before: Sales of the month before, which sequences begin in.
    """
    random = plan.random("orders", month)
    clock = BuyingTime(month, promoted)
    heads = pd.concat([_by_customers(random, clock, customers), _by_guests(random, clock, plan)])
    heads = heads.sort_values(["time", "customer"], kind="stable", ignore_index=True)
    lines = _lines(random, month, heads, customers, catalogue, promoted)
    if month >= plan.bonds_from:
        drawn = Events(heads, lines)
        lines["product"] = bonds.products(plan, month, drawn, before, customers, catalogue)
    return _priced(month, heads, lines, catalogue, promoted)


def brought(
    plan: Plan, month: int, customers: pd.DataFrame, catalogue: Catalogue, promoted: Promotions
) -> Events:
    """Draw what the orders of a month hold that campaigns bring; other orders do not change."""
    heads = orders_brought(plan, month, customers)
    random = plan.random("campaign_orders", month)
    lines = _lines(random, month, heads, customers, catalogue, promoted)
    return _priced(month, heads, lines, catalogue, promoted)


def _by_customers(
    random: np.random.Generator, clock: BuyingTime, customers: pd.DataFrame
) -> pd.DataFrame:
    """Draw first orders on arrival, then a Poisson process in buying time until customers leave."""
    here = ((customers.arrived < clock.end) & (customers.left > clock.start)).to_numpy()
    position = np.flatnonzero(here & customers.is_buyer.to_numpy())
    buyer = customers.iloc[position]
    begin = clock.until(np.maximum(buyer.arrived, clock.start))
    length = clock.until(np.minimum(buyer.left, clock.end)) - begin
    count = random.poisson(buyer.orders_per_day * length)
    elapsed = np.repeat(begin, count) + random.random(count.sum()) * np.repeat(length, count)
    is_first = buyer.arrived.to_numpy() >= clock.start
    who = np.concatenate([position[is_first], np.repeat(position, count)])
    time = np.concatenate([buyer.arrived.to_numpy()[is_first], clock.at(elapsed)])
    country = customers.country.to_numpy()[who]
    return pd.DataFrame({"time": time, "customer": who, "country": country})


def _by_guests(random: np.random.Generator, clock: BuyingTime, plan: Plan) -> pd.DataFrame:
    per_day = planted.GUEST_ORDERS_PER_CUSTOMER * plan.customers / planted.REFERENCE_DAYS
    count = random.poisson(per_day * clock.length)
    time = clock.at(random.random(count) * clock.length)
    country = random.choice(list(COUNTRIES), count, p=list(COUNTRIES.values()))
    return pd.DataFrame({"time": time, "customer": GUEST, "country": country})


def _lines(
    random: np.random.Generator,
    month: int,
    heads: pd.DataFrame,
    customers: pd.DataFrame,
    catalogue: Catalogue,
    promoted: Promotions,
) -> pd.DataFrame:
    """Columns head, product, units, day (of the month, from 0)."""
    head = np.repeat(
        np.arange(len(heads)), 1 + random.poisson(planted.EXTRA_LINES_PER_ORDER, len(heads))
    )
    day = np.floor(heads.time.to_numpy()[head] - day_number(first_of_month(month))).astype(int)
    who = heads.customer.to_numpy()[head]
    favourite = of_customer(customers.family.to_numpy(), who, guest="")
    favourite[random.random(len(head)) >= planted.FAVOURITE_FAMILY_RATE] = ""
    product = _choose(random, catalogue, catalogue.weights(month, promoted), day, favourite)
    family = catalogue.products.product_family.to_numpy()[product]
    extra_units = _of_family(family, "extra_units")
    spend = of_customer(customers.spend_factor.to_numpy(), who, guest=1.0)
    units = 1 + random.poisson(extra_units * spend)
    return pd.DataFrame({"head": head, "product": product, "units": units, "day": day})


def _priced(
    month: int, heads: pd.DataFrame, lines: pd.DataFrame, catalogue: Catalogue, promoted: Promotions
) -> Events:
    """Orders whose lines have the price of their day, with postage where it is charged."""
    day, product = lines.pop("day").to_numpy(), lines["product"].to_numpy()
    lines["price_pence"] = catalogue.sale_price_pence(month, promoted)[day, product]
    return Events(heads, _with_postage(lines, len(heads)))


def of_customer(values: np.ndarray, who: np.ndarray, guest: Any) -> np.ndarray:
    """Map each order to the value of its customer.

    Args:
        values: Value of each customer, shape (n_customers,).
        who: Position of each order's customer, shape (n_orders,); GUEST for a guest.
        guest: Value for guests.

    Returns:
        Value of each order's customer, shape (n_orders,).
    """
    result = np.full(len(who), guest, dtype=values.dtype)
    known = who != GUEST
    result[known] = values[who[known]]
    return result


def _choose(
    random: np.random.Generator,
    catalogue: Catalogue,
    weight: np.ndarray,
    day: np.ndarray,
    favourite: np.ndarray,
) -> np.ndarray:
    """Draw one product per line, by the day's weights, within the favourite family if given.

    With products sorted by family, a day's cumulative weights are a scale from 0 to 1 on which each
    family is an interval. The scales of all days, each shifted by the day's number, form one sorted
    array to search.

    Args:
        random: Generator of the month's orders.
        catalogue: The products.
        weight: Relative demand, shape (n_days, n_products).
        day: Day of the month of each line, from 0, shape (n_lines,).
        favourite: Family of each line, shape (n_lines,); empty for any family.

    Returns:
        Position of each line's product in the catalogue, shape (n_lines,).
    """
    by_family = np.argsort(catalogue.products.product_family.to_numpy(), kind="stable")
    scale = np.cumsum(weight[:, by_family], axis=1)
    scale /= scale[:, -1:]
    family = catalogue.products.product_family.to_numpy()[by_family]
    low, high = np.zeros(len(day)), np.ones(len(day))
    for name in FAMILIES:
        positions = np.flatnonzero(family == name)
        lines = favourite == name
        low[lines] = scale[day[lines], positions[0] - 1] if positions[0] else 0.0
        high[lines] = scale[day[lines], positions[-1]]
    aim = day + low + (high - low) * random.random(len(day))
    position = np.searchsorted((scale + np.arange(len(scale))[:, None]).ravel(), aim, side="right")
    return by_family[position - day * weight.shape[1]]


def _of_family(family: np.ndarray, attribute: str) -> np.ndarray:
    known = {name: getattr(planted_family, attribute) for name, planted_family in FAMILIES.items()}
    return pd.Series(family).map(known).to_numpy()


def _with_postage(lines: pd.DataFrame, count_heads: int) -> pd.DataFrame:
    pence = np.bincount(lines["head"], lines.units * lines.price_pence, minlength=count_heads)
    pays = np.flatnonzero(pence < 100 * planted.FREE_POSTAGE_FROM_AMOUNT)
    price_pence = round(100 * planted.POSTAGE_AMOUNT)
    postage = pd.DataFrame({"head": pays, "product": -1, "units": 1, "price_pence": price_pence})
    return pd.concat([lines, postage]).sort_values("head", kind="stable", ignore_index=True)


def refunds(
    plan: Plan, month: int, sold: Events, order_ids: pd.Series, catalogue: Catalogue
) -> Events:
    """Draw the refunds of a month's orders, 2 to 45 days after each order, in order of time.

    Lines of one order come back together, at the price that was paid; postage is not refunded.

    Args:
        plan: The shop.
        month: Month of the orders, counted from the opening.
        sold: Orders of the month.
        order_ids: order_id of each order in `sold.heads`.
        catalogue: The products.
    """
    random = plan.random("refunds", month)
    lines = sold.lines[sold.lines["product"] >= 0]
    family = catalogue.products.product_family.to_numpy()[lines["product"]]
    lines = lines[random.random(len(lines)) < _of_family(family, "return_rate")]
    units = 1 + random.binomial(lines.units - 1, UNIT_COMES_BACK_RATE)
    position, head = np.unique(lines["head"], return_inverse=True)
    earliest, latest = RETURN_DELAY_DAYS
    delay_days = np.minimum(earliest + random.gamma(2.0, 5.0, len(position)), latest)
    heads = sold.heads.iloc[position].assign(order_id=order_ids.iloc[position])
    # Returned goods are booked between 9:00 and 17:00.
    office_time = 9 / 24 + random.random(len(position)) * 8 / 24
    heads["time"] = np.floor(heads.time + delay_days) + office_time
    return _in_order_of_time(heads, lines.assign(units=units, head=head))


def merge(parts: list[Events]) -> Events:
    """Merge several months' refunds, in order of time."""
    starts = np.cumsum([0] + [len(part.heads) for part in parts])
    heads = pd.concat([part.heads for part in parts], ignore_index=True)
    shifted = [
        part.lines.assign(head=part.lines["head"] + start)
        for part, start in zip(parts, starts[:-1], strict=True)
    ]
    lines = pd.concat(shifted, ignore_index=True)
    return _in_order_of_time(heads, lines)


def _in_order_of_time(heads: pd.DataFrame, lines: pd.DataFrame) -> Events:
    order = np.argsort(heads.time.to_numpy(), kind="stable")
    rank = np.empty(len(order), dtype=int)
    rank[order] = np.arange(len(order))
    lines = lines.assign(head=rank[lines["head"].to_numpy()]).sort_values("head", kind="stable")
    return Events(heads.iloc[order].reset_index(drop=True), lines.reset_index(drop=True))
