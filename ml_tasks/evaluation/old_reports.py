"""Reader of the training reports of earlier versions. Nothing writes these forms any more.

Champions of earlier versions contend with challengers of this one, so their figures must be read.
Before reports had `figures`, they had:

- `cuts` with a row per cut and model: `cut_date`, `model`, `count_customers`, and the metrics;
- or `cuts` with a row per cut: `cut_date`, `count_customers`, and the metrics by model;
- `groups` of the newest cut, beside the first form or within a row of the second;
- `totals` and `year_ahead` in the first form, with metrics that now have names of their own.

`methods` held the means of `cuts`. A published name could be a model's name with a suffix.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ml_tasks.evaluation.figures import ALL, FIGURES, Figure

COUNT = "count_customers"
HEAD = {"cut_date", "model", "group", COUNT, "horizon_days"}
# Entry of a report -> format of its metrics' present names.
ENTRIES = {"cuts": "{}", "totals": "total_{}", "year_ahead": "{}_365d"}
# In the second form groups cover the first 90 days, whatever the cut's horizon.
NESTED_GROUPS = "{}_90d"


def is_old(report: Mapping[str, Any]) -> bool:
    """Whether a report has figures in one of the earlier forms."""
    return FIGURES not in report and any(report.get(entry) for entry in ENTRIES)


def read(report: Mapping[str, Any], model_name: str) -> tuple[list[Figure], str]:
    """Figures of an old report, and the winner's name in them.

    Args:
        report: A report for which `is_old` is true.
        model_name: Published name: the winner's name, possibly with a suffix.
    """
    figures = [
        figure
        for entry, metric_name in ENTRIES.items()
        for row in report.get(entry) or []
        for figure in _of_row(row, metric_name)
    ]
    wanted = report.get("used", model_name)
    candidates = (row.model for row in figures if wanted.startswith(row.model))
    winner = max(candidates, key=len, default=wanted)
    newest = max((row.cut for row in figures), default="")
    figures += _of_groups(report.get("groups") or [], newest, winner, "{}")
    return figures, winner


def _of_row(row: Mapping[str, Any], metric_name: str) -> Iterator[Figure]:
    cut, count = str(row["cut_date"]), row.get(COUNT)
    by_model = {row["model"]: row} if "model" in row else row
    for model, metrics in by_model.items():
        if isinstance(metrics, Mapping):
            yield from _figures(cut, model, ALL, metrics, metric_name, count)
    if "model" not in row:
        for served in row.get("groups") or []:
            yield from _of_groups(served["groups"], cut, served["model"], NESTED_GROUPS)


def _of_groups(
    groups: Iterable[Mapping[str, Any]], cut: str, model: str, metric_name: str
) -> Iterator[Figure]:
    for row in groups:
        if row["group"] != ALL:  # `cuts` holds the figures of all
            yield from _figures(cut, model, row["group"], row, metric_name, row.get(COUNT))


def _figures(
    cut: str, model: str, group: str, metrics: Mapping[str, Any], metric_name: str, n: int | None
) -> Iterator[Figure]:
    for metric, value in metrics.items():
        if metric in HEAD or not (value is None or isinstance(value, int | float)):
            continue
        known = float(value) if value is not None and math.isfinite(value) else None
        yield Figure(cut, model, group, metric_name.format(metric), known, n)
