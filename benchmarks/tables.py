"""Figures as tables: cuts by models, and cells of Markdown."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pandas as pd

from benchmarks.judge import goodness

OURS = "perennial"


@dataclass(frozen=True)
class Figure:
    """A column: its name in the judge's rows, its heading, its better direction, its format."""

    name: str
    heading: str
    better: str
    digits: int = 3


def by_cut(rows: pd.DataFrame, figure: str) -> pd.DataFrame:
    """A figure as cuts (index) by models (columns)."""
    return rows.pivot(index="cut", columns="model", values=figure)


def peers_of(table: pd.DataFrame) -> pd.DataFrame:
    """The peers' columns that have any figure."""
    return table.drop(columns=OURS, errors="ignore").dropna(axis="columns", how="all")


def best_on_average(table: pd.DataFrame, better: str) -> str:
    """The peer with the best mean over the cuts, among peers with a figure at most cuts."""
    peers = peers_of(table)
    often = peers.loc[:, peers.notna().mean() > 0.5]
    means = (often if not often.empty else peers).mean()
    return str(means.map(lambda value: goodness(value, better)).idxmax())


def number(value: float, digits: int) -> str:
    """The number with so many digits, without a leading 0; a dash if it is not finite."""
    if not math.isfinite(value):
        return "–"
    text = f"{value:,.{digits}f}"
    return text.replace("0.", ".", 1) if text.lstrip("-").startswith("0.") else text


def header(headings: list[str]) -> list[str]:
    """The first two lines of a table."""
    return [row(headings), "|" + "---|" * len(headings)]


def row(cells: list[str]) -> str:
    """A line of a table."""
    return "| " + " | ".join(cells) + " |"
