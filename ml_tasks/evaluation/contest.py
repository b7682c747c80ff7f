"""Champion against challenger: figures on the same cuts, and one rule for a clear difference.

A model cannot be tested on outcomes that it was trained on, and a challenger was trained on the
newest. So the two recipes are compared: on each cut, each recipe trains a model with what was known
then. A difference counts if its mean over the cuts is larger than its spread over them.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

LOWER, HIGHER = "lower", "higher"  # which is better
BETTER, WORSE, CLOSE = "better", "worse", "close"
# Decisions: the challenger scores, the champion stays, a person decides.
PROMOTED, KEPT, WAITING = "promoted", "kept", "waiting"


@dataclass(frozen=True)
class Column:
    """The compared figures of one model.

    Attributes:
        name: Published name of the model.
        figures: Cut date -> figure -> value. Each cut has at least one figure.
    """

    name: str
    figures: dict[str, dict[str, float]]


@dataclass(frozen=True)
class Comparison:
    """A figure of two models on the same cuts.

    Attributes:
        figure: Name of the figure.
        gain: Mean improvement of the challenger over the cuts; below 0 if it is worse.
        spread: Standard deviation of the improvement over the cuts; NaN for one cut.
        count_cuts: Number of cuts.
    """

    figure: str
    gain: float
    spread: float
    count_cuts: int

    @property
    def verdict(self) -> str:
        """BETTER or WORSE if the gain exceeds the spread, else CLOSE; CLOSE for one cut."""
        if not abs(self.gain) > self.spread:
            return CLOSE
        return BETTER if self.gain > 0 else WORSE


def compare(
    champion: Column, challenger: Column, directions: Mapping[str, str]
) -> list[Comparison]:
    """Paired differences of each figure, on the cuts that both models have.

    Args:
        champion: Figures of the champion.
        challenger: Figures of the challenger.
        directions: Figure to compare -> LOWER or HIGHER, whichever is better.

    Example:
        >>> champion = Column("old", {"2024-01-01": {"auc": 0.75}, "2024-04-01": {"auc": 0.75}})
        >>> challenger = Column("new", {"2024-01-01": {"auc": 0.875}, "2024-04-01": {"auc": 0.875}})
        >>> compare(champion, challenger, {"auc": HIGHER})
        [Comparison(figure='auc', gain=0.125, spread=0.0, count_cuts=2)]
    """
    compared = []
    for figure, better in directions.items():
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
    """Whether all figures of both models are equal on every cut; False without figures."""
    return bool(compared) and all(c.gain == 0 and not c.spread > 0 for c in compared)


def decide(compared: Iterable[Comparison]) -> tuple[str, str]:
    """Decide whether the challenger replaces the champion.

    Args:
        compared: From `compare`.

    Returns:
        Decision and reason. PROMOTED if every figure is clearly better, KEPT (the champion) if one
        is clearly worse and none clearly better, else WAITING for a person.
    """
    compared = list(compared)
    if not compared:
        return WAITING, "no cut on which both were tested"
    verdicts = {comparison.verdict for comparison in compared}
    sentence = "; ".join(
        f"{c.figure} {c.verdict} by {c.gain:+.4g} over {c.count_cuts} cuts (spread {c.spread:.2g})"
        for c in compared
    )
    if verdicts == {BETTER}:
        return PROMOTED, sentence
    if WORSE in verdicts and BETTER not in verdicts:
        return KEPT, sentence
    return WAITING, sentence


def as_rows(columns: Mapping[str, Column], directions: Mapping[str, str]) -> list[dict[str, Any]]:
    """The columns as JSON: one row per cut and figure, one key per column.

    Args:
        columns: Role (`champion`, `challenger`, `baseline`) -> figures.
        directions: Figure -> LOWER or HIGHER.
    """
    cuts = sorted({cut for column in columns.values() for cut in column.figures})
    return [
        {"cut_date": cut, "figure": figure}
        | {role: column.figures.get(cut, {}).get(figure) for role, column in columns.items()}
        for figure in directions
        for cut in cuts
    ]


def as_markdown(columns: Mapping[str, Column], directions: Mapping[str, str]) -> str:
    """The columns as a Markdown table, with the means below each figure. Args as of `as_rows`."""
    rows = as_rows(columns, directions)
    head = " | ".join(f"{role} ({column.name or 'none'})" for role, column in columns.items())
    lines = [f"| figure | cut | {head} |", "|---|---|" + "---:|" * len(columns)]
    for figure, better in directions.items():
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
