"""Champion against challenger: figures of the same cuts, and one rule that says how clear it is.

A model can't be judged on outcomes that it has seen, and a challenger has seen the newest. So what
is compared is how the two are made: each cut was told by a model that knew no more than was known
on the cut. A difference counts if its mean over the cuts is beyond its spread over them.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

LOWER, HIGHER = "lower", "higher"  # which is better
BETTER, WORSE, CLOSE = "better", "worse", "close"
# What follows: the challenger serves, the champion stays, a person is asked.
PROMOTED, KEPT, WAITING = "promoted", "kept", "waiting"

# From a report: cut date -> model -> figure -> value.
Cuts = dict[str, dict[str, dict[str, float]]]


@dataclass(frozen=True)
class Column:
    """One model's figures.

    Attributes:
        name: Of the model, as scores show it.
        figures: Cut date -> figure -> value.
    """

    name: str
    figures: dict[str, dict[str, float]]


@dataclass(frozen=True)
class Comparison:
    """A figure of two models on the same cuts.

    Attributes:
        figure: Its name.
        gain: Mean over the cuts of how much better the challenger is; below 0: worse.
        spread: Standard deviation of it over the cuts; NaN of fewer than two.
        count_cuts: How many there are.
    """

    figure: str
    gain: float
    spread: float
    count_cuts: int

    @property
    def says(self) -> str:
        """BETTER or WORSE if the mean is beyond the spread, else CLOSE; one cut shows none."""
        if not abs(self.gain) > self.spread:
            return CLOSE
        return BETTER if self.gain > 0 else WORSE


def cuts_of(report: Mapping[str, Any]) -> Cuts:
    """The figures of each cut and model in a training report.

    Args:
        report: `cuts` holds rows with `cut_date` and either `model` and figures, or figures by
            model.
    """
    found: Cuts = {}
    for row in report.get("cuts", []):
        by_model = {row["model"]: row} if "model" in row else row
        cut = found.setdefault(str(row["cut_date"]), {})
        for model, figures in by_model.items():
            if isinstance(figures, Mapping):
                cut[model] = {name: v for name, v in figures.items() if _is_figure(v)}
    return found


def column_of(name: str, report: Mapping[str, Any]) -> Column:
    """The figures of the model that training chose.

    Args:
        name: Of the trained model: as the report calls it, or that and a suffix.
        report: See `cuts_of`; `used` is there if the report has another name for it.
    """
    cuts = cuts_of(report)
    wanted = report.get("used", name)
    used = max(
        (model for cut in cuts.values() for model in cut if wanted.startswith(model)),
        key=len,
        default="",
    )
    return Column(name, {cut: models[used] for cut, models in cuts.items() if used in models})


def baseline_of(
    report: Mapping[str, Any], names: Iterable[str], judged_by: Mapping[str, str]
) -> Column:
    """The baseline that is best by the mean of the first figure that is judged.

    Args:
        report: See `cuts_of`.
        names: The baselines, as the report calls them.
        judged_by: Figure -> LOWER or HIGHER.
    """
    columns = [column_of(name, report) for name in names]
    figure, better = next(iter(judged_by.items()))
    sign = 1 if better == HIGHER else -1

    def mean(column: Column) -> float:
        values = [figures[figure] for figures in column.figures.values() if figure in figures]
        return sign * fmean(values) if values else -math.inf

    return max(columns, key=mean)


def compare(champion: Column, challenger: Column, judged_by: Mapping[str, str]) -> list[Comparison]:
    """Paired differences of each judged figure, on the cuts that both have."""
    compared = []
    for figure, better in judged_by.items():
        sign = 1 if better == HIGHER else -1
        gains = [
            sign * (challenger.figures[cut][figure] - figures[figure])
            for cut, figures in sorted(champion.figures.items())
            if figure in figures and figure in challenger.figures.get(cut, {})
        ]
        if gains:
            spread = stdev(gains) if len(gains) > 1 else math.nan
            compared.append(Comparison(figure, fmean(gains), spread, len(gains)))
    return compared


def is_equal(compared: Collection[Comparison]) -> bool:
    """Whether the two are alike to the last digit on every cut: nothing to choose between."""
    return bool(compared) and all(c.gain == 0 and not c.spread > 0 for c in compared)


def decide(compared: Iterable[Comparison]) -> tuple[str, str]:
    """What to do, and why.

    Returns:
        PROMOTED if every judged figure is clearly better, KEPT (the champion) if one is clearly
        worse and none clearly better, else WAITING for a person; and a sentence.
    """
    compared = list(compared)
    if not compared:
        return WAITING, "no cut on which both were judged"
    said = {comparison.says for comparison in compared}
    sentence = "; ".join(
        f"{c.figure} {c.says} by {c.gain:+.4g} over {c.count_cuts} cuts (spread {c.spread:.2g})"
        for c in compared
    )
    if said == {BETTER}:
        return PROMOTED, sentence
    if WORSE in said and BETTER not in said:
        return KEPT, sentence
    return WAITING, sentence


def as_rows(columns: Mapping[str, Column], judged_by: Mapping[str, str]) -> list[dict[str, Any]]:
    """The columns as JSON: one row per cut and figure, one key per column."""
    cuts = sorted({cut for column in columns.values() for cut in column.figures})
    return [
        {"cut_date": cut, "figure": figure}
        | {role: column.figures.get(cut, {}).get(figure) for role, column in columns.items()}
        for figure in judged_by
        for cut in cuts
    ]


def as_markdown(columns: Mapping[str, Column], judged_by: Mapping[str, str]) -> str:
    """The columns as a table for people, the means below."""
    rows = as_rows(columns, judged_by)
    head = " | ".join(f"{role} ({column.name or 'none'})" for role, column in columns.items())
    lines = [f"| figure | cut | {head} |", "|---|---|" + "---:|" * len(columns)]
    for figure, better in judged_by.items():
        own = [row for row in rows if row["figure"] == figure]
        lines += [
            f"| {figure} | {row['cut_date']} | {' | '.join(_text(row[r]) for r in columns)} |"
            for row in own
        ]
        means = [_mean([row[role] for row in own]) for role in columns]
        lines.append(
            f"| **{figure}**, {better} is better | mean | {' | '.join(map(_text, means))} |"
        )
    return "\n".join(lines)


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known and len(known) == len(values) else None


def _text(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def _is_figure(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
