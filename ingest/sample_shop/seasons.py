"""The order rate over time: season, weekday, hour and promotions.

Time is a float: days since the opening. Order rates are constant within an hour, so an order's time
is drawn exactly, by inverting the integral of the rate (`BuyingTime`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np

from ingest.sample_shop.plan import FAMILIES, Plan, day_number, first_of_month

WEEKDAY_FACTOR = np.array([1.10, 1.00, 0.95, 1.00, 1.05, 0.75, 1.15])  # Monday first, mean 1
# No orders from 1:00 to 6:00: local times that a clock change skips or repeats never occur.
HOUR_WEIGHT = np.array([2, 0, 0, 0, 0, 0, 1, 2, 4, 5, 6, 6, 7, 7, 6, 5, 5, 6, 7, 8, 9, 9, 7, 4])
CHRISTMAS_LIFT, CHRISTMAS_PEAK, CHRISTMAS_SPREAD_DAYS = 1.3, 340, 18
CLOSED_DAYS_FACTOR = 0.3  # 24 to 26 December

PROMOTION_RATE_PER_MONTH = 0.6
PROMOTION_ORDER_LIFT, PROMOTION_PRODUCT_LIFT = 1.15, 2.5
BLACK_FRIDAY_ORDER_LIFT, BLACK_FRIDAY_DISCOUNT = 1.8, 0.20
ALL_FAMILIES = "all"


def days_of_month(month: int) -> np.ndarray:
    """The month's days, datetime64[D]."""
    return np.arange(np.datetime64(first_of_month(month)), np.datetime64(first_of_month(month + 1)))


def day_of_year(days: np.ndarray) -> np.ndarray:
    """Day of the year, 1 to 366; same shape as `days`."""
    return (days - days.astype("datetime64[Y]")).astype(int) + 1


def season_factor(days: np.ndarray) -> np.ndarray:
    """Expected orders of each day relative to the average day of a year, without promotions."""
    return _year_and_week(days) / _MEAN_OF_A_YEAR


def _year_and_week(days: np.ndarray) -> np.ndarray:
    position = day_of_year(days)
    christmas = np.exp(-0.5 * ((position - CHRISTMAS_PEAK) / CHRISTMAS_SPREAD_DAYS) ** 2)
    summer_dip = 1 - 0.12 * np.exp(-0.5 * ((position - 215) / 20) ** 2)
    month_and_day = np.char.replace(np.datetime_as_string(days), "-", "").astype(int) % 10_000
    closed = np.where((month_and_day >= 1224) & (month_and_day <= 1226), CLOSED_DAYS_FACTOR, 1.0)
    weekday = (days.astype(int) + 3) % 7  # 1970-01-01 was a Thursday
    return (1 + CHRISTMAS_LIFT * christmas) * summer_dip * closed * WEEKDAY_FACTOR[weekday]


_MEAN_OF_A_YEAR = _year_and_week(np.arange("2023-01-01", "2024-01-01", dtype="M8[D]")).mean()


def family_season_factor(family: str, days: np.ndarray) -> np.ndarray:
    """Demand for a family's products over the year, relative to all other products."""
    planted = FAMILIES[family]
    angle = 2 * np.pi * (day_of_year(days) - planted.peak_day_of_year) / 365.25
    return np.exp(planted.season_strength * np.cos(angle))


@dataclass(frozen=True)
class Promotion:
    """Discount on a family (or `all`) from first_date to last_date, inclusive.

    `order_lift` is a factor on the order rate, `product_lift` one on the demand for the family's
    products.
    """

    family: str
    first_date: date
    last_date: date
    discount_rate: float
    order_lift: float
    product_lift: float

    def is_running(self, days: np.ndarray) -> np.ndarray:
        """Whether the promotion runs on each day; same shape as `days`."""
        first, last = np.datetime64(self.first_date), np.datetime64(self.last_date)
        return (days >= first) & (days <= last)


def promotions(plan: Plan) -> tuple[Promotion, ...]:
    """Draw the promotions of the plan's months; each begins and ends in one month."""
    drawn = []
    for month in range(plan.months):
        opening = first_of_month(month)
        random = plan.random("promotions", month)
        draw, start, length = random.random(), random.integers(1, 22), random.integers(3, 8)
        family, discount = random.choice(list(FAMILIES)), random.choice([0.10, 0.15, 0.20, 0.25])
        if draw < PROMOTION_RATE_PER_MONTH:
            first = opening + timedelta(days=int(start) - 1)
            last = first + timedelta(days=int(length) - 1)
            lifts = (PROMOTION_ORDER_LIFT, PROMOTION_PRODUCT_LIFT)
            drawn.append(Promotion(str(family), first, last, float(discount), *lifts))
        if opening.month == 11:
            first = black_friday(opening.year)
            last = first + timedelta(days=1)
            discount, lift = BLACK_FRIDAY_DISCOUNT, BLACK_FRIDAY_ORDER_LIFT
            drawn.append(Promotion(ALL_FAMILIES, first, last, discount, lift, 1.0))
    return tuple(drawn)


def black_friday(year: int) -> date:
    """The day after the fourth Thursday of November; the Saturday after it is in November too."""
    first = date(year, 11, 1)
    return first + timedelta(days=(3 - first.weekday()) % 7 + 22)


Promotions = tuple[Promotion, ...]


class BuyingTime:
    """A month's clock that runs with the order rate: one unit is an average day's orders."""

    def __init__(self, month: int, promoted: Promotions):
        """Integrate the month's order rate, hour by hour."""
        days = days_of_month(month)
        rate = season_factor(days)
        for promotion in promoted:
            rate = rate * np.where(promotion.is_running(days), promotion.order_lift, 1.0)
        per_hour = np.outer(rate, HOUR_WEIGHT / HOUR_WEIGHT.sum()).ravel()
        self.start = float(day_number(first_of_month(month)))
        self.end = self.start + len(days)
        self._times = self.start + np.arange(len(per_hour) + 1) / 24
        self._elapsed = np.concatenate([[0.0], np.cumsum(per_hour)])

    def until(self, time: np.ndarray) -> np.ndarray:
        """Buying time from the start of the month to `time`, days since the opening."""
        return np.interp(time, self._times, self._elapsed)

    def at(self, elapsed: np.ndarray) -> np.ndarray:
        """Time, in days since the opening, at which `elapsed` buying time has passed."""
        return np.interp(elapsed, self._elapsed, self._times)

    @property
    def length(self) -> float:
        """Buying time of the whole month."""
        return float(self._elapsed[-1])
