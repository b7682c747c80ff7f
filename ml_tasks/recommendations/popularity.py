"""How many customers bought each product, lately and in other windows, before a day."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ml_tasks.recommendations.purchases import Lines

RECENT_DAYS, SOLD_DAYS, SEASON_DAYS, YEAR_DAYS = 28, 90, 90, 365


@dataclass(frozen=True)
class Popularity:
    """Numbers of products on a day, each of shape (n_products,).

    Attributes:
        recent: Customers of the last 28 days.
        earlier: Customers of the 28 days before these.
        quarter: Customers of the last 90 days; 0: not sold, so not shown.
        season: Customers of the 90 days that began a year ago.
        year: Customers of the last 365 days.
        repeated: Of `year`, those with two orders or more in it.
        age_days: Days since the first sale that is known.
        active: Customers with an order in the last 28 days, a number.
    """

    recent: np.ndarray
    earlier: np.ndarray
    quarter: np.ndarray
    season: np.ndarray
    year: np.ndarray
    repeated: np.ndarray
    age_days: np.ndarray
    active: int

    @property
    def is_sold(self) -> np.ndarray:
        """Whether a product was sold in the last 90 days, which stands in for its stock."""
        return np.asarray(self.quarter > 0)

    @property
    def recent_share(self) -> np.ndarray:
        """Share of the customers of the last 28 days who bought it."""
        return self.recent / max(self.active, 1)

    @property
    def order(self) -> np.ndarray:
        """Products, most customers of 28 days first, then of 90; ties by number."""
        return np.lexsort((np.arange(len(self.recent)), -self.quarter, -self.recent))


def popularity(lines: Lines, day: int) -> Popularity:
    """Popularity from the lines before a day."""
    seen = lines.only(lines.day < day)
    age = day - seen.day
    first = np.full(len(lines.products), 0, dtype=np.int64)
    np.maximum.at(first, seen.product, age)
    year = seen.only(age <= YEAR_DAYS)
    return Popularity(
        recent=_customers(seen, age <= RECENT_DAYS),
        earlier=_customers(seen, (age > RECENT_DAYS) & (age <= 2 * RECENT_DAYS)),
        quarter=_customers(seen, age <= SOLD_DAYS),
        season=_customers(seen, (age <= YEAR_DAYS) & (age > YEAR_DAYS - SEASON_DAYS)),
        year=_customers(seen, age <= YEAR_DAYS),
        repeated=_repeated(year),
        age_days=first,
        active=len(np.unique(seen.customer[age <= RECENT_DAYS])),
    )


def _customers(lines: Lines, keep: np.ndarray) -> np.ndarray:
    """Distinct customers of each product."""
    size = np.int64(len(lines.products))
    pairs = np.unique(lines.customer[keep].astype(np.int64) * size + lines.product[keep])
    return np.bincount(pairs % size, minlength=int(size))


def _repeated(lines: Lines) -> np.ndarray:
    """Customers with two orders or more of each product."""
    size = np.int64(len(lines.products))
    pairs, counts = np.unique(
        lines.customer.astype(np.int64) * size + lines.product, return_counts=True
    )
    return np.bincount(pairs[counts > 1] % size, minlength=int(size))
