"""Figures of models on past dates in long form: one row per cut, model, group and metric."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date
from typing import NamedTuple

FIGURES = "figures"  # entry of a training report
ALL = "all"  # the group of all customers or products


class Figure(NamedTuple):
    """One figure.

    Attributes:
        cut: Past date on which the model was tested, YYYY-MM-DD.
        model: Name of the model in the evaluation, without a suffix of the published name.
        group: Group of customers (`customer_groups`), or ALL.
        metric: Name of the figure.
        value: None if it cannot be computed.
        n: Number of customers or products it was computed from; None in old reports without it.
    """

    cut: str
    model: str
    group: str
    metric: str
    value: float | None
    n: int | None


def rows(
    cut: date, model: str, values: Mapping[str, float], n: int | None, group: str = ALL
) -> list[Figure]:
    """One row per metric.

    Args:
        cut: Past date on which the model was tested.
        model: Name of the model.
        values: Metric -> value; NaN and infinity become None.
        n: Number of customers or products that the values were computed from.
        group: Group of customers, or ALL.

    Example:
        >>> rows(date(2024, 1, 1), "recency", {"auc": 0.71}, n=500)
        [Figure(cut='2024-01-01', model='recency', group='all', metric='auc', value=0.71, n=500)]
    """
    return [
        Figure(f"{cut:%Y-%m-%d}", model, group, metric, _finite(value), n)
        for metric, value in values.items()
    ]


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
