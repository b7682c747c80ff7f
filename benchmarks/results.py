"""benchmarks/results.md out of the figures: one table a question, and what was wanted of it."""

from __future__ import annotations

import math
import statistics
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd
from rich.console import Console
from rich.table import Table

from benchmarks import judge
from perennial.settings import REPOSITORY

OURS = "perennial"
WORKSPACE = REPOSITORY / ".bench"
FIGURES = WORKSPACE / "figures"
RESULTS = REPOSITORY / "benchmarks" / "results.md"
SCALE = REPOSITORY / "benchmarks" / "scale.md"
LOOKS = REPOSITORY / "benchmarks" / "panel" / "looks.md"


@dataclass(frozen=True)
class Figure:
    """A column: its name in the judge's rows, its heading, which way is better, how it is told."""

    name: str
    heading: str
    better: str
    digits: int = 3


@dataclass(frozen=True)
class Told:
    """What was wanted, whether it was met, and by which figures."""

    wanted: str
    is_met: bool | None
    said: str


@dataclass(frozen=True)
class Question:
    """One table of results.md.

    Attributes:
        name: Heading.
        figures: Columns; the first sorts the rows and is told cut by cut.
        wants: Lines that follow from the figures.
        note: How the figures are to be read.
    """

    name: str
    figures: tuple[Figure, ...]
    wants: Callable[[pd.DataFrame], list[Told]]
    note: str = field(default="")


def by_cut(rows: pd.DataFrame, figure: str) -> pd.DataFrame:
    """A figure as cuts (index) by models (columns)."""
    return rows.pivot(index="cut", columns="model", values=figure)


def peers_of(table: pd.DataFrame) -> pd.DataFrame:
    """The peers' columns that have any figure."""
    return table.drop(columns=OURS, errors="ignore").dropna(axis="columns", how="all")


def best_on_average(table: pd.DataFrame, better: str) -> str:
    """The peer whose mean over the cuts is best."""
    means = peers_of(table).mean()
    return str(means.map(lambda value: judge.goodness(value, better)).idxmax())


# What was wanted ----------------------------------------------------------------------------


def churn_wants(rows: pd.DataFrame) -> list[Told]:
    """AUC, calibration, Brier skill."""
    auc, error = by_cut(rows, "auc"), by_cut(rows, "calibration_error")[OURS]
    gap_to_best = auc[OURS] - peers_of(auc).max(axis=1)
    steady = best_on_average(auc, "high")
    gap = auc[OURS] - auc[steady]
    is_met = (gap_to_best > 0).mean() > 0.5 and gap_to_best.min() >= -0.003
    said = (
        f"above the best peer of each cut at {(gap_to_best > 0).sum()} of {len(auc)}, least gap "
        f"{gap_to_best.min():+.3f} ({gap_to_best.idxmin()}); above {steady}, the best on average, "
        f"at {(gap > 0).sum()} of {len(auc)}, least gap {gap.min():+.3f} ({gap.idxmin()})"
    )
    return [
        Told("AUC above the best peer at most cuts, never below by more than .003", is_met, said),
        Told(
            "calibration error at most .03 on average and .05 at any cut",
            error.mean() <= 0.03 and error.max() <= 0.05,
            f"{error.mean():.3f} on average, {error.max():.3f} at {error.idxmax()}",
        ),
        _best_mean(rows, "brier_skill", "high", "Brier skill above every peer's"),
    ]


def clv_wants(rows: pd.DataFrame) -> list[Told]:
    """Gini, MAE, totals, coverage."""
    total = by_cut(rows, "total_error")[OURS]
    month = pd.to_datetime(total.index.str[-10:]).month
    is_season = pd.Series(month.isin([9, 10, 11, 12]), total.index)
    is_within = total.abs() <= 0.15
    coverage = by_cut(rows, "coverage")[OURS]
    return [
        _best_mean(rows, "gini", "high", "normalised Gini of the mean at least the best peer's"),
        _best_mean(rows, "mae", "low", "MAE of the published median at most the best peer's"),
        Told(
            "total of the means within ±15 % at most cuts, those around Christmas among them",
            is_within.mean() > 0.5 and bool(is_within[is_season].all()),
            f"at {is_within.sum()} of {len(total)}: "
            + ", ".join(f"{cut} {value:+.0%}" for cut, value in total.items()),
        ),
        Told(
            "80 % intervals that cover 75-85 %",
            None if coverage.isna().all() else bool(0.75 <= coverage.mean() <= 0.85),
            "no interval is published" if coverage.isna().all() else
            f"{coverage.mean():.1%} on average, {coverage.min():.1%} to {coverage.max():.1%}",
        ),
    ]  # fmt: skip


def survival_wants(rows: pd.DataFrame) -> list[Told]:
    """Concordance, integrated Brier score, calibration."""
    return [
        _best_mean(rows, "concordance", "high", "concordance at least the best peer's"),
        _best_mean(rows, "integrated_brier", "low", "integrated Brier score at most the best's"),
        *(
            _best_mean(rows, f"error_{day}d", "low", f"calibration at {day} days")
            for day in judge.CALIBRATED_DAYS
        ),
    ]


