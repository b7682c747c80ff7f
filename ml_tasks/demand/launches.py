"""Sales of new products in the weeks after their first sale.

A product is known from its first sale on, so the week of that sale has a sale by definition and is
no evidence on later weeks: a product that sells once a year would look, a week later, like one that
sells every week. So forecasts ignore that week, and a product known for a few weeks leans on what
other products sold in their first weeks.

Source:
    Buhlmann and Straub (1970), in Buhlmann and Gisler (2005), A Course in Credibility Theory, 4.2:
    the posterior mean of a Gamma-Poisson rate, whatever the sizes' distribution.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

LAUNCH_WEEKS = 8
# Launches are measured in this many newest weeks: a shop's first products sell differently from
# later ones. Chosen among 8, 13, 26 and 52 on the sales of a grocer and of a gift wholesaler.
LEARNT_WEEKS = 13
MIN_LAUNCHES = 5
# Lower bound, so that one huge order does not make all products look different.
MIN_PRIOR_WEEKS = 1.0


@dataclass(frozen=True)
class Launches:
    """Usual sales in the LAUNCH_WEEKS after the week of a product's first sale.

    Attributes:
        rate: Mean units a week.
        prior_weeks: Weeks after which a product's own mean weighs as much as `rate`; infinite
            where products differ no more than by chance.
        chance: Share of weeks with a sale, in [0, 1].
    """

    rate: float
    prior_weeks: float
    chance: float


def after_first_sale(units: np.ndarray) -> np.ndarray:
    """Units with NaN also in each product's week of first sale, shape (n_products, n_weeks)."""
    return np.where(np.cumsum(~np.isnan(units), axis=1) > 1, units, np.nan)


def begun_as_usual(units: np.ndarray, launches: Launches) -> np.ndarray:
    """Replace the week of first sale by an expected week of a new product; same shape.

    The first sale gives the size of a sale, other products give its chance; their product is the
    mean of log(1 + units). Products sold in the panel's first week are not changed, because most
    were sold before it.

    Args:
        units: Shape (n_products, n_weeks); NaN before a product's first sale.
        launches: Launches of the shop.
    """
    is_live = ~np.isnan(units)
    is_first = (np.cumsum(is_live, axis=1) == 1) & is_live & ~is_live[:, :1]
    return np.where(is_first, np.expm1(launches.chance * np.log1p(units)), units)


def launches_of(units: np.ndarray) -> Launches:
    """Measure launches on products new in the newest weeks, or on all launches if too few.

    Args:
        units: Units of all products, those no longer sold too, shape (n_products, n_weeks); NaN
            before a product's first sale.
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
    """Expected units a week of young products, shape (n_products,).

    Args:
        units: Shape (n_products, n_weeks); NaN before a product's first sale.
        launches: Launches of the shop, to which a product's own mean is shrunk.
    """
    known = after_first_sale(units)
    count = (~np.isnan(known)).sum(axis=1)
    if np.isinf(launches.prior_weeks):
        return np.full(len(units), launches.rate)
    sold = np.nansum(known, axis=1)
    return (sold + launches.prior_weeks * launches.rate) / (count + launches.prior_weeks)


def is_young(units: np.ndarray) -> np.ndarray:
    """True if fewer than LAUNCH_WEEKS after the week of first sale are known, (n_products,)."""
    return (~np.isnan(units)).sum(axis=1) <= LAUNCH_WEEKS


def _prior_weeks(own: np.ndarray, was_new: np.ndarray) -> float:
    """Variance of weeks within products over the variance between the products' means.

    Args:
        own: Units, 0 where not `was_new`, shape (n_products, n_weeks).
        was_new: Weeks to use, at least one per product, same shape.
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
