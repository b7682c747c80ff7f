"""Generated shops with their truth, from processes that none of our models assumes.

A whole family belongs to one set (sets.toml), not single seeds: a model tuned on one family has
seen nothing of another. The number of days and customers is given; equal seeds give equal shops.

Sources of the processes: beta-geometric/beta-binomial buying, Fader, Hardie and Shang (2010),
Marketing Science 29:1086-1108; Erlang gaps of regular buyers, Platzer and Reutterer (2016),
Marketing Science 35:779-799.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd

FIRST_DAY = date(2022, 1, 3)  # a Monday
CHRISTMAS = (320, 358)  # days of a year: 16 November to 24 December
YEAR_DAYS = 365.25

Numbers = np.ndarray
Random = np.random.Generator


@dataclass(frozen=True)
class Generated:
    """A generated shop.

    Attributes:
        orders: Columns of `benchmarks.panel.shops.orders`, one line per order.
        customers: Columns customer_id, began_at, ended_at (no order from then on; after the last
            day for active customers), mean_gap_days, mean_amount. Customers without an order are
            left out.
    """

    orders: pd.DataFrame
    customers: pd.DataFrame


@dataclass
class Plan:
    """A family's parameters of each customer; days count from FIRST_DAY, shapes are (n,).

    Attributes:
        began: Day of the first order.
        ended: Day from which the customer orders nothing.
        gap_days: Mean days between orders.
        amount: Mean amount of an order, in the shop's currency.
        shape: Shape of the gamma distribution of gaps: 1 is a memoryless buyer, more a regular one.
        amount_spread: Standard deviation of the logarithm of an order's amount.
        is_weekly: Gaps are whole weeks with the same chance each week; `shape` is unused.
        keep: Function of the day: share of that day's orders that are placed.
        price: Function of the day: factor of the amounts.
    """

    began: Numbers
    ended: Numbers
    gap_days: Numbers
    amount: Numbers
    shape: float = 1.0
    amount_spread: float = 0.4
    is_weekly: bool = False
    keep: Callable[[Numbers], Numbers] = np.ones_like
    price: Callable[[Numbers], Numbers] = np.ones_like


def generate(family: str, seed: int, customers: int = 2_000, days: int = 1_095) -> Generated:
    """Generate a shop.

    Args:
        family: One of FAMILIES.
        seed: Equal seeds give equal shops.
        customers: Number of potential customers; some have their first order after the end.
        days: Length in days from FIRST_DAY.
    """
    random = np.random.default_rng([seed, *family.encode()])
    plan = FAMILIES[family](random, customers, days)
    rows = [_orders_of(random, plan, number, days) for number in range(customers)]
    times = np.concatenate(rows)
    owner = np.repeat(np.arange(customers), [len(row) for row in rows])
    amounts = plan.amount[owner] * plan.price(times) * np.exp(
        random.normal(-(plan.amount_spread**2) / 2, plan.amount_spread, len(times))
    )  # fmt: skip
    ids = np.array([f"C{number:06}" for number in random.permutation(10 * customers)[:customers]])
    start = pd.Timestamp(FIRST_DAY)
    seconds = pd.to_timedelta(np.round(times * 86_400), unit="s")
    orders = pd.DataFrame(
        {
            "customer_id": ids[owner],
            "ordered_at": start + seconds,
            "product_id": "all",
            "quantity": 1,
            "unit_price_amount": np.maximum(np.round(amounts, 2), 0.01),
        }
    ).sort_values(["ordered_at", "customer_id"], kind="stable", ignore_index=True)
    orders.insert(1, "order_id", [f"O{number:07}" for number in range(len(orders))])
    known = np.unique(owner)
    truth = pd.DataFrame(
        {
            "customer_id": ids[known],
            "began_at": start + pd.to_timedelta(plan.began[known], unit="D"),
            "ended_at": start + pd.to_timedelta(np.minimum(plan.ended[known], 10 * days), unit="D"),
            "mean_gap_days": plan.gap_days[known],
            "mean_amount": plan.amount[known],
        }
    ).sort_values("customer_id", ignore_index=True)
    return Generated(orders, truth)


def seed_of(family: str, commit: str) -> int:
    """The seed of a final shop, derived from the evaluated commit, so that nobody chose it."""
    return int.from_bytes(hashlib.sha256(f"{family} {commit}".encode()).digest()[:4], "big")


def _orders_of(random: Random, plan: Plan, number: int, days: int) -> Numbers:
    """Times of one customer's orders, in days from FIRST_DAY; the first order is always kept."""
    began, ended = plan.began[number], min(plan.ended[number], days)
    if began >= days:
        return np.empty(0)
    expected = (ended - began) / plan.gap_days[number]
    count = int(expected + 6 * np.sqrt(expected + 1) + 6)
    if plan.is_weekly:
        gaps = 7.0 * random.geometric(7 / plan.gap_days[number], count)
    else:
        gaps = random.gamma(plan.shape, plan.gap_days[number] / plan.shape, count)
    times = began + np.cumsum(gaps)
    times = times[times < ended]
    placed = random.random(len(times)) < plan.keep(times)
    return np.concatenate([[began], times[placed]])


# Families -------------------------------------------------------------------------------------


def _lognormal(random: Random, mean: float, spread: float, count: int) -> Numbers:
    return mean * np.exp(random.normal(-(spread**2) / 2, spread, count))


