"""Which shop is in which set."""

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
    found = _read()[name]
    return tuple(found["shops"]), tuple(found["generators"])


def set_of(shop: str) -> str:
    """The set that a shop or generator is in.

    Raises:
        KeyError: If it is in none.
    """
    for name in SETS:
        shops, generators = members(name)
        if shop in shops or shop in generators:
            return name
    raise KeyError(f"{shop} is in none of {', '.join(SETS)}; benchmarks/panel/sets.toml lists them")


def _read() -> dict[str, dict[str, list[str]]]:
    return tomllib.loads(FILE.read_text())
