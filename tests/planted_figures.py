"""Training reports with planted figures."""

from __future__ import annotations

from typing import Any

from ml_tasks.evaluation.figures import ALL

HEAD = ("cut_date", "model", "count_customers")


def report_of(cuts: list[dict[str, Any]], **entries: Any) -> dict[str, Any]:
    """A training report in its stored form.

    Args:
        cuts: One row per cut and model: cut_date, model, its metrics, and count_customers if it
            matters.
        entries: Further entries of the report.
    """
    figures = [
        [row["cut_date"], row["model"], ALL, metric, value, row.get("count_customers")]
        for row in cuts
        for metric, value in row.items()
        if metric not in HEAD
    ]
    return {"figures": figures, **entries}


def old_report_by_model(cuts: list[dict[str, Any]]) -> dict[str, Any]:
    """The form of churn and clv before there were `figures`: one row per cut and model."""
    return {"cuts": cuts}


def old_report_by_cut(cuts: list[dict[str, Any]]) -> dict[str, Any]:
    """The former form of survival and demand: one row per cut, with the metrics by model."""
    by_cut: dict[str, dict[str, Any]] = {}
    for row in cuts:
        metrics = {name: value for name, value in row.items() if name not in HEAD}
        by_cut.setdefault(row["cut_date"], {"cut_date": row["cut_date"]})[row["model"]] = metrics
    return {"cuts": list(by_cut.values())}
