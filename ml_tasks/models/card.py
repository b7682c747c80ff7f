"""A model's documents for people: figures, report and card."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from datetime import date
from typing import Any

from ml_tasks.evaluation.comparison import Evaluation
from ml_tasks.evaluation.figures import ALL, FIGURES, Figure
from ml_tasks.evaluation.trust import TRUST
from ml_tasks.trained_model import TrainedModel
from perennial import contracts
from perennial.settings import SettingsError
from perennial.text import markdown

LONGEST_PARAMETER = 80


def model_card(
    question: str,
    model: TrainedModel,
    tags: Mapping[str, str] | None = None,
    link: Callable[[str], str] = str,
) -> str:
    """The model card as Markdown: what a stranger should know before using the scores.

    Args:
        question: Name of the question.
        model: The trained model.
        tags: Tags of the version, see `mlflow_tables`.
        link: Function from a picture's path (`plots/gain.png`) to its link.
    """
    parts = [
        f"# {question}: {model.name}",
        _purpose(question),
        f"Version `{model.model_version}`. It saw what was known on {model.training_date} and "
        "nothing later; it may score dates from then on. Every figure below is out of time: on "
        "each cut a model trained on what was known by then met what happened after it.",
        *_section("How far to trust it", markdown(model.report.get(TRUST, ""))),
        *_section("Warnings", _list(model.report.get("warnings", []))),
        *_section("Decision", markdown(model.report.get("decision", ""))),
        *_section("Figures", _table(["figure", "mean"], _figures(model))),
        *_section("Cut by cut", _cuts(model)),
        *_section("Pictures", "\n\n".join(f"![{n}]({link(f'plots/{n}')})" for n in model.plots)),
        *_section("Learnt from", _data(model)),
        *_section("Parameters", _table(["parameter", "value"], _parameters(model, tags or {}))),
        *_section("Group by group", _groups(model)),
        *_section("What the scores mean", _columns(question)),
        "The whole evaluation is in `report.json` beside this card.",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _purpose(question: str) -> str:
    try:
        return contracts.load(question).description.strip()
    except SettingsError:  # not a question of this repository
        return ""


def _section(title: str, content: str) -> list[str]:
    return [f"## {title}", content] if content else []


def _list(lines: list[str]) -> str:
    return "\n".join(f"- {markdown(line)}" for line in lines)


def _table(head: list[str], rows: list[list[str]]) -> str:
    if not rows:
        return ""
    lines = [head, ["---"] * len(head), *([markdown(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _figures(model: TrainedModel) -> list[list[str]]:
    return [[name, f"{value:.4g}"] for name, value in finite_metrics(model).items()]


def _cuts(model: TrainedModel) -> str:
    """Figures by cut and model: one table per set of metrics (clv has 90 days and a year)."""
    by_test: dict[tuple[str, str], list[Figure]] = {}
    for row in Evaluation.from_report(model.report, model.name).figures:
        if row.group == ALL:
            by_test.setdefault((row.cut, row.model), []).append(row)
    by_metric: dict[str, list[list[Figure]]] = {}
    for test in by_test.values():
        by_metric.setdefault(test[0].metric, []).append(test)
    return "\n\n".join(
        _pivot(sorted(tests, key=lambda test: test[0].cut), "cut", "model")
        for tests in by_metric.values()
    )


def _groups(model: TrainedModel) -> str:
    """One row per group of customers, with the figures of the newest cut."""
    evaluation = Evaluation.from_report(model.report, model.name)
    by_group: dict[str, list[Figure]] = {}
    for row in evaluation.of_groups(evaluation.winner):
        by_group.setdefault(row.group, []).append(row)
    return _pivot(list(by_group.values()), "cut", "group")


def _pivot(parts: list[list[Figure]], *labels: str) -> str:
    """One row per part with its labels and count, one column per metric of any part."""
    metrics = list(dict.fromkeys(row.metric for part in parts for row in part))
    rows = []
    for part in parts:
        known = {row.metric: f"{row.value:.4g}" for row in part if row.value is not None}
        count = "" if part[0].n is None else f"{part[0].n:,}"
        names = [getattr(part[0], label) for label in labels]
        rows.append([*names, count, *(known.get(metric, "") for metric in metrics)])
    return _table([*labels, "n", *metrics], rows)


def _data(model: TrainedModel) -> str:
    rows = []
    for read in model.data:
        counts = [f"{v:,} {k[6:]}" for k, v in read.items() if k.startswith("count_")]
        span = f"{read['first_date']} to {read['last_date']}" if "first_date" in read else ""
        rows.append([", ".join(f"features.{name}" for name in read["tables"]), span, *counts[:3]])
    return _table(["tables", "dates", "", "", ""], [row + [""] * (5 - len(row)) for row in rows])


def _parameters(model: TrainedModel, tags: Mapping[str, str]) -> list[list[str]]:
    # long lists of coefficients are in trained_model.json; these are parameters to compare
    texts = {name: json.dumps(value) for name, value in model.parameters.items()} | dict(tags)
    return [[name, text] for name, text in texts.items() if len(text) <= LONGEST_PARAMETER]


def _columns(question: str) -> str:
    try:
        tables = contracts.load(question).tables
    except SettingsError:
        return ""
    rows = [
        [f"{table.name}.{column.name}", " ".join(column.description.split())]
        for table in tables
        for column in table.columns
        if column.name not in contracts.STAMPED_COLUMNS
    ]
    return _table(["column", "meaning"], rows)


def report_json(model: TrainedModel) -> str:
    """The training report as JSON, one line per figure; null for NaN and infinity."""
    entries = (
        f"\n  {json.dumps(name)}: {_entry(name, value)}"
        for name, value in _finite(model.report).items()
    )
    return f"{{{','.join(entries)}\n}}"


def _entry(name: str, value: Any) -> str:
    if name == FIGURES and value:
        lines = ",\n    ".join(json.dumps(row, default=_plain) for row in value)
        return f"[\n    {lines}\n  ]"
    # line breaks inside a text are escaped, so only those between entries are indented
    return json.dumps(value, indent=2, default=_plain).replace("\n", "\n  ")


def finite_metrics(model: TrainedModel) -> dict[str, float]:
    """The metrics that could be computed, without NaN and infinity."""
    return {name: float(v) for name, v in model.metrics.items() if math.isfinite(v)}


def _finite(value: Any) -> Any:
    """The value with null in place of NaN and infinity, which JSON cannot hold."""
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not abs(value) < float("inf"):
        return None
    return value


def _plain(value: Any) -> Any:
    """A numpy number or a date as JSON."""
    if isinstance(value, date):
        return value.isoformat()
    if hasattr(value, "item"):
        return _finite(value.item())
    raise TypeError(f"a report can't hold {type(value).__name__}")