def demand_wants(rows: pd.DataFrame) -> list[Told]:
    """WRMSSE, MASE, coverage, pinball, seconds."""
    coverage = by_cut(rows, "coverage")[OURS]
    seconds = by_cut(rows, "seconds").mean()
    arima = seconds.get("auto_arima", math.nan)
    return [
        *(_ahead(rows, figure) for figure in ("wrmsse", "mase")),
        Told(
            "80 % bands that cover 75-85 %",
            bool(0.75 <= coverage.mean() <= 0.85),
            f"{coverage.mean():.1%} on average, {coverage.min():.1%} to {coverage.max():.1%}",
        ),
        _best_mean(rows, "pinball", "low", "pinball loss below every peer's"),
        Told(
            "no slower than AutoARIMA on the same series",
            None if math.isnan(arima) else bool(seconds[OURS] <= arima),
            f"{seconds[OURS]:.0f} s of CPU against {arima:.0f} s for 1,000 series",
        ),
    ]


def _ahead(rows: pd.DataFrame, figure: str) -> Told:
    table = by_cut(rows, figure)
    steady = best_on_average(table, "low")
    share = table[OURS].mean() / table[steady].mean() - 1
    each = table[OURS] / table[steady] - 1
    return Told(
        f"{figure.upper()} at least 3 % below the peer lowest on average, at no origin 2 % above",
        bool(share <= -0.03 and each.max() <= 0.02),
        f"{share:+.1%} of {steady}; worst origin {each.max():+.1%} ({each.idxmax()})",
    )


def _best_mean(rows: pd.DataFrame, figure: str, better: str, wanted: str) -> Told:
    table = by_cut(rows, figure)
    if table[OURS].isna().all() or peers_of(table).empty:
        return Told(wanted, None, "not known")
    steady = best_on_average(table, better)
    both = table[[OURS, steady]].dropna()
    ours, theirs = both[OURS].mean(), both[steady].mean()
    compared = judge.compare(both[OURS].to_dict(), both[steady].to_dict(), better)
    is_met = judge.goodness(ours, better) >= judge.goodness(theirs, better)
    return Told(
        wanted, is_met,
        f"{ours:.3f} against {theirs:.3f} of {steady}, {compared.wins} cuts better and "
        f"{compared.losses} worse: {compared.verdict}",
    )  # fmt: skip


UNSCORED = Figure("unscored", "unscored", "low", 0)
SECONDS = Figure("seconds", "CPU seconds", "low", 1)

QUESTIONS = {
    "churn": Question(
        "Churn",
        (
            Figure("auc", "AUC", "high"),
            Figure("calibration_error", "calibration error", "low"),
            Figure("brier_skill", "Brier skill", "high"),
            SECONDS,
            UNSCORED,
        ),
        churn_wants,
        "An order in the next 90 days. Brier skill is over the share that happened. BG/NBD's chance"
        " is 1 - exp(-expected orders); Pareto/NBD's is its own.",
    ),
    "clv": Question(
        "CLV, 90 days",
        (
            Figure("gini", "normalised Gini", "high"),
            Figure("mae", "MAE", "low", 1),
            Figure("total_error", "total error", "near 0"),
            Figure("coverage", "coverage of 80 %", "near 0.8"),
            SECONDS,
            UNSCORED,
        ),
        clv_wants,
        "Net spend of the horizon, at least 0. MAE is of the published median where there is one,"
        " else of the mean, as for every peer.",
    ),
    "clv_365": Question(
        "CLV, 365 days",
        (
            Figure("gini", "normalised Gini", "high"),
            Figure("mae", "MAE", "low", 1),
            Figure("total_error", "total error", "near 0"),
            Figure("coverage", "coverage of 80 %", "near 0.8"),
            UNSCORED,
        ),
        clv_wants,
    ),
    "survival": Question(
        "Survival",
        (
            Figure("concordance", "concordance", "high"),
            Figure("integrated_brier", "integrated Brier", "low"),
            Figure("error_30d", "calibration 30 d", "low"),
            Figure("error_90d", "calibration 90 d", "low"),
            Figure("error_180d", "calibration 180 d", "low"),
            SECONDS,
            UNSCORED,
        ),
        survival_wants,
        "Harrell's concordance to 365, 180 or 90 days, the Brier score integrated to 180 or 90,"
        " as far as the outcome is known; calibration is the error over ten equal-count bins.",
    ),
    "demand": Question(
        "Demand",
        (
            Figure("wrmsse", "WRMSSE", "low"),
            Figure("mase", "MASE", "low"),
            Figure("bias", "bias", "near 0"),
            Figure("coverage", "coverage of 80 %", "near 0.8"),
            Figure("pinball", "pinball", "low"),
            SECONDS,
            UNSCORED,
        ),
        demand_wants,
        "WRMSSE and MASE are of the median, which our contract calls the guess of a product's week,"
        " bias is of the mean, which adds up; a peer has one figure for both. Eight weeks; the"
        " 1,000 products with most revenue in the 13 weeks before of those sold in at least 26 of"
        " the last 52. Pinball is the mean of .1, .5 and .9, each product's over"
        " its mean weekly step. CPU seconds are for 1,000 series, training included.",
    ),
}


