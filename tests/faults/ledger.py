"""What the fault tests broke and what they saw: lines that `make test-faults` makes results.md of.

A test says what it did with `record`, which does nothing outside `make test-faults`.
`size` gives it the few of `make test` or the many of `make test-faults`, `draw` its random numbers.
"""

from __future__ import annotations

import json
import os
import random
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

# The rows of results.md, in order.
ROWS = (
    "a task dies",
    "the database goes",
    "the scheduler or a worker goes",
    "disk full, out of memory",
    "two at once",
    "readers while writing",
    "wrong order",
    "bad input",
    "on call",
    "nobody in",
    "personal data",
    "backup and restore",
    "told otherwise",
    "real forms",
)
DEFAULT_SEED = 7


def is_whole() -> bool:
    """Whether `make test-faults` runs, not the smaller draw of `make test`."""
    return bool(_ledger())


def size(few: T, many: T) -> T:
    """`few` in `make test`, `many` in `make test-faults`."""
    return many if is_whole() else few


def draw(name: str) -> random.Random:
    """The random numbers of a test, from the run's seed and the test's own name."""
    return random.Random(f"{seed()} {name}")


def seed() -> int:
    """The run's seed; results.md names it, and `make test-faults SEED=` gives it again."""
    return int(os.environ.get("PERENNIAL_FAULTS_SEED", DEFAULT_SEED))


def record(row: str, how: str, seen: str, **counts: int) -> None:
    """Keep a line for results.md.

    Args:
        row: One of ROWS.
        how: What was broken, and how.
        seen: What was seen then, as the test measured it.
        counts: What adds up over all lines: kills=, files=, lines=, polls=, injections=, lost= ...
    """
    assert row in ROWS, f"{row!r}: one of {', '.join(ROWS)}"
    assert all(isinstance(count, int) for count in counts.values()), counts
    part = part_of(os.environ.get("PYTEST_CURRENT_TEST", ""))
    write(part=part, kind="finding", row=row, how=how, seen=seen, counts=counts)


def write(**entry: object) -> None:
    """Append a line; a single write, so that tests side by side don't mix theirs."""
    ledger = _ledger()
    if ledger:
        with Path(ledger).open("a") as file:
            file.write(json.dumps(entry) + "\n")


def part_of(node: str) -> str:
    """The test file of a test: `kills` of tests/faults/test_kills.py::test_land."""
    return Path(node.split("::")[0]).stem.removeprefix("test_")


def _ledger() -> str:
    return os.environ.get("PERENNIAL_FAULTS_LEDGER", "")
