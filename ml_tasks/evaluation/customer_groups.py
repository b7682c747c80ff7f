"""Groups of customers that a model must serve alike, and how far apart its figures may be.

A figure of a group is noisy, the more the smaller the group. So a gap is one only if it is beyond
its bound and beyond what chance would make of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date

import numpy as np
import pandas as pd

from ml_tasks.evaluation.figures import ALL, Figure
from ml_tasks.evaluation.figures import rows as rows_of

COUNT_COUNTRIES = 3
NEW_DAYS = 90
# Below so many rows a group's figures say nothing.
MIN_ROWS = 100
COUNT_GROUPS = 20
# More rows than these tell the error no better; every k-th is taken.
MAX_ERROR_ROWS = 20_000
# A gap must be so many standard errors wide.
ERRORS = 2.0

# How far a group's figure may be from that of everybody else, in the figure's own unit. Ranking
# inside a group of like customers is harder than among all (AUC .65 among new ones: .80 among the
# others on Online Retail II, .89 on the sample shop), so bounds of rank figures are wide.
GAP_BOUNDS = {
    # 2026-11-22: .20 -> .30, it would have warned on every date of a sample shop
    "auc": 0.30,
    "concordance": 0.30,
    "gini": 0.50,
    "calibration_error": 0.10,
    "mean_error": 0.10,
    "total_error": 0.50,
}
Figures = Callable[[pd.DataFrame], Mapping[str, float]]


@dataclass(frozen=True)
class Group:
    """The figures of a group.

    Attributes:
        name: As `groups` names it, or `all`.
        count: Rows in it.
        values: Figure -> value; NaN where it cannot be computed.
        errors: Figure -> sampling error, see `standard_errors`.
        gaps: Figures that are too far from everybody else's -> that of everybody else.
    """

    name: str
    count: int
    values: Mapping[str, float]
    errors: Mapping[str, float]
    gaps: Mapping[str, float] = field(default_factory=dict)

    def warnings(self) -> list[str]:
        """A line per gap."""
        return [
            f"{figure} is {self.values[figure]:.3f} for {self.name}, {others:.3f} for the others"
            for figure, others in self.gaps.items()
        ]


def served(
    cut: date,
    customers: Mapping[str, pd.DataFrame],
    figures: Figures,
    metric_name: str = "{}",
) -> tuple[list[Figure], dict[str, list[str]]]:
    """How several models served groups of customers on a past date.

    Args:
        cut: The past date.
        customers: Model -> rows as of `by_group`.
        figures: What to compute from rows.
        metric_name: Pattern of the metrics' names, where their horizon is not the evaluation's.

    Returns:
        The figures of each group but ALL, which the evaluation has; and model -> a line per gap.
    """
    found: list[Figure] = []
    gaps: dict[str, list[str]] = {}
    for model, rows in customers.items():
        groups_ = by_group(rows, figures)
        gaps[model] = [warning for one in groups_ for warning in one.warnings()]
        for one in groups_[1:]:
            values = {metric_name.format(name): value for name, value in one.values.items()}
            found += rows_of(cut, model, values, one.count, one.name)
    return found, gaps


def by_group(rows: pd.DataFrame, figures: Figures) -> list[Group]:
    """The figures of all rows and of each group.

    Args:
        rows: One row per customer in a total order; what `groups` needs and what `figures` needs.
        figures: What to compute from rows.
    """
    found = [Group(ALL, len(rows), figures(rows), standard_errors(rows, figures))]
    compared: list[np.ndarray] = []
    for name, mask in groups(rows).items():
        part = rows[mask]
        one = Group(name, len(part), figures(part), standard_errors(part, figures))
        # new and old customers are each other's others: one comparison, one warning
        if not any((mask == ~earlier).all() for earlier in compared):
            one = replace(one, gaps=_gaps(one, rows[~mask], figures))
            compared.append(mask)
        found.append(one)
    return found


def groups(customers: pd.DataFrame) -> dict[str, np.ndarray]:
    """Which rows belong to which group; small groups are left out.

    Args:
        customers: What was known of each customer: country, days_since_first_order,
            count_order_days.

    Returns:
        Name -> mask of shape (n,). Countries: the COUNT_COUNTRIES with most customers, and the
        rest. `customers: new` first ordered in the last NEW_DAYS days.
    """
    country = customers["country"]
    sizes = country.value_counts()
    # by size, then by name: equal sizes must not depend on the order of the rows
    largest = sorted(sizes.index, key=lambda name: (-sizes[name], str(name)))[:COUNT_COUNTRIES]
    is_new = (customers["days_since_first_order"] <= NEW_DAYS).to_numpy()
    is_once = (customers["count_order_days"] == 1).to_numpy()
    found = {f"country: {name}": (country == name).to_numpy() for name in largest}
    found |= {
        "country: rest": (country.notna() & ~country.isin(largest)).to_numpy(),
        "customers: new": is_new,
        "customers: old": ~is_new,
        "orders: one": is_once,
        "orders: several": ~is_once,
    }
    return {
        name: mask for name, mask in found.items() if MIN_ROWS <= mask.sum() <= len(mask) - MIN_ROWS
    }


def standard_errors(rows: pd.DataFrame, figures: Figures) -> dict[str, float]:
    """Sampling error of each figure, by leaving out one of COUNT_GROUPS groups of rows at a time.

    Args:
        rows: One row per entity, in a total order.
        figures: What to compute from rows; NaN where they can't tell.

    Returns:
        By figure; NaN where a figure could not be told from some part of the rows.

    Source:
        Kott (2001), Journal of Official Statistics 17:521, the delete-a-group jackknife.
    """
    sample = rows.iloc[:: -(-len(rows) // MAX_ERROR_ROWS)] if len(rows) else rows
    if len(sample) < 2 * COUNT_GROUPS:
        return dict.fromkeys(figures(rows), float("nan"))
    # dealt by a fixed shuffle: ids may have a rhythm of their own
    group = np.random.default_rng(0).permutation(len(sample)) % COUNT_GROUPS
    left = pd.DataFrame([dict(figures(sample[group != k])) for k in range(COUNT_GROUPS)])
    variance = left.var(ddof=0, skipna=False) * (COUNT_GROUPS - 1)
    return {
        str(name): float(error)
        for name, error in np.sqrt(variance * len(sample) / len(rows)).items()
    }


def _gaps(one: Group, rest: pd.DataFrame, figures: Figures) -> dict[str, float]:
    others, errors = figures(rest), standard_errors(rest, figures)
    found = {}
    for figure, bound in GAP_BOUNDS.items():
        if figure not in one.values or figure not in others:
            continue
        distance = abs(one.values[figure] - others[figure])
        noise = ERRORS * float(np.hypot(one.errors[figure], errors[figure]))
        if distance > bound and distance > noise:  # never where one of them could not be told
            found[figure] = others[figure]
    return found
