"""Rules of baskets against later orders: do their products go together more often than when dealt?

The judge deals the products of a month anew among the lines of that month, many times. It counts
each rule in the orders as they were and as dealt. No formula of the rules' own null is used.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import stats

COUNT_DEALS = 199  # the smallest p-value is 1 in 200
STILL_SOLD_ORDERS = 10
HOLDS = 0.05  # largest adjusted p-value of a rule that holds
SEQUENCE = "sequence"


def dealt(lines: pd.DataFrame, random: np.random.Generator) -> pd.DataFrame:
    """The lines with the products of each month dealt anew; an order may get a product twice.

    Args:
        lines: Columns order_number, ordered_date, product_id.
        random: Source of the deal.
    """
    month = lines["ordered_date"].to_numpy().astype("datetime64[M]")
    place = np.argsort(month, kind="stable")
    drawn = np.lexsort([random.random(len(lines)), month])
    products = np.empty(len(lines), dtype=object)
    products[place] = lines["product_id"].to_numpy()[drawn]
    return lines.assign(product_id=products)


def judged(rules: pd.DataFrame, lines: pd.DataFrame, seed: int = 7) -> pd.DataFrame:
    """Whether each rule is still sold, and holds.

    Args:
        rules: Columns rule_kind (pair, triple, sequence), antecedent_ids, consequent_id.
        lines: Lines of later orders: customer_id, order_number, ordered_date, product_id.
        seed: Seed of the deals.

    Returns:
        Columns rule_kind, is_sold (each product in STILL_SOLD_ORDERS orders), holds (the p-value
        of its count among the deals, adjusted by Benjamini and Hochberg, is up to HOLDS).
    """
    names = pd.Index(sorted({*rules["antecedent_ids"].explode(), *rules["consequent_id"]}))
    members = [
        names.get_indexer([*ids, one])
        for ids, one in zip(rules["antecedent_ids"], rules["consequent_id"], strict=True)
    ]
    is_sequence = rules["rule_kind"].eq(SEQUENCE).tolist()
    orders = pd.factorize(lines["order_number"])[0]
    visits = lines.groupby(["customer_id", "ordered_date"]).ngroup().to_numpy()
    customers = lines["customer_id"].to_numpy()[np.unique(visits, return_index=True)[1]]
    follows = np.flatnonzero(customers[1:] == customers[:-1])

    def counts(products: pd.Series) -> tuple[np.ndarray, np.ndarray]:
        """Orders or steps of each rule, and orders with each product."""
        place = names.get_indexer(products)
        in_order, in_visit = (_held(rows, place, len(names)) for rows in (orders, visits))
        before, after = in_visit[follows], in_visit[follows + 1]
        together, following = in_order.T @ in_order, before.T @ (after * (1 - before))
        found = [
            (following if sequence else together)[tuple(each)]
            if len(each) == 2
            else in_order[:, each].all(axis=1).sum()
            for each, sequence in zip(members, is_sequence, strict=True)
        ]
        return np.array(found), np.diag(together)

    actual, sold = counts(lines["product_id"])
    random = np.random.default_rng(seed)
    reached = np.zeros(len(rules))
    for _ in range(COUNT_DEALS):
        reached += counts(dealt(lines, random)["product_id"])[0] >= actual
    p = (reached + 1) / (COUNT_DEALS + 1)
    is_sold = np.array([(sold[each] >= STILL_SOLD_ORDERS).all() for each in members], dtype=bool)
    holds = np.zeros(len(rules), dtype=bool)
    if is_sold.any():
        holds[is_sold] = stats.false_discovery_control(p[is_sold]) <= HOLDS
    return rules[["rule_kind"]].assign(is_sold=is_sold, holds=holds)


def figures(result: pd.DataFrame) -> dict[str, float]:
    """Number of rules, share still sold, and of these the share that holds, also by kind."""
    sold = result[result["is_sold"]]
    by_kind = sold.groupby("rule_kind")["holds"].mean()
    return {
        "count_rules": float(len(result)),
        "still_sold": float(result["is_sold"].mean()),
        "holds": float(sold["holds"].mean()),
        **{f"holds_{kind}": float(value) for kind, value in by_kind.items()},
    }


def _held(rows: np.ndarray, place: np.ndarray, count: int) -> np.ndarray:
    """1 where an order (or visit) holds a product of a rule, shape (n_rows, n_products)."""
    held = np.zeros((int(rows.max()) + 1, count), dtype=np.float32)
    is_named = place >= 0
    held[rows[is_named], place[is_named]] = 1
    return held
