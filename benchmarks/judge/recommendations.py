"""Lists of products against what customers ordered in the next 90 days, by plain counting."""

from __future__ import annotations

from dataclasses import dataclass
from math import log2

import numpy as np
import pandas as pd

HORIZON_DAYS, SOLD_DAYS, LENGTH = 90, 90, 20
COUNT_DRAWS = 1000

Lists = dict[str, list[str]]  # customer -> products, the best first


@dataclass(frozen=True)
class Truth:
    """What is judged at a cut.

    Attributes:
        ordered: Customer -> products ordered in the horizon, without those that nobody had ordered.
        new: The same without what the customer had ordered before; customers with any.
        candidates: Products ordered by a customer in the 90 days before the cut.
        bought: Customer -> products ordered before the cut.
    """

    ordered: dict[str, set[str]]
    new: dict[str, set[str]]
    candidates: set[str]
    bought: dict[str, set[str]]


def truth(lines: pd.DataFrame, cut: pd.Timestamp) -> Truth:
    """What customers who were known ordered.

    Args:
        lines: Columns customer_id, ordered_date, product_id.
        cut: First day of the horizon.
    """
    day = lines["ordered_date"]
    before = lines[day < cut]
    after = lines[(day >= cut) & (day < cut + pd.Timedelta(days=HORIZON_DAYS))]
    bought = before.groupby("customer_id")["product_id"].agg(set).to_dict()
    known = set(before["product_id"])
    recent = before[before["ordered_date"] >= cut - pd.Timedelta(days=SOLD_DAYS)]
    ordered = {
        str(customer): found
        for customer, products in after.groupby("customer_id")["product_id"]
        if customer in bought and (found := set(products) & known)
    }
    new = {one: left for one, found in ordered.items() if (left := found - bought[one])}
    return Truth(ordered, new, set(recent["product_id"]), bought)


def judged(lists: Lists, ordered: dict[str, set[str]], candidates: set[str]) -> pd.DataFrame:
    """Recall, nDCG and hit of each customer; coverage of all lists in `attrs`.

    Args:
        lists: The lists; a customer without one has found nothing.
        ordered: What is to be found.
        candidates: Products that could be in a list.
    """
    rows, shown = [], set()
    for customer, products in ordered.items():
        listed = lists.get(customer, [])[:LENGTH]
        shown |= set(listed)
        hits = [1 / log2(place + 2) for place, one in enumerate(listed) if one in products]
        ideal = sum(1 / log2(place + 2) for place in range(min(LENGTH, len(products))))
        rows.append((customer, len(hits) / len(products), sum(hits) / ideal, float(bool(hits))))
    found = pd.DataFrame(rows, columns=["customer_id", "recall", "ndcg", "hit"])
    found = found.set_index("customer_id")
    found.attrs["coverage"] = len(shown) / max(len(candidates), 1)
    return found


def verdict(ours: pd.Series, theirs: pd.Series, tests: int, seed: int = 7) -> str:
    """`better`, `tie` or `worse` by a paired bootstrap over customers at 5 %, Bonferroni.

    Args:
        ours: A figure of each customer.
        theirs: The peer's, of the same customers.
        tests: Number of comparisons that are made.
        seed: Of the draws.
    """
    apart = (ours - theirs).to_numpy()
    draws = np.random.default_rng(seed).integers(0, len(apart), (COUNT_DRAWS, len(apart)))
    means = apart[draws].mean(axis=1)
    spread = float(means.std())
    z = float(apart.mean()) / spread if spread else 0.0
    limit = {1: 1.96}.get(tests, float(np.sqrt(2 * np.log(tests / 0.05))))
    return "better" if z > limit else "worse" if z < -limit else "tie"