def _weekly_chances(random: Random, began: Numbers, amount: Numbers) -> Plan:
    """Beta-geometric/beta-binomial: a chance to order each week, and one to leave after it."""
    count = len(began)
    chance = random.beta(0.8, 6.0, count).clip(0.005)
    gone = random.beta(0.6, 25.0, count).clip(1e-5)
    ended = began + 7 * random.geometric(gone)
    return Plan(began, ended, 7 / chance, amount, is_weekly=True)


def _steady(random: Random, count: int, days: int) -> Plan:
    """Customers come at an even pace."""
    began = random.uniform(0, days, count)
    return _weekly_chances(random, began, _lognormal(random, 40, 0.6, count))


def _launch(random: Random, count: int, days: int) -> Plan:
    """All customers begin within three months of the opening."""
    began = 90 * random.beta(1.2, 2.0, count)
    return _weekly_chances(random, began, _lognormal(random, 35, 0.6, count))


def _one_time(random: Random, count: int, days: int) -> Plan:
    """A marketplace: nineteen of twenty order once and never again."""
    began = random.uniform(0, days, count)
    returns = random.random(count) < 0.05
    ended = np.where(returns, began + random.exponential(400, count), began)
    return Plan(began, ended, random.gamma(2, 60, count) + 5, _lognormal(random, 90, 0.9, count))


def _wholesale(random: Random, count: int, days: int) -> Plan:
    """Few buyers bring most of the money: amounts have a heavy tail, and there is a Christmas."""
    began = random.uniform(0, days, count) * random.random(count)
    amount = 150 * (1 + random.pareto(1.6, count))
    plan = Plan(began, began + random.exponential(900, count), random.gamma(1.5, 40, count) + 3,
                amount, shape=2.0, amount_spread=0.7)  # fmt: skip
    plan.keep = _seasonal(0.45)
    return plan


def _growing(random: Random, count: int, days: int) -> Plan:
    """Four times as many new customers each year."""
    growth = np.log(4) / YEAR_DAYS
    began = np.log1p(random.random(count) * np.expm1(growth * days)) / growth
    return _weekly_chances(random, began, _lognormal(random, 40, 0.6, count))


def _regular(random: Random, count: int, days: int) -> Plan:
    """Buyers with a rhythm: Erlang gaps of shape 4."""
    began = random.uniform(0, days, count)
    gap = random.gamma(3, 15, count) + 5
    return Plan(began, began + random.exponential(500, count), gap,
                _lognormal(random, 30, 0.5, count), shape=4.0)  # fmt: skip


def _holiday(random: Random, count: int, days: int) -> Plan:
    """Gifts: few orders outside the weeks before Christmas."""
    began = _christmas_days(random, count, days)
    plan = Plan(began, began + random.exponential(1_000, count), random.gamma(2, 12, count) + 5,
                _lognormal(random, 60, 0.6, count))  # fmt: skip
    plan.keep = _seasonal(0.03)
    return plan


def _shrinking(random: Random, count: int, days: int) -> Plan:
    """Fewer new customers each year, and those who stay order less."""
    began = days * random.beta(1.0, 3.0, count)
    plan = _weekly_chances(random, began, _lognormal(random, 40, 0.6, count))
    plan.keep = lambda at: np.exp(-0.7 * at / YEAR_DAYS)
    return plan


def _subscription(random: Random, count: int, days: int) -> Plan:
    """A box a month, until it is cancelled."""
    began = random.uniform(0, days, count)
    ended = began + 30.4 * random.geometric(0.07, count)
    amount = random.choice([15.0, 25.0, 40.0], count)
    return Plan(began, ended, np.full(count, 30.4), amount, shape=400.0, amount_spread=0.0)


def _price_change(random: Random, count: int, days: int) -> Plan:
    """Prices rise by a third nine months before the end, and a quarter of the orders is lost."""
    plan = _steady(random, count, days)
    changed = days - 270
    plan.price = lambda at: np.where(at < changed, 1.0, 1.33)
    plan.keep = lambda at: np.where(at < changed, 1.0, 0.75)
    return plan


def _no_christmas(random: Random, count: int, days: int) -> Plan:
    """A Christmas each year but the last."""
    plan = _steady(random, count, days)
    seasonal, last_year = _seasonal(0.35), days - 365
    plan.keep = lambda at: np.where(at < last_year, seasonal(at), 0.35)
    return plan


def _seasonal(otherwise: float) -> Callable[[Numbers], Numbers]:
    """Keep all orders before Christmas, and this share of the rest of the year's."""
    first = FIRST_DAY.timetuple().tm_yday - 1

    def keep(at: Numbers) -> Numbers:
        day = (at + first) % YEAR_DAYS
        return np.where((day >= CHRISTMAS[0]) & (day < CHRISTMAS[1]), 1.0, otherwise)

    return keep


def _christmas_days(random: Random, count: int, days: int) -> Numbers:
    first = FIRST_DAY.timetuple().tm_yday - 1
    year = random.integers(0, max(1, int(days / YEAR_DAYS)), count)
    return year * YEAR_DAYS + random.uniform(*CHRISTMAS, count) - first


FAMILIES: dict[str, Callable[[Random, int, int], Plan]] = {
    "steady": _steady,
    "launch": _launch,
    "one_time": _one_time,
    "wholesale": _wholesale,
    "growing": _growing,
    "regular": _regular,
    "holiday": _holiday,
    "shrinking": _shrinking,
    "subscription": _subscription,
    "price_change": _price_change,
    "no_christmas": _no_christmas,
}
