"""Who looked at what: validation shops with a reason each time, final ones once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path

from benchmarks.code import LOOKS

FILE = LOOKS


class SecondLookError(RuntimeError):
    """The final shops were opened before, or somebody looks without saying why."""


def note(
    panel: str,
    questions: Sequence[str],
    shops: Sequence[str],
    why: str,
    *,
    on: date,
    commit: str,
    file: Path = FILE,
) -> None:
    """Write a look down; looking at tuning shops is free and not written.

    Args:
        panel: The set, one of `sets.SETS`.
        questions: What is judged.
        shops: Which of its shops.
        why: What is chosen by it; for final shops only needed from the second opening on.
        on: Today.
        commit: Of the code that is judged.
        file: The log.

    Raises:
        SecondLookError: If a reason is needed and there is none.
    """
    if panel == "tuning":
        return
    before = [look for look in looks(file) if look[2] == panel]
    if panel == "final" and before and not why:
        first = before[0]
        raise SecondLookError(
            f"the final shops were opened on {first[0]} at {first[1]}: what is judged by them again"
            " is no longer judged by shops that it never saw. If it has to be, say why: WHY="
        )
    if panel == "validation" and not why:
        raise SecondLookError("a look at the validation shops is kept with its reason: WHY=")
    told = why.replace("|", "/").replace("\n", " ") or "first opening"
    cells = [str(on), commit, panel, ", ".join(questions), ", ".join(shops), told]
    with file.open("a") as log:
        log.write("| " + " | ".join(cells) + " |\n")


def looks(file: Path = FILE) -> list[list[str]]:
    """The cells of each look, oldest first."""
    rows = [line for line in file.read_text().splitlines() if line.startswith("| 2")]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
