"""Figures of models on past dates, as long rows: one row per cut, model, group and metric."""

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
        cut: Past date that the model was tested on, YYYY-MM-DD.
        model: Name of the model in the evaluation, without a suffix of the published name.
        group: Group of customers (`customer_groups`), or ALL.
        metric: Name of the figure.
        value: None where it cannot be computed.
        n: Count of customers or products in it; None in old reports that do not say.
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
        cut: Past date that the model was tested on.
        model: Name of the model.
        values: Metric -> value; NaN and infinity become None.
        n: Count of customers or products that the values were computed from.
        group: Group of customers, or ALL.
    """
    return [
        Figure(f"{cut:%Y-%m-%d}", model, group, metric, _finite(value), n)
        for metric, value in values.items()
    ]


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
