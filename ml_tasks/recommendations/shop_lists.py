"""The rows about the shop: companions and substitutes of products, and lists for whoever is new."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from ml_tasks.recommendations import figures
from ml_tasks.recommendations.related import Related
from ml_tasks.recommendations.today import Today
from ml_tasks.score_rows import not_scored, scored
from perennial import contracts

NAME, COMPANIONS, STARTING = "recommendations", "product_companions", "starting_products"
ALL = "all"
NOTHING_SOLD = "no product is sold and shown now"


def companions(today: Today) -> pd.DataFrame:
    """Rows of scores.product_companions, one per product."""
    names = pd.Series(today.names).where(today.is_named, None)
    columns: dict[str, Any] = {
        "product_id": today.ids,
        "product_name": names.to_numpy(dtype=object),
        "is_shown": today.is_shown,
        "why_not_shown": today.why_not,
    }
    for name, value, found in (
        ("companion_ids", "companion_lifts", today.companions),
        ("substitute_ids", "substitute_similarities", today.substitutes),
    ):
        ids, values = _listed(found.shown(today.is_shown), today.ids)
        columns |= {name: ids, value: values}
    return scored(pd.DataFrame(columns))


def _listed(found: Related, ids: np.ndarray) -> tuple[list[list[str]], list[list[float]]]:
    bounds = list(zip(found.starts[:-1].tolist(), found.starts[1:].tolist(), strict=True))
    others, values = ids[found.other].tolist(), found.value.astype(float).round(3).tolist()
    return [others[a:b] for a, b in bounds], [values[a:b] for a, b in bounds]


def starting(audiences: pd.DataFrame, today: Today, version: str) -> pd.DataFrame:
    """Rows of scores.starting_products: everybody, and each audience, filled up by everybody's.

    Args:
        audiences: Rows of features.starting_purchases.
        today: What is known of the date.
        version: Of the rules.
    """
    order = today.popular.order
    everybody = today.ids[order[today.is_shown[order]]].tolist()
    shown, names = set(everybody), dict(zip(today.ids, today.names, strict=True))
    known = {"count_left_out": today.count_left_out, "rules_version": version}
    lists = {(ALL, ALL): everybody[: figures.LENGTH]}
    by = audiences.sort_values(["count_customers", "product_id"], ascending=[False, True])
    for (kind, audience), some in by.groupby(["audience_kind", "audience"], sort=True):
        own = [one for one in some["product_id"] if one in shown]
        lists[str(kind), str(audience)] = own[: figures.LENGTH]
    rows = []
    for (kind, audience), own in lists.items():
        more = [one for one in everybody[: 2 * figures.LENGTH] if one not in set(own)]
        ids = [*own, *more][: figures.LENGTH]
        about = {"product_ids": ids, "product_names": [names[one] for one in ids]}
        key = {"audience_kind": kind, "audience": audience, "count_own_products": len(own)}
        rows.append({**key, **known, **about})
    if not everybody:
        return nobody(pd.DataFrame({"audience_kind": [ALL], "audience": [ALL]}), NOTHING_SOLD)
    return scored(pd.DataFrame(rows))


def nobody(known: pd.DataFrame, reason: str, table: str = STARTING) -> pd.DataFrame:
    """Rows without lists, with a reason."""
    return not_scored(contracts.load(NAME).table(table), known, reason)
