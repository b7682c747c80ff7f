"""Pairs as a user would find them: by plain lift, by Fisher's exact test, by FP-growth."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
from scipy import sparse, stats

MIN_SHARE, ALPHA = 0.0005, 0.01


def plain_lift(lines: pd.DataFrame, count: int) -> pd.DataFrame:
    """Pairs of usual products with the highest lift."""
    found = _pairs(lines)
    return _as_rules(found.nlargest(count, "lift", keep="first"))


def fisher(lines: pd.DataFrame, count: int) -> pd.DataFrame:
    """The same of those that Fisher's exact test calls significant by Benjamini and Hochberg."""
    found = _pairs(lines)
    table = (found["both"] - 1, found["orders"], found["left_orders"], found["right_orders"])
    p = stats.hypergeom.sf(*table)
    found = found[stats.false_discovery_control(p) <= ALPHA] if len(p) else found
    return _as_rules(found.nlargest(count, "lift", keep="first"))


def fp_growth(lines: pd.DataFrame, count: int) -> pd.DataFrame:
    """Pairs of mlxtend's fpgrowth with the highest lift, which also counts triples."""
    from mlxtend.frequent_patterns import fpgrowth

    orders, order = np.unique(lines["order_number"], return_inverse=True)
    products, product = np.unique(lines["product_id"].astype(str), return_inverse=True)
    held = np.zeros((len(orders), len(products)), dtype=bool)
    held[order, product] = True
    sets = fpgrowth(pd.DataFrame(held), min_support=_least(len(orders)) / len(orders), max_len=3)
    share = held.mean(axis=0)
    pairs = [(support, *one) for support, one in sets.to_numpy() if len(one) == 2]
    found = pd.DataFrame(pairs, columns=["support", "left", "right"])
    found["lift"] = found["support"] / (share[found["left"]] * share[found["right"]])
    found = found.assign(left=products[found["left"]], right=products[found["right"]])
    return _as_rules(found.nlargest(count, "lift", keep="first"))


PEERS: dict[str, Callable[[pd.DataFrame, int], pd.DataFrame]] = {
    "plain_lift": plain_lift,
    "fisher": fisher,
    "fp_growth": fp_growth,
}


def _least(count_orders: int) -> int:
    """The support of ours: .05 % of the orders, from 20 to 50."""
    return int(np.clip(np.ceil(MIN_SHARE * count_orders), 20, 50))


def _pairs(lines: pd.DataFrame) -> pd.DataFrame:
    """Columns left, right, both, orders, left_orders, right_orders, lift of the usual pairs."""
    order, product = (pd.factorize(lines[name])[0] for name in ("order_number", "product_id"))
    held = sparse.csr_matrix((np.ones(len(lines)), (order, product)))
    held.data[:] = 1
    count, sold = held.shape[0], np.asarray(held.sum(axis=0)).ravel()
    both = sparse.triu(held.T @ held, k=1).tocoo()
    often = both.data >= _least(count)
    left, right, n = both.row[often], both.col[often], both.data[often]
    ids = pd.factorize(lines["product_id"])[1].to_numpy()
    found = pd.DataFrame({"left": ids[left], "right": ids[right], "both": n, "orders": count})
    found = found.assign(left_orders=sold[left], right_orders=sold[right])
    return found.assign(lift=n * count / (sold[left] * sold[right])).sort_values(["left", "right"])


def _as_rules(pairs: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "rule_kind": "pair",
            "antecedent_ids": [[one] for one in pairs["left"]],
            "consequent_id": pairs["right"].tolist(),
        }
    )
