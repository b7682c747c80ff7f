"""What a day of a shop usually is, learnt from its past days, and whether a new day is one.

Pure: facts of days in, findings out. Orders follow the week and a trend, so a day is compared with
the same weekdays of the last eight weeks; how far days stray from that is learnt from the last
twelve weeks, robustly, for a day that was odd must not make odd days usual.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from statistics import median

from expectations.results import CRITICAL, WARNING, Severity

HISTORY_DAYS = 84
SAME_WEEKDAYS = 8
MIN_SAME_WEEKDAYS = 4  # fewer, and nobody knows what is usual

# Robust standard deviations that a day may stray, on a log scale. Over two years of each, 4 tells
# of orders on a quiet or busy day once in 40 to 80 days; 3 would tell twice as often.
USUAL_DEVIATIONS = 4.0
LEAST_DEVIATION = 0.12  # a shop whose days are all alike may have another one, too
# Beyond both it is no day of a shop: so many times the usual, so many times the busiest.
STOP_TIMES_USUAL, STOP_TIMES_BUSIEST = 5.0, 1.5
MIN_ORDERS = 10  # days of fewer say little

# Prices against each product's usual one; median over the day's orders. It is 1 on all days of
# Online Retail II; offers of the sample shop take it to .80.
PRICES_RAISED, PRICES_LOWERED, PRICES_OTHER_UNIT = 1.1, 0.93, 0.5
# Share of a day's baskets that one single earlier day has, too: at most .09 and .17 in both shops.
REPEATED_MAX_RATE, REPEATED_USUAL_RATE = 0.5, 0.25
GUESTS_MAX_RATE, GUESTS_USUAL_RATE = 0.9, 0.6
LOST_MAX_RATE, LOST_USUAL_RATE = 0.05, 0.005  # of the orders of days that had been judged
TOTALS_MAX_RATE = 0.01  # off the shop's own totals

WEEKDAYS = ("Mondays", "Tuesdays", "Wednesdays", "Thursdays", "Fridays", "Saturdays", "Sundays")


@dataclass(frozen=True)
class ShopDay:
    """A day of the shop, as the marts have it.

    Attributes:
        day: Shop-local.
        count_orders: Sales, guests' too.
        count_guest_orders: Of nobody the shop knows.
        product_amount: Of products sold, the shop's currency.
        price_level: Median of prices over the products' usual ones; None: too little to compare.
        repeated_rate: Share of its baskets that `repeated_day` has, too, in [0, 1].
        repeated_day: The earlier day most like it.
        is_usual: Whether later days may be compared with it; one that was stopped is not.
    """

    day: date
    count_orders: int
    count_guest_orders: int = 0
    product_amount: float = 0.0
    price_level: float | None = None
    repeated_rate: float | None = None
    repeated_day: date | None = None
    is_usual: bool = True


@dataclass(frozen=True)
class Finding:
    """What is odd about a day, in a sentence that says what is usual."""

    rule: str
    severity: Severity
    day: date
    text: str


@dataclass(frozen=True)
class Usual:
    """What a weekday usually brings: between low and high, of which most bring about `middle`."""

    low: float
    middle: float
    high: float
    busiest: float
    count_days: int

    @property
    def stop(self) -> float:
        """More than this is no day of the shop."""
        return max(STOP_TIMES_USUAL * self.middle, STOP_TIMES_BUSIEST * self.busiest)


def usual(amounts: Mapping[date, float], day: date) -> Usual | None:
    """What is usual on a day, from what the days before it brought; None: too few of them.

    Args:
        amounts: By day; a day that is missing between others brought nothing.
        day: The day to be judged; it and later ones are not looked at.
    """
    past = [day - timedelta(days=n) for n in range(1, HISTORY_DAYS + 1)]
    first = min(amounts, default=day)
    history = {past_day: amounts.get(past_day, 0.0) for past_day in past if past_day >= first}
    same = [a for d, a in history.items() if d.weekday() == day.weekday()][:SAME_WEEKDAYS]
    if len(same) < MIN_SAME_WEEKDAYS:
        return None
    middle = median(same)
    spread = USUAL_DEVIATIONS * max(_spread(history), LEAST_DEVIATION)
    # one closed day among them does not make nothing usual
    return Usual(
        low=min(middle * math.exp(-spread), sorted(same)[1]),
        middle=middle,
        high=max(middle * math.exp(spread), *same),
        busiest=max(history.values()),
        count_days=len(same),
    )


def _spread(history: Mapping[date, float]) -> float:
    """Robust standard deviation of days around their weekday's median, on a log scale."""
    by_weekday: dict[int, list[float]] = {}
    for day, amount in history.items():
        by_weekday.setdefault(day.weekday(), []).append(amount)
    medians = {weekday: median(amounts) for weekday, amounts in by_weekday.items()}
    strayed = [
        math.log((amount + 0.5) / (medians[day.weekday()] + 0.5))
        for day, amount in history.items()
        if medians[day.weekday()] > 0
    ]
    if not strayed:
        return 0.0
    middle = median(strayed)
    return 1.4826 * median([abs(value - middle) for value in strayed])


