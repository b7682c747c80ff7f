"""The parameters of the sample shop. Tests check whether a model recovers them.

Random numbers are drawn month by month; each month and purpose has its own generator. So a longer
plan begins with exactly the shorter one, and a month can be generated without the months before.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np

START = date(2023, 1, 1)
"""First day of the shop. The calendar is fixed, so the shop is the same on every day of use."""

REFERENCE_DAYS = 730
"""`customers` counts the arrivals of these first days; more days bring more customers."""

# Buying is Pareto/NBD: Poisson orders while alive, exponential lifetimes, gamma-mixed rates.
# Schmittlein, Morrison and Colombo (1987), Management Science 33(1).
RATE_SHAPE = 1.2
RATE_MEAN_PER_DAY = 1 / 45
LIFETIME_SHAPE = 1.2
LIFETIME_SCALE_DAYS = 220.0
NEVER_BUYING_RATE = 0.02

# Spending: units of a line are 1 + Poisson(mean extra units of its family x the customer's factor).
SPEND_SHAPE = 2.0
EXTRA_LINES_PER_ORDER = 1.0
FAVOURITE_FAMILY_RATE = 0.4
GUEST_ORDERS_PER_CUSTOMER = 0.5

COUNTRIES = {
    "United Kingdom": 0.70,
    "Ireland": 0.08,
    "Germany": 0.08,
    "France": 0.06,
    "Netherlands": 0.05,
    "United States": 0.03,
}


@dataclass(frozen=True)
class Family:
    """Products that sell alike: share of the catalogue, prices, season, returns."""

    share: float
    median_price_amount: float
    extra_units: float
    peak_day_of_year: int
    season_strength: float  # demand on the best day is exp(2 x this) times that of the worst
    return_rate: float  # share of lines with a return
    nouns: tuple[str, ...]


FAMILIES = {
    "Clothing": Family(0.15, 24.0, 0.3, 120, 0.2, 0.14, ("Scarf", "Apron", "Socks", "Gloves")),
    "Decorations": Family(0.15, 6.0, 1.5, 335, 1.0, 0.03, ("Garland", "Lantern", "Bunting")),
    "Garden": Family(0.15, 15.0, 0.8, 150, 0.8, 0.04, ("Planter", "Trowel", "Bird Feeder")),
    "Home": Family(0.20, 18.0, 0.5, 300, 0.2, 0.05, ("Cushion", "Clock", "Candle", "Frame")),
    "Kitchen": Family(0.20, 10.0, 1.0, 330, 0.3, 0.04, ("Mug", "Teapot", "Cake Tin", "Jug")),
    "Stationery": Family(0.15, 4.0, 2.0, 245, 0.4, 0.02, ("Notebook", "Pen Set", "Card Box")),
}
ADJECTIVES = ("Blue", "Red", "Vintage", "Round", "Small", "Large", "Striped", "Oak", "Copper")


PAIR, SEQUENCE, SUBSTITUTE = "pair", "sequence", "substitute"


@dataclass(frozen=True)
class Bond:
    """Two products that belong together, each named by its noun.

    Only products count that opened with the shop and are never discontinued. Of those with the
    noun the one in most demand is meant, and of those with the other noun the one whose price is
    nearest to the median of its family; of substitutes, the two in least demand. A seed without
    such products does without the bond.

    Attributes:
        kind: PAIR: the product brings the other one into the same order. SEQUENCE: into the
            customer's next order, if that comes in the same month or the next. SUBSTITUTE: an
            order has one of the two at most.
        noun: Of the product.
        other_noun: Of the other one; of substitutes the same noun.
        rate: Share of the orders with room that get the other product; room is a line of its
            family, which becomes it. Of substitutes, orders of keen customers that get one of them.
    """

    kind: str
    noun: str
    other_noun: str
    rate: float


BONDS = (
    Bond(PAIR, "Gloves", "Scarf", 0.8),
    Bond(PAIR, "Garland", "Candle", 0.8),
    Bond(PAIR, "Planter", "Trowel", 0.8),
    Bond(PAIR, "Mug", "Jug", 0.8),
    Bond(SEQUENCE, "Cake Tin", "Apron", 0.8),
    Bond(SEQUENCE, "Pen Set", "Notebook", 0.8),
    Bond(SUBSTITUTE, "Bird Feeder", "Bird Feeder", 0.8),
    Bond(SUBSTITUTE, "Cushion", "Cushion", 0.8),
)
KEEN_RATE = 0.3  # share of customers who are keen on the substitutes of their favourite family

OPENING_PRODUCTS = 150
NEW_PRODUCTS_PER_MONTH = 4
PERMANENT_PRODUCT_RATE = 0.4
PRODUCT_LIFE_DAYS = (90, 700)  # of the others, uniform
PRODUCT_WEIGHT_SIGMA = 1.0  # base demand is log-normal
RAMP_UP_DAYS = 28
FADE_OUT_DAYS = 56
PRICE_CHANGE_RATE = 0.05  # share of products with a new price on the first of a month
PRICE_STEPS = (0.90, 0.95, 1.05, 1.08, 1.12)

POSTAGE_CODE = "POSTAGE"
POSTAGE_AMOUNT = 3.95
FREE_POSTAGE_FROM_AMOUNT = 40.0


@dataclass(frozen=True)
class Campaign:
    """A campaign of each year, on the 6th of a month at 10:00.

    Attributes:
        name: Its name, to which the year is added.
        action: What is done.
        month_of_year: 1 to 12.
        order_rate: Share of the contacted who order once more, if they are still here.
    """

    name: str
    action: str
    month_of_year: int
    order_rate: float


CAMPAIGNS = (Campaign("voucher", "voucher", 6, 0.7), Campaign("letter", "letter", 9, 0.0))
CAMPAIGN_DAY = 6
CAMPAIGN_HOUR = 10
# For those who came in the 180 days before, are still here and buy less often than the average.
CAMPAIGN_ARRIVED_DAYS = 180
CAMPAIGN_DRAWN_RATE = 0.7
CAMPAIGN_HELD_OUT_RATE = 0.4  # of those who are drawn
CAMPAIGN_ORDER_DAYS = 42  # the order that it brings comes within so many days, evenly


@dataclass(frozen=True)
class Plan:
    """A sample shop: the seed, customers arriving in the first 730 days, days of history.

    Attributes:
        without_campaigns: Months from the opening that have none, in a folder of a version before
            there were campaigns.
        bonds_from: First month from the opening with bonds and substitutes; above 0 in a folder of
            a version before there were any.
    """

    seed: int = 7
    customers: int = 5_000
    days: int = REFERENCE_DAYS
    without_campaigns: frozenset[int] = frozenset()
    bonds_from: int = 0

    def __post_init__(self) -> None:
        """Check the range of each argument."""
        if self.seed < 0 or self.customers < 1 or self.days < 1:
            raise ValueError(f"seed from 0, customers and days from 1 are needed, not {self}")

    @property
    def end(self) -> date:
        """The day after the last day of history."""
        return START + timedelta(days=self.days)

    @property
    def months(self) -> int:
        """Number of calendar months that begin on or before the last day."""
        return month_index(self.end - timedelta(days=1)) + 1

    def random(self, purpose: str, month: int) -> np.random.Generator:
        """The generator of one purpose in one month; nothing else draws from it."""
        return np.random.default_rng([self.seed, month, *purpose.encode()])


def month_index(day: date) -> int:
    """Months from the opening to the month of `day`."""
    return (day.year - START.year) * 12 + day.month - START.month


def first_of_month(month: int) -> date:
    """First day of a month, counted from the opening."""
    years, months = divmod(START.month - 1 + month, 12)
    return date(START.year + years, months + 1, 1)


def day_number(day: date) -> int:
    """Days from the opening to `day`."""
    return (day - START).days
