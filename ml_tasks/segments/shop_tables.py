"""The tables of the whole shop: what each segment is, and who went from where to where."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ml_tasks.segments.facts import FACTS, FREQUENCY, RECENCY
from ml_tasks.segments.model import Segmentation
from ml_tasks.segments.rfm import GROUP
from ml_tasks.segments.sentences import sentences

SALES = "net_spend_amount_365d"
NEWCOMERS = "nowhere"  # where they come from who were no customers 28 days before
DAYS_BEFORE = 28
BEFORE = f"_{DAYS_BEFORE}d_before"
SEGMENT = "segment_id"
TEXTS = ["customer_id", SEGMENT, SEGMENT + BEFORE, GROUP, GROUP + BEFORE]
READ = [*TEXTS, *FACTS, SALES]


@dataclass(frozen=True)
class Grouping:
    """One of the two ways in which customers are grouped.

    Attributes:
        name: `behaviour` or `rfm`.
        column: Column of the customers' rows with the id of the segment.
        names: Id -> name of all segments that a customer can be in.
    """

    name: str
    column: str
    names: Mapping[str, str]


def groupings(model: Segmentation) -> tuple[Grouping, Grouping]:
    """Segments by behaviour, and RFM groups."""
    return (
        Grouping("behaviour", SEGMENT, model.names),
        Grouping("rfm", GROUP, model.groups.names),
    )


def profiles(rows: pd.DataFrame, model: Segmentation) -> pd.DataFrame:
    """One row per grouping and segment, also for a segment without customers.

    Args:
        rows: All customers of the date, in a total order; columns READ.
        model: The model that assigned them.

    Returns:
        Columns of scores.segment_profiles but status and reason.
    """
    found = [
        _profile(rows, grouping, key, model)
        for grouping in groupings(model)
        for key in grouping.names
    ]
    return pd.DataFrame(found)


def _profile(
    rows: pd.DataFrame, grouping: Grouping, key: str, model: Segmentation
) -> dict[str, object]:
    now, before = rows[grouping.column] == key, rows[grouping.column + BEFORE] == key
    part, sales = rows[now], float(rows[SALES].sum())
    said = sentences(part, rows, model.scale)
    return {
        SEGMENT: key,
        "grouping": grouping.name,
        "segment_name": grouping.names[key],
        **{f"sentence_{number}": text for number, text in enumerate(said, 1)},
        "count_customers": len(part),
        "share_of_customers": len(part) / len(rows),
        "net_sales_amount_365d": float(part[SALES].sum()),
        "share_of_net_sales_365d": float(part[SALES].sum()) / sales if sales > 0 else np.nan,
        "median_days_since_last_order": part[RECENCY].median(),
        "mean_order_days": part[FREQUENCY].mean(),
        f"count_customers{BEFORE}": int(before.sum()),
        "count_arrived": int((now & ~before).sum()),
        "count_left": int((before & ~now).sum()),
        "drift_distance": _drift(part, key, model) if grouping.column == SEGMENT else np.nan,
    }


def _drift(part: pd.DataFrame, key: str, model: Segmentation) -> float:
    """Distance of the customers' mean from the centre, in standard deviations; NaN of nobody."""
    if part.empty:
        return np.nan
    (centre,) = (segment.centre for segment in model.segments if segment.id == key)
    mean = model.scale.points(part).mean(axis=0)
    return float(np.sqrt(((mean - np.array(centre)) ** 2).sum()))


def moves(rows: pd.DataFrame, model: Segmentation) -> pd.DataFrame:
    """One row per grouping and pair of segments that a customer was and is in, ordered.

    Args:
        rows: As of `profiles`, at least one.
        model: The model that assigned them.

    Returns:
        Columns of scores.segment_moves but status and reason.
    """
    return pd.concat([_moves(rows, one) for one in groupings(model)], ignore_index=True)


def _moves(rows: pd.DataFrame, grouping: Grouping) -> pd.DataFrame:
    pairs = pd.DataFrame(
        {
            "from_segment_id": rows[grouping.column + BEFORE].fillna(NEWCOMERS),
            "to_segment_id": rows[grouping.column],
        }
    )
    keys = list(pairs)
    counts = pairs.groupby(keys, sort=True).size().rename("count_customers").reset_index()
    were = counts.groupby("from_segment_id")["count_customers"].transform("sum")
    names = {**grouping.names, NEWCOMERS: "Not a customer yet"}
    return counts.assign(
        grouping=grouping.name,
        from_segment_name=counts["from_segment_id"].map(names),
        to_segment_name=counts["to_segment_id"].map(names),
        share_of_from=counts["count_customers"] / were,
    )
