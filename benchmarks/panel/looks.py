"""The log of looks: validation shops with a reason each time, final shops once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path

from benchmarks.code import LOOKS

FILE = LOOKS


class SecondLookError(RuntimeError):
    """The final shops were opened before, or a look has no reason."""


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
    """Log a look; looks at tuning shops are not logged.

    Args:
        panel: The set, one of `sets.SETS`.
        questions: Questions that are evaluated.
        shops: Shops of the set that are evaluated.
        why: The choice that depends on it; final shops need it from the second opening on.
        on: Today.
        commit: Commit of the evaluated code.
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
            f"the final shops were opened on {first[0]} at {first[1]}: a second evaluation is no"
            " longer on unseen shops. If it is needed, give the reason: WHY="
        )
    if panel == "validation" and not why:
        raise SecondLookError("a look at the validation shops needs a reason: WHY=")
    reason = why.replace("|", "/").replace("\n", " ") or "first opening"
    cells = [str(on), commit, panel, ", ".join(questions), ", ".join(shops), reason]
    with file.open("a") as log:
        log.write("| " + " | ".join(cells) + " |\n")


def looks(file: Path = FILE) -> list[list[str]]:
    """The cells of each look, oldest first."""
    rows = [line for line in file.read_text().splitlines() if line.startswith("| 2")]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
