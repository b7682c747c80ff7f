"""What a shop's products sell in the weeks after the one in which they were first sold.

A product is known from its first sale, so the week of that sale has one by definition: it says
nothing of the weeks to come, and a product that is sold once a year looks, a week later, as if it
sold once a week. So that week counts for no forecast, and a product that is known for a few weeks
leans on what other products did in their first weeks.

Source:
    Buhlmann and Straub (1970), in Buhlmann and Gisler (2005), A Course in Credibility Theory, 4.2:
    the posterior mean of a Gamma-Poisson rate, whatever the sizes' distribution.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

LAUNCH_WEEKS = 8
# Of the shop's newest weeks: a shop's first products sell otherwise than those it adds later.
# Chosen of 8, 13, 26 and 52 on a grocer's and a gift wholesaler's sales.
LEARNT_WEEKS = 13
MIN_LAUNCHES = 5
# One order by the pallet is not to make all products look unlike each other.
MIN_PRIOR_WEEKS = 1.0


@dataclass(frozen=True)
class Launches:
    """What is usual in the LAUNCH_WEEKS after the week of a product's first sale.

    Attributes:
        rate: Mean units a week.
        prior_weeks: A product's own mean weighs as much as `rate` after so many weeks; infinite
            where products differ no more than chance has them differ.
        chance: Share of weeks with a sale.
    """

    rate: float
    prior_weeks: float
    chance: float


def after_first_sale(units: np.ndarray) -> np.ndarray:
    """Units with NaN in each product's week of first sale, too; shape (n_products, n_weeks)."""
    return np.where(np.cumsum(~np.isnan(units), axis=1) > 1, units, np.nan)


def begun_as_usual(units: np.ndarray, launches: Launches) -> np.ndarray:
    """Units with what is usual of a new product's week in the week of first sale; same shape.

    The first sale says how large a sale is, and other products how likely one is: the mean of
    log(1 + units) follows. Products sold in the first week of all are left as they are: most were
    sold before, too.
    """
    is_live = ~np.isnan(units)
    is_first = (np.cumsum(is_live, axis=1) == 1) & is_live & ~is_live[:, :1]
    return np.where(is_first, np.expm1(launches.chance * np.log1p(units)), units)


def launches_of(units: np.ndarray) -> Launches:
    """What is usual, by the products that were new in the shop's newest weeks; else by all.

    Args:
        units: Of all products, those that fell asleep too, shape (n_products, n_weeks); NaN before
            a product's first sale.
    """
    age = np.cumsum(~np.isnan(units), axis=1) * ~np.isnan(units)
    was_new = (age > 1) & (age <= 1 + LAUNCH_WEEKS)
    is_newest = np.arange(units.shape[1]) >= units.shape[1] - LEARNT_WEEKS
    if (was_new & is_newest).any(axis=1).sum() >= MIN_LAUNCHES:
        was_new &= is_newest
    elif not was_new.any():
        was_new = age == 1
    counts = was_new.sum(axis=1)
    own = np.where(was_new, units, 0.0)[counts > 0]
    of_all = units[was_new]
    if not len(of_all):
        return Launches(0.0, np.inf, 0.0)
    return Launches(
        float(of_all.mean()),
        _prior_weeks(own, was_new[counts > 0]),
        float((of_all > 0).mean()),
    )


def rates(units: np.ndarray, launches: Launches) -> np.ndarray:
    """Expected units a week of products by all their weeks after the first, shape (n_products,).

    Args:
        units: Of products that are known for at most some LAUNCH_WEEKS; NaN before the first sale.
        launches: Of the shop.
    """
    known = after_first_sale(units)
    count = (~np.isnan(known)).sum(axis=1)
    if np.isinf(launches.prior_weeks):
        return np.full(len(units), launches.rate)
    sold = np.nansum(known, axis=1)
    return (sold + launches.prior_weeks * launches.rate) / (count + launches.prior_weeks)


def is_young(units: np.ndarray) -> np.ndarray:
    """Whether fewer than LAUNCH_WEEKS after the week of first sale are known, (n_products,)."""
    return (~np.isnan(units)).sum(axis=1) <= LAUNCH_WEEKS


def _prior_weeks(own: np.ndarray, was_new: np.ndarray) -> float:
    """Variance of a product's weeks about its mean over that of the products' means.

    Args:
        own: Units, 0 where not `was_new`, shape (n_products, n_weeks).
        was_new: Weeks that count, at least one a product, same shape.
    """
    weeks = was_new.sum(axis=1)
    means, total = own.sum(axis=1) / weeks, weeks.sum()
    spare = total - len(weeks)
    share = total - (weeks**2).sum() / total
    if spare == 0 or share == 0:
        return np.inf
    within = (((own - means[:, None]) ** 2) * was_new).sum() / spare
    of_means = (weeks * (means - own.sum() / total) ** 2).sum()
    between = (of_means - (len(weeks) - 1) * within) / share
    return float(max(within / between, MIN_PRIOR_WEEKS)) if between > 0 else np.inf
