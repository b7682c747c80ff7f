"""The rules of a year of orders: which are shown, and what is known of each."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from ml_tasks.baskets.orders import Orders
from ml_tasks.baskets.sequences import Steps, sequences
from ml_tasks.baskets.significance import MEMBERS
from ml_tasks.baskets.together import pairs, triples
from ml_tasks.baskets.variants import item_of

PAIR, TRIPLE, SEQUENCE = "pair", "triple", "sequence"
MAX_RULES = {PAIR: 300, TRIPLE: 100, SEQUENCE: 50}
ONE_WAY, BOTH_WAYS = "one_way", "both_ways"
NUMBERS = [
    *("support", "confidence", "reverse_confidence", "expected_orders", "lift", "least_lift"),
    "p_adjusted",
]
COUNTS = ["count_orders", "count_customers"]
# A rule is one-way if the other way round it is less than half as sure (pairs, triples), or rarer
# by more than chance (sequences).
HALF, RARER = 0.5, 0.01


def folded(
    lines: pd.DataFrame, products: pd.DataFrame
) -> tuple[pd.DataFrame, dict[str, list[str]]]:
    """Lines with items for products, and the products of each item that has several.

    Args:
        lines: Columns of `Orders.of`.
        products: Columns product_id, product_name.
    """
    items = item_of(products)
    lines = lines.assign(
        product_id=lines["product_id"].map(items).fillna(lines["product_id"]).astype(str)
    )
    members = items.groupby(items).groups
    return lines, {str(one): sorted(ids) for one, ids in members.items() if len(ids) > 1}


def learn(lines: pd.DataFrame) -> pd.DataFrame:
    """The rules to show, at most MAX_RULES of each kind.

    Args:
        lines: Columns of `Orders.of`, a year's.

    Returns:
        Columns rule_id, rule_kind, antecedent_ids (a list), consequent_id, direction, COUNTS and
        NUMBERS; by kind, the best first.
    """
    orders = Orders.of(lines)
    if not orders.count:
        return pd.DataFrame()
    steps = Steps.of(orders)
    two = pairs(orders)
    found = {PAIR: two, TRIPLE: triples(orders, two), SEQUENCE: sequences(steps)}
    total = {PAIR: orders.count, TRIPLE: orders.count, SEQUENCE: steps.before.count}
    parts = [
        _described(kind, rows[: MAX_RULES[kind]], orders.items, total[kind])
        for kind, rows in found.items()
        if len(rows)
    ]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def _described(kind: str, rows: pd.DataFrame, items: np.ndarray, total: int) -> pd.DataFrame:
    members = items[rows[[name for name in MEMBERS if name in rows]].to_numpy()]
    if kind == SEQUENCE:
        count = rows["count_orders"].to_numpy()
        other_way = stats.binom.sf(count - 1, count + rows["count_reverse"].to_numpy(), 0.5)
        rows = rows.assign(reverse_confidence=np.nan, is_one_way=other_way <= RARER)
    else:
        is_one_way = rows["reverse_confidence"] < HALF * rows["confidence"]
        rows = rows.assign(is_one_way=is_one_way)
    return pd.DataFrame(
        {
            "rule_id": [rule_id(kind, one) for one in members],
            "rule_kind": kind,
            "antecedent_ids": [sorted(str(item) for item in one[:-1]) for one in members],
            "consequent_id": [str(one[-1]) for one in members],
            "direction": np.where(rows["is_one_way"], ONE_WAY, BOTH_WAYS),
            "support": rows["count_orders"] / total,
        }
    ).join(rows[[*COUNTS, *(name for name in NUMBERS if name in rows)]])


def rule_id(kind: str, members: Sequence[str]) -> str:
    """Id of a rule: the same whenever the rule is found, in whichever direction it is surer.

    Example:
        >>> rule_id("pair", ["a", "b"]) == rule_id("pair", ["b", "a"])
        True
    """
    known = list(members) if kind == SEQUENCE else sorted(members)
    text = "\n".join([kind, *map(str, known)])
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()[:16]


def as_json(rules: pd.DataFrame) -> list[dict[str, Any]]:
    """The rules as JSON; NaN is null."""
    rows = rules.astype(object).to_dict("records")
    return [
        {str(name): None if value != value else value for name, value in row.items()}
        for row in rows
    ]
