"""Text of benchmarks/results.md: one part per question, and the panel's table."""

from __future__ import annotations

import re
import statistics
from collections.abc import Mapping, Sequence

import pandas as pd
from rich.console import Console
from rich.table import Table

from benchmarks.judge import BETTER, goodness
from benchmarks.questions import RECIPES, Question
from benchmarks.tables import OURS, Figure, by_cut, header, number, row
from benchmarks.wanted import Goal
from perennial.settings import REPOSITORY

WORKSPACE = REPOSITORY / ".bench"
FIGURES = WORKSPACE / "figures"


def section(name: str, question: Question, rows: pd.DataFrame, verdicts: pd.DataFrame) -> list[str]:
    """Lines of a question's part: for each group of shops the table, the goals, the cuts.

    Args:
        name: Name of the table, a key of QUESTIONS.
        question: The table's columns, goals and note.
        rows: Figures, with columns group, cut, model, and their origin (`source`).
        verdicts: Decided verdicts, with columns group, cut, measure, peer.
    """
    lines = [f"## {question.name}", "", question.note, ""]
    for group, of_group in rows.groupby("group", sort=False):
        of_verdicts = verdicts[verdicts["group"] == group] if len(verdicts) else verdicts
        cuts = sorted(of_group["cut"].unique())
        lines += [f"### {question.name}: {group}", "", f"Cuts: {', '.join(cuts)}.", ""]
        lines += _main_table(question, of_group, of_verdicts)
        if OURS in set(of_group["model"]):
            lines += _wants_table(question.wants(of_group, of_verdicts))
        lines += _cut_table(question.figures[0], of_group)
        lines += [f"*{name}: {source}*" for source in sorted(of_group["source"].unique())]
        lines += [""]
    return lines + _recipes(rows)


def _main_table(question: Question, rows: pd.DataFrame, verdicts: pd.DataFrame) -> list[str]:
    tables = {f.name: by_cut(rows, f.name) for f in question.figures if f.name in rows}
    first = question.figures[0]
    order = tables[first.name].mean().map(lambda v: goodness(v, first.better))
    models = [OURS] if OURS in order else []
    models += [name for name in order.sort_values(ascending=False).index if name != OURS]
    shown = [figure for figure in question.figures if figure.name in tables]
    lines = header(["model", *(figure.heading for figure in shown)])
    for model in models:
        of_model = rows[rows["model"] == model]
        cells = [_cell(figure, of_model, verdicts, model) for figure in shown]
        lines.append(row([f"**{model}**" if model == OURS else model, *cells]))
    return [*lines, ""]


def _cell(figure: Figure, rows: pd.DataFrame, verdicts: pd.DataFrame, model: str) -> str:
    """Mean ± spread over the cuts; for a peer also the numbers of better, tie and worse cuts."""
    values = rows[figure.name].dropna()
    if values.empty:
        return "–"
    text = number(values.mean(), figure.digits)
    if len(values) > 1 and figure.name not in {"unscored", "seconds"}:
        text += f" ± {number(values.std(ddof=1), figure.digits)}"
    if figure.name == "mae" and (rows["mae_of"] == "mean").any():
        text += " of the mean"
    if figure.name not in BETTER or model == OURS or verdicts.empty:
        return text
    beside = verdicts[(verdicts["measure"] == figure.name) & (verdicts["peer"] == model)]
    return f"{text}, {balance(beside)}" if len(beside) else text


def balance(verdicts: pd.DataFrame) -> str:
    """Numbers of verdicts: better, tie, worse."""
    counts = verdicts["verdict"].value_counts()
    return "–".join(str(counts.get(name, 0)) for name in ("better", "tie", "worse"))


def _wants_table(goals: list[Goal]) -> list[str]:
    words = {True: "met", False: "**not met**", None: "not judged"}
    lines = header(["wanted", "", "figures"])
    lines += [row([one.wanted, words[one.is_met], one.figures]) for one in goals]
    return [*lines, ""]


def _cut_table(figure: Figure, rows: pd.DataFrame) -> list[str]:
    table = by_cut(rows, figure.name).sort_index()
    models = [OURS] if OURS in table else []
    models += [name for name in table.columns if name != OURS]
    lines = ["<details><summary>" + f"{figure.heading}, cut by cut</summary>", ""]
    lines += header(["cut", *models])
    for cut, values in table.iterrows():
        cells = (number(values[name], figure.digits) for name in models)
        lines.append(row([str(cut), *cells]))
    return [*lines, "", "</details>", ""]


def _recipes(rows: pd.DataFrame) -> list[str]:
    models = [name for name in RECIPES if name in set(rows["model"])]
    return ["Peers:", "", *(f"- {name}: {RECIPES[name]}" for name in models), ""]


def keep_speeds(
    part: str, title: str, seconds: Mapping[str, Sequence[float]], count: int, unit: str
) -> None:
    """Print and store the speed of each method beside that of the first, a bare COPY.

    Args:
        part: Name of the benchmark.
        title: What was done.
        seconds: Seconds of each round, by method.
        count: Units processed per round.
        unit: Name of the unit: rows, records ...
    """
    table = Table(title=title)
    for heading in ("", "best, s", "median, s", f"{unit}/s", "speed of bare COPY"):
        table.add_column(heading, justify="right" if heading else "left")
    best_bare = min(next(iter(seconds.values())))
    for name, taken in seconds.items():
        best, median = min(taken), statistics.median(taken)
        share = f"{best_bare / best:.2f}"
        table.add_row(name, f"{best:.2f}", f"{median:.2f}", f"{count / best:,.0f}", share)
    Console().print(table)
    keep_part(part, part.capitalize(), table)


def sections(text: str, level: int) -> tuple[str, dict[str, str]]:
    """What stands before the first heading of a level, and heading -> what stands below it."""
    parts = re.split(rf"^({'#' * level} .*)\n", text, flags=re.MULTILINE)
    return parts[0], dict(zip(parts[1::2], parts[2::2], strict=True))


def merged(before: str, new: str, level: int = 1) -> str:
    """The new text, with the parts and tables of the earlier one that it lacks in their places."""
    _, old_parts = sections(before, level)
    head, parts = sections(new, level)
    texts = [head]
    for heading, old in old_parts.items():
        found = parts.pop(heading, None)
        if found is not None:
            found = merged(old, found, level + 1) if level < 3 else found
        texts.append(f"{heading}\n\n{(old if found is None else found).lstrip()}")
    texts += [f"{heading}\n\n{body.lstrip()}" for heading, body in parts.items()]
    return "\n".join(f"{text.rstrip()}\n" for text in texts if text.strip())


def keep_part(name: str, heading: str, table: Table) -> None:
    """Store another benchmark's printed table for results.md."""
    cells = [[str(cell) for cell in column.cells] for column in table.columns]
    lines = header([str(column.header) for column in table.columns])
    lines += [row(list(values)) for values in zip(*cells, strict=True)]
    FIGURES.mkdir(parents=True, exist_ok=True)
    text = "\n".join([f"## {heading}", "", f"{table.title}.", "", *lines])
    (FIGURES / f"{name}.md").write_text(text + "\n")
