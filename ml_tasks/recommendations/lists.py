"""The rows of scores.recommendations: two lists of each customer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from ml_tasks.recommendations import figures, reasons
from ml_tasks.recommendations.candidates import Candidates, candidates
from ml_tasks.recommendations.purchases import Pairs
from ml_tasks.recommendations.ranking import places
from ml_tasks.recommendations.reasons import Explaining
from ml_tasks.recommendations.today import Today
from ml_tasks.score_rows import not_scored, scored
from perennial import contracts

NAME = "recommendations"
AGAIN, NEW = "again", "new"
SCORE_DIGITS = 9
NOTHING = {
    AGAIN: "no product that the customer ordered before is sold and shown now",
    NEW: "no product is sold and shown now that the customer has not ordered",
}


def rows(customer_ids: np.ndarray, pairs: Pairs, today: Today) -> pd.DataFrame:
    """Rows of all customers, two each.

    Args:
        customer_ids: Ids, in the order of the pairs' customers.
        pairs: What they bought.
        today: What is known of the date.
    """
    explaining = Explaining(today.links, today.companions, today.is_popular)
    found: dict[str, list[pd.DataFrame]] = {AGAIN: [], NEW: []}
    for block in candidates(pairs, today.popular, today.links, today.is_shown):
        score = today.score(block).astype(float)
        for kind, keep in ((AGAIN, block.is_own), (NEW, ~block.is_own)):
            found[kind].append(_lists(kind, block, score, keep, pairs, today, explaining))
    left_out = {AGAIN: _own_left_out(pairs, today), NEW: None}
    parts = [
        _of_kind(kind, customer_ids, pd.concat(parts), left_out[kind], today)
        for kind, parts in found.items()
    ]
    return pd.concat(parts, ignore_index=True)


def _own_left_out(pairs: Pairs, today: Today) -> np.ndarray:
    hidden = pairs.customer[~today.is_shown[pairs.product]]
    return np.bincount(hidden, minlength=pairs.count_customers)


def _lists(
    kind: str,
    block: Candidates,
    score: np.ndarray,
    keep: np.ndarray,
    pairs: Pairs,
    today: Today,
    explaining: Explaining,
) -> pd.DataFrame:
    """Lists of a block's customers: a row per customer with any product, indexed by its number."""
    place = np.flatnonzero(keep)
    row, product = block.row[place], block.product[place]
    order = np.lexsort((product, -score[place], row))
    chosen = order[places(row[order]) < figures.LENGTH]
    row, product, place = row[chosen], product[chosen], place[chosen]
    if kind == AGAIN:
        kinds, words = reasons.of_own(
            block.column("count")[place], block.column("days_between")[place]
        )
    else:
        some = pairs.of(np.arange(block.first, block.first + int(row.max(initial=-1)) + 1))
        best_own, goes_with = explaining.best(row, product, some)
        best_own = best_own if today.has_links else np.full(len(row), -1)
        kinds, words = reasons.of_new(best_own, goes_with, today.names)
    columns: dict[str, np.ndarray] = {
        "product_ids": today.ids[product],
        "product_names": today.names[product],
        "product_scores": score[place].round(SCORE_DIGITS),
        "reason_kinds": kinds,
        "reasons": words,
    }
    numbers, starts = np.unique(row, return_index=True)
    cut = {name: _split(values, starts) for name, values in columns.items()}
    counts = np.diff(np.append(starts, len(row)))
    return pd.DataFrame({**cut, "count_products": counts}, index=block.first + numbers)


def _split(values: np.ndarray, starts: np.ndarray) -> list[list[Any]]:
    parts = np.split(values, starts[1:]) if len(starts) else []
    return [one.tolist() for one in parts]


def _of_kind(
    kind: str, ids: np.ndarray, lists: pd.DataFrame, left_out: np.ndarray | None, today: Today
) -> pd.DataFrame:
    key: dict[str, Any] = {"customer_id": ids, "list_kind": kind}
    known = pd.DataFrame(key)
    is_known = known.index.isin(lists.index)
    counts = np.full(len(ids), today.count_left_out) if left_out is None else left_out
    some = known[is_known].assign(count_left_out=counts[is_known]).join(lists)
    without = not_scored(contracts.load(NAME).table(NAME), known[~is_known], NOTHING[kind])
    parts = [one for one in (scored(some), without) if len(one)]
    return pd.concat(parts, ignore_index=True) if parts else scored(some)