# Text ---------------------------------------------------------------------------------------


def section(question: Question, rows: pd.DataFrame) -> list[str]:
    """Lines of a question's part: for each group of shops the table, what was wanted, the cuts."""
    lines = [f"## {question.name}", ""]
    lines += [question.note, ""] if question.note else []
    for group, of_group in rows.groupby("group", sort=False):
        cuts = sorted(of_group["cut"].unique())
        lines += [f"### {question.name}: {group}", "", f"Cuts: {', '.join(cuts)}.", ""]
        lines += _main_table(question, of_group)
        if OURS in set(of_group["model"]):
            lines += _wants_table(question.wants(of_group))
        lines += _cut_table(question.figures[0], of_group)
    return lines


def _main_table(question: Question, rows: pd.DataFrame) -> list[str]:
    tables = {f.name: by_cut(rows, f.name) for f in question.figures if f.name in rows}
    first = question.figures[0]
    order = tables[first.name].mean().map(lambda v: judge.goodness(v, first.better))
    models = [OURS] if OURS in order else []
    models += [name for name in order.sort_values(ascending=False).index if name != OURS]
    shown = [figure for figure in question.figures if figure.name in tables]
    lines = _header(["model", *(figure.heading for figure in shown)])
    for model in models:
        cells = [_cell(figure, tables[figure.name], model) for figure in shown]
        lines.append(_row([f"**{model}**" if model == OURS else model, *cells]))
    return [*lines, ""]


def _cell(figure: Figure, table: pd.DataFrame, model: str) -> str:
    """Mean ± spread over the cuts; for a peer also wins–losses of ours, and the verdict."""
    values = table[model].dropna()
    if values.empty:
        return "–"
    text = number(values.mean(), figure)
    if len(values) > 1 and figure.name not in {"unscored", "seconds"}:
        text += f" ± {number(values.std(ddof=1), figure)}"
    if model == OURS or OURS not in table or figure.name in {"unscored", "seconds"}:
        return text
    compared = judge.compare(table[OURS].to_dict(), table[model].to_dict(), figure.better)
    return f"{text}, {compared.wins}–{compared.losses} {compared.verdict}"


def number(value: float, figure: Figure) -> str:
    """As few signs as tell it."""
    if not math.isfinite(value):
        return "–"
    text = f"{value:,.{figure.digits}f}"
    return text.replace("0.", ".", 1) if text.lstrip("-").startswith("0.") else text


def _wants_table(told: list[Told]) -> list[str]:
    words = {True: "met", False: "**not met**", None: "not judged"}
    lines = _header(["wanted", "", "figures"])
    lines += [_row([one.wanted, words[_plain(one.is_met)], one.said]) for one in told]
    return [*lines, ""]


def _plain(value: object) -> bool | None:
    return None if value is None else bool(value)


def _cut_table(figure: Figure, rows: pd.DataFrame) -> list[str]:
    table = by_cut(rows, figure.name).sort_index()
    models = [OURS] if OURS in table else []
    models += [name for name in table.columns if name != OURS]
    lines = ["<details><summary>" + f"{figure.heading}, cut by cut</summary>", ""]
    lines += _header(["cut", *models])
    for cut, values in table.iterrows():
        lines.append(_row([str(cut), *(number(values[name], figure) for name in models)]))
    return [*lines, "", "</details>", ""]


def keep_speeds(
    part: str, title: str, seconds: Mapping[str, Sequence[float]], count: int, unit: str
) -> None:
    """Print and keep what each way took for the same, beside the first, a bare COPY.

    Args:
        part: Name of the benchmark.
        title: What was done.
        seconds: Of each round, by way.
        count: How many of the unit each round did.
        unit: Rows, records ...
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


def commit() -> str:
    """What is measured; -dirty if it was changed since, the figures' own files and looks aside."""

    def git(*command: str) -> str:
        return subprocess.run(
            ["git", *command], capture_output=True, text=True, cwd=REPOSITORY, check=True
        ).stdout.strip()

    figures = (f":!{path.relative_to(REPOSITORY)}" for path in (RESULTS, SCALE, LOOKS))
    is_changed = git("status", "--porcelain", "--", ".", *figures)
    return git("describe", "--always") + ("-dirty" if is_changed else "")


def keep_part(name: str, heading: str, table: Table) -> None:
    """Keep another benchmark's printed table for results.md."""
    cells = [[str(cell) for cell in column.cells] for column in table.columns]
    lines = _header([str(column.header) for column in table.columns])
    lines += [_row(list(row)) for row in zip(*cells, strict=True)]
    FIGURES.mkdir(parents=True, exist_ok=True)
    text = "\n".join([f"## {heading}", "", f"{table.title}.", "", *lines])
    (FIGURES / f"{name}.md").write_text(text + "\n")


def _header(headings: list[str]) -> list[str]:
    return [_row(headings), "|" + "---|" * len(headings)]


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"
