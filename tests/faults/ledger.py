"""The ledger of the fault tests: what they broke and saw, the input of results.md.

A test adds a line with `record`, which does nothing outside `make test-faults`. `size` returns the
small number of `make test` or the large one of `make test-faults`; `draw` returns random numbers.
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
    """True under `make test-faults`, False in the smaller draw of `make test`."""
    return bool(_ledger())


def size(few: T, many: T) -> T:
    """`few` in `make test`, `many` in `make test-faults`."""
    return many if is_whole() else few


def draw(name: str) -> random.Random:
    """A test's random numbers, seeded by the run's seed and the test's name."""
    return random.Random(f"{seed()} {name}")


def seed() -> int:
    """The run's seed; results.md names it, and `make test-faults SEED=` sets it."""
    return int(os.environ.get("PERENNIAL_FAULTS_SEED", DEFAULT_SEED))


def record(row: str, how: str, seen: str, **counts: int) -> None:
    """Add a line for results.md.

    Args:
        row: One of ROWS.
        how: What was broken, and how.
        seen: What the test measured then.
        counts: Numbers that add up over all lines: kills=, files=, lines=, polls=, lost= ...
    """
    assert row in ROWS, f"{row!r}: one of {', '.join(ROWS)}"
    assert all(isinstance(count, int) for count in counts.values()), counts
    part = part_of(os.environ.get("PYTEST_CURRENT_TEST", ""))
    write(part=part, kind="finding", row=row, how=how, seen=seen, counts=counts)


def write(**entry: object) -> None:
    """Append a line in a single write, so that lines of parallel tests do not mix."""
    ledger = _ledger()
    if ledger:
        with Path(ledger).open("a") as file:
            file.write(json.dumps(entry) + "\n")


def part_of(node: str) -> str:
    """The test file of a test: `kills` of tests/faults/test_kills.py::test_land."""
    return Path(node.split("::")[0]).stem.removeprefix("test_")


def _ledger() -> str:
    return os.environ.get("PERENNIAL_FAULTS_LEDGER", "")
