"""Two shops day by day: false alarms of the gate of days, and detected poison.

The facts of days are computed here with pandas from the files, independently of the gate.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from expectations.shop_days import ShopDay, findings_of
from ingest.sample_shop import generate
from tests.faults.ledger import draw, record

pytestmark = pytest.mark.whole

LEARNT_DAYS = 84
POISONED_DAYS = 200
PRICE_DAYS, REPEAT_DAYS = 56, 35


def online_retail(file: Path) -> pd.DataFrame:
    """Product lines of sales: columns day, order, customer, product, units, price."""
    lines = pd.read_csv(file).drop_duplicates()
    code = lines["StockCode"].astype(str)
    is_sale = ~lines["Invoice"].astype(str).str.startswith(("C", "A"))
    lines = lines[
        is_sale & (lines["Quantity"] > 0) & (lines["Price"] > 0) & code.str.match(r"\d{5}")
    ]
    lines["day"] = pd.to_datetime(lines["InvoiceDate"]).dt.normalize()
    names = {"Invoice": "order", "Customer ID": "customer", "StockCode": "product"}
    return lines.rename(columns=names | {"Quantity": "units", "Price": "price"})


def sample_shop() -> pd.DataFrame:
    shop = generate(seed=7, customers=5_000, days=730)
    sales = shop.orders[shop.orders["order_type"] == "sale"]
    lines = shop.order_items.merge(sales, on="order_id")
    lines = lines[lines["line_type"] == "product"]
    lines["day"] = lines["ordered_at"].dt.normalize()
    names = {"order_id": "order", "customer_id": "customer", "product_id": "product"}
    return lines.rename(columns=names | {"quantity": "units", "unit_price_amount": "price"})


def shop_days(lines: pd.DataFrame) -> list[ShopDay]:
    """Every day from the shop's first to its last, including days without an order."""
    by_day = dict(list(lines.sort_values(["day", "order", "product", "units"]).groupby("day")))
    baskets = {day: _baskets(of_day) for day, of_day in by_day.items()}
    known = {day: set(of_day) for day, of_day in baskets.items()}
    found = []
    for day in pd.date_range(lines["day"].min(), lines["day"].max()):
        if day not in by_day:
            found.append(ShopDay(day.date(), 0))
            continue
        of_day = by_day[day]
        past = [by_day[d] for d in _before(day, PRICE_DAYS) if d in by_day]
        rates = {
            d: np.mean([basket in known[d] for basket in baskets[day]])
            for d in _before(day, REPEAT_DAYS)
            if d in by_day and len(baskets[day]) >= 5
        }
        like = max(rates, key=lambda d: rates[d], default=None)
        found.append(
            ShopDay(
                day.date(),
                of_day["order"].nunique(),
                int(of_day.groupby("order")["customer"].first().isna().sum()),
                float((of_day["units"] * of_day["price"]).sum()),
                _price_level(of_day, pd.concat(past)) if past else None,
                float(rates[like]) if like is not None else None,
                like.date() if like is not None else None,
            )
        )
    return found


def _before(day: pd.Timestamp, count: int) -> list[pd.Timestamp]:
    return list(pd.date_range(day - pd.Timedelta(days=count), day - pd.Timedelta(days=1)))


def _baskets(of_day: pd.DataFrame) -> list[tuple]:
    orders = of_day.groupby("order")
    lines = [tuple(zip(o["product"], o["units"], o["price"], strict=True)) for _, o in orders]
    return [basket for basket in lines if len(basket) >= 2]


def _price_level(of_day: pd.DataFrame, past: pd.DataFrame) -> float | None:
    usual = past.groupby("product")["price"].median()
    ratio = of_day["price"] / of_day["product"].map(usual)
    orders = ratio.groupby(of_day["order"]).median().dropna()
    return float(orders.median()) if len(orders) >= 5 else None


POISON: dict[str, Callable[[ShopDay], ShopDay]] = {
    "no orders": lambda day: ShopDay(day.day, 0),
    "a tenth of the orders": lambda day: replace(
        day, count_orders=day.count_orders // 10, product_amount=day.product_amount / 10
    ),
    "ten times the orders": lambda day: replace(
        day, count_orders=day.count_orders * 10, product_amount=day.product_amount * 10
    ),
    "prices times 1.2": lambda day: priced(day, 1.2),
    "prices times 100": lambda day: priced(day, 100),
    "a fifth off all prices": lambda day: priced(day, 0.8),
    "everybody a guest": lambda day: replace(day, count_guest_orders=day.count_orders),
    "yesterday again": lambda day: replace(day, repeated_rate=1.0),
}
STOPPED = {"ten times the orders", "prices times 1.2", "prices times 100", "everybody a guest"}
STOPPED |= {"yesterday again"}


def priced(day: ShopDay, times: float) -> ShopDay:
    level = (day.price_level or 1) * times
    return replace(day, price_level=level, product_amount=day.product_amount * times)


@pytest.mark.parametrize("shop", ["online_retail", "sample"])
def test_no_day_of_a_shop_is_stopped_and_poison_is_seen(
    shop: str, request: pytest.FixtureRequest
) -> None:
    if shop == "sample":
        days = shop_days(sample_shop())
    else:
        days = shop_days(online_retail(request.getfixturevalue("online_retail_file")))
    checked = range(28, len(days))  # earlier days define what is usual
    findings = {n: findings_of(days[n], days[max(0, n - LEARNT_DAYS) : n]) for n in checked}
    stopped = [n for n, found in findings.items() if any(f.severity == "critical" for f in found)]
    warned = [n for n, found in findings.items() if found]
    assert stopped == []
    assert len(warned) / len(findings) < 0.07

    rng, seen, held = draw(shop), Counter[str](), Counter[str]()
    busy = [n for n in range(LEARNT_DAYS, len(days)) if days[n].count_orders >= 10]
    chosen = rng.sample(busy, POISONED_DAYS)
    for n in chosen:
        for name, poison in POISON.items():
            found = findings_of(poison(days[n]), days[n - LEARNT_DAYS : n])
            seen[name] += bool(found)
            held[name] += any(f.severity == "critical" for f in found)
    for name in POISON:
        assert seen[name] / len(chosen) >= 0.8, name
        assert name not in STOPPED or held[name] / len(chosen) >= 0.95, name
    rates = "; ".join(
        f"{name}: {held[name] / len(chosen):.0%} stopped, {seen[name] / len(chosen):.0%} seen"
        for name in POISON
    )
    record(
        "bad input",
        f"{shop}: each of {len(findings)} real days, and {len(chosen)} of them poisoned in "
        f"{len(POISON)} ways",
        f"of the real days {len(stopped)} stopped, {len(warned)} warned of. {rates}",
        injections=len(chosen) * len(POISON),
    )