def judge(day: ShopDay, history: Sequence[ShopDay]) -> list[Finding]:
    """What is odd about a new day.

    Args:
        day: The day.
        history: Days before it that were judged; those that were not usual are left out.
    """
    before = [past for past in history if past.is_usual and past.day < day.day]
    return [
        *_volume(day, before, "orders", {past.day: float(past.count_orders) for past in before}),
        *_volume(day, before, "sales", {past.day: past.product_amount for past in before}),
        *_prices(day),
        *_repeats(day),
        *_guests(day, before),
    ]


def _volume(
    day: ShopDay, before: Sequence[ShopDay], what: str, amounts: Mapping[date, float]
) -> list[Finding]:
    found = usual(amounts, day.day)
    orders = usual({past.day: float(past.count_orders) for past in before}, day.day)
    if found is None or orders is None or max(orders.middle, day.count_orders) < MIN_ORDERS:
        return []
    brings = day.count_orders if what == "orders" else day.product_amount
    text = (
        f"{WEEKDAYS[day.day.weekday()]} usually bring {found.low:,.0f} to {found.high:,.0f} {what} "
        f"(the last {found.count_days}), {day.day} has {brings:,.0f}"
    )
    if brings > found.stop:
        return [Finding(what, CRITICAL, day.day, text)]
    # few sales of few orders are told once
    is_low = brings < found.low and (what == "orders" or day.count_orders >= orders.low)
    return [Finding(what, WARNING, day.day, text)] if is_low or brings > found.high else []


def _prices(day: ShopDay) -> list[Finding]:
    level = day.price_level
    if level is None or PRICES_LOWERED <= level <= PRICES_RAISED:
        return []
    text = (
        f"prices of {day.day} are {level:.2f} times what the same products cost in the weeks before"
    )
    if PRICES_OTHER_UNIT < level < PRICES_LOWERED:
        return [Finding("prices", WARNING, day.day, f"{text}: an offer, or another currency?")]
    return [Finding("prices", CRITICAL, day.day, f"{text}: another currency or unit?")]


def _repeats(day: ShopDay) -> list[Finding]:
    rate = day.repeated_rate
    if rate is None or rate <= REPEATED_USUAL_RATE:
        return []
    text = (
        f"{rate:.0%} of the baskets of {day.day} are those of {day.repeated_day}, usually at most "
        "10 %: the same file again under other ids or dates?"
    )
    return [Finding("repeats", CRITICAL if rate > REPEATED_MAX_RATE else WARNING, day.day, text)]


def _guests(day: ShopDay, before: Sequence[ShopDay]) -> list[Finding]:
    recent = [past for past in before if (day.day - past.day).days <= HISTORY_DAYS]
    rates = [past.count_guest_orders / past.count_orders for past in recent if past.count_orders]
    if len(rates) < MIN_SAME_WEEKDAYS * 7 or day.count_orders < MIN_ORDERS:
        return []
    rate = day.count_guest_orders / day.count_orders
    if rate < GUESTS_MAX_RATE or median(rates) > GUESTS_USUAL_RATE:
        return []
    text = (
        f"{rate:.0%} of the orders of {day.day} are of nobody, usually {median(rates):.0%}: are "
        "the customers' ids missing?"
    )
    return [Finding("guests", CRITICAL, day.day, text)]


def lost(judged: Mapping[date, int], now: Mapping[date, int]) -> list[Finding]:
    """Whether days that were judged have lost orders since: a dump that broke off, dates moved."""
    gone = {day: count - now.get(day, 0) for day, count in judged.items()}
    fewer = {day: count for day, count in gone.items() if count > 0}
    rate = sum(fewer.values()) / max(sum(judged.values()), 1)
    if not fewer or rate <= LOST_USUAL_RATE:
        return []
    text = (
        f"{sum(fewer.values()):,} of {sum(judged.values()):,} orders of {min(fewer)} to "
        f"{max(fewer)} are gone: did a file come again without them?"
    )
    return [Finding("lost", CRITICAL if rate > LOST_MAX_RATE else WARNING, min(fewer), text)]


def reconcile(
    totals: Mapping[date, tuple[int, float]], now: Mapping[date, tuple[int, float]]
) -> list[Finding]:
    """Days on which the marts and the shop's own totals differ: orders, gross amount."""
    findings = []
    for day, (orders, amount) in sorted(totals.items()):
        found_orders, found_amount = now.get(day, (0, 0.0))
        orders_off, amount_off = abs(found_orders - orders), abs(found_amount - amount)
        if orders_off == 0 and amount_off < 0.005:
            continue
        is_far = orders_off > TOTALS_MAX_RATE * orders or amount_off > TOTALS_MAX_RATE * abs(amount)
        text = (
            f"the shop's own totals of {day} say {orders:,} orders and {amount:,.2f}, the "
            f"marts have {found_orders:,} and {found_amount:,.2f}"
        )
        findings.append(Finding("totals", CRITICAL if is_far else WARNING, day, text))
    return findings
