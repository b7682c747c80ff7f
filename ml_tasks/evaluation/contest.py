"""Champion against challenger: figures of the same cuts, and one rule that says how clear it is.

A model can't be tested on outcomes that it has seen, and a challenger has seen the newest. So the
two recipes are compared: on each cut, a model that each recipe makes of what was known on that cut.
A difference counts if its mean over the cuts is larger than its spread over them.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

LOWER, HIGHER = "lower", "higher"  # which is better
BETTER, WORSE, CLOSE = "better", "worse", "close"
# What follows: the challenger scores, the champion stays, a person decides.
PROMOTED, KEPT, WAITING = "promoted", "kept", "waiting"


@dataclass(frozen=True)
class Column:
    """The compared figures of one model.

    Attributes:
        name: The model's published name.
        figures: Cut date -> figure -> value; no cut without a figure.
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
