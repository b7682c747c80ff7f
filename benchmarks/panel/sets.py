"""The shops of each set."""

from __future__ import annotations

import tomllib
from pathlib import Path

SETS = ("tuning", "validation", "final")
FILE = Path(__file__).with_name("sets.toml")


def members(name: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The public shops and the generators of a set.

    Args:
        name: One of SETS.

    Raises:
        ValueError: If there is no such set.
    """
    if name not in SETS:
        raise ValueError(f"PANEL={name}: one of {', '.join(SETS)}")
    listed = _read()[name]
    return tuple(listed["shops"]), tuple(listed["generators"])


def _read() -> dict[str, dict[str, list[str]]]:
    return tomllib.loads(FILE.read_text())
