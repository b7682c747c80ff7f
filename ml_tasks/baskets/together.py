"""Pairs and triples of items that are ordered together more often than by chance."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import special

from ml_tasks.baskets.orders import CHUNK, Orders, hits
from ml_tasks.baskets.significance import MEMBERS, MIN_LIFT, surest

MIN_SHARE, MIN_ORDERS, ENOUGH_ORDERS = 0.0005, 20, 50
MIN_IMPROVEMENT, IMPROVED = 1.2, 0.01
BLOCK = 1000  # items that are multiplied at once
MAX_EXPECTED = 100_000  # pairs whose expectation is computed at once
MAX_EXTENDED = 500  # pairs that are tried with a third item


def least_orders(orders: Orders) -> int:
    """Smallest support of a rule, in orders: MIN_SHARE of them, within fixed bounds."""
    return int(np.clip(np.ceil(MIN_SHARE * orders.count), MIN_ORDERS, ENOUGH_ORDERS))


def frequent_pairs(orders: Orders, at_least: int) -> pd.DataFrame:
    """All pairs with a support: columns left, right (item numbers, left below right), count_orders.

    Items below the support are left out before the product; a block of columns bounds its memory.
    """
    often = np.flatnonzero(orders.item_counts >= at_least)
    columns = orders.columns[:, often]
    parts = [np.zeros((3, 0), dtype=np.int64)]
    for start in range(0, len(often), BLOCK):
        counted = (columns[:, start : start + BLOCK].T @ columns).tocoo()
        keep = (counted.data >= at_least) & (counted.row + start < counted.col)
        rows, cols = often[counted.row[keep] + start], often[counted.col[keep]]
        parts.append(np.stack([rows, cols, counted.data[keep]]))
    left, right, count = np.concatenate(parts, axis=1)
    return pd.DataFrame({"left": left, "right": right, "count_orders": count})


def pairs(orders: Orders) -> pd.DataFrame:
    """Pairs that are more frequent than by chance, as of `surest`.

    `left` is the rarer item, so its confidence is the larger. The p-values are adjusted for all
    pairs of items that have the support, whatever the support of the pair.
    """
    at_least = least_orders(orders)
    found = frequent_pairs(orders, at_least)
    members = found[MEMBERS[:2]].to_numpy()
    some = np.array_split(members, len(members) // MAX_EXPECTED + 1)
    found["expected_orders"] = np.concatenate([orders.expected_pairs(one) for one in some])
    found = found[found["count_orders"] >= MIN_LIFT * found["expected_orders"]]
    members = found[MEMBERS[:2]].to_numpy()
    counts = orders.item_counts[members]
    members = np.where((counts[:, 0] <= counts[:, 1])[:, None], members, members[:, ::-1])
    found = found.assign(
        left=members[:, 0],
        right=members[:, 1],
        count_customers=orders.counts(members)[1],
        confidence=found["count_orders"] / counts.min(axis=1),
        reverse_confidence=found["count_orders"] / counts.max(axis=1),
    )
    often = int((orders.item_counts >= at_least).sum())
    return surest(found, often * (often - 1) // 2)


def triples(orders: Orders, found: pd.DataFrame) -> pd.DataFrame:
    """Pairs with a third item that comes more often than after either item of the pair alone.

    A triple's confidence is at least MIN_IMPROVEMENT times the confidence of the third item after
    one item of the pair, by more than chance (a Poisson tail of IMPROVED).

    Args:
        orders: The orders.
        found: From `pairs`; the MAX_EXTENDED most frequent are extended.

    Returns:
        As of `surest`. Each triple has one row, that of the largest confidence.

    Source:
        Bayardo, Agrawal and Gunopulos (2000), Data Mining and Knowledge Discovery 4: improvement.
    """
    found = found.sort_values("count_orders", ascending=False, kind="stable")[:MAX_EXTENDED]
    often = np.flatnonzero(orders.item_counts >= least_orders(orders))
    extended = pd.concat([_extended(orders, found, often)], ignore_index=True)
    members = extended[MEMBERS].to_numpy()
    extended["count_customers"] = orders.counts(members)[1]
    extended["expected_orders"] = orders.expected_triples(members)
    extended["reverse_confidence"] = extended["count_orders"] / orders.item_counts[members[:, 2]]
    kept = surest(extended, len(found) * len(often))
    same = pd.DataFrame(np.sort(kept[MEMBERS].to_numpy(), axis=1)).duplicated().to_numpy()
    return kept[~same].reset_index(drop=True)


def _extended(orders: Orders, found: pd.DataFrame, often: np.ndarray) -> pd.DataFrame:
    """Triples that improve on both of their rules of two: MEMBERS, count_orders, confidence."""
    members, parts = found[MEMBERS[:2]].to_numpy(), []
    for start, both in zip(
        range(0, len(members), CHUNK), hits([orders.columns] * 2, members), strict=True
    ):
        counted = (both.T @ orders.columns[:, often]).tocoo()
        keep = counted.data >= least_orders(orders)
        pair, third = members[start + counted.row[keep]], often[counted.col[keep]]
        part = pd.DataFrame(
            {"left": pair[:, 0], "right": pair[:, 1], "third": third}
            | {"count_orders": counted.data[keep]}
            | {"count_pair": np.diff(both.indptr)[counted.row[keep]]}
        )
        parts.append(part[(third != pair[:, 0]) & (third != pair[:, 1])])
    if not parts:
        return pd.DataFrame(columns=[*MEMBERS, "count_orders", "confidence"], dtype=int)
    triples = pd.concat(parts, ignore_index=True)
    either = [_confidence(orders, triples[[side, "third"]].to_numpy()) for side in MEMBERS[:2]]
    explained = triples["count_pair"] * np.maximum(*either)
    by_chance = special.gammainc(triples["count_orders"], explained)
    keep = (triples["count_orders"] >= MIN_IMPROVEMENT * explained) & (by_chance <= IMPROVED)
    triples["confidence"] = triples["count_orders"] / triples["count_pair"]
    return triples[keep].drop(columns="count_pair")


def _confidence(orders: Orders, members: np.ndarray) -> np.ndarray:
    """Share of the orders with the first item that have the second, shape (n_rows,)."""
    once, row = np.unique(members, axis=0, return_inverse=True)
    return (orders.counts(once)[0] / orders.item_counts[once[:, 0]])[row.ravel()]
