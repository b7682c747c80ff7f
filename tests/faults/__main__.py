"""The full fault tests: `make test-faults`. Prints a table and writes tests/faults/results.md.

Its parts are the files beside this one and the tests of other folders that are marked `whole`.
`ONLY=kills,readers` runs only these parts; results of the others, in `.faults`, stay in results.md,
which names the commit of each part.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from perennial.settings import REPOSITORY
from tests.faults import ledger, results

LEDGER = REPOSITORY / ".faults" / "ledger.jsonl"
FOLDER = Path(__file__).parent
AT_ONCE = 2  # test files side by side


def main() -> int:
    """Run the selected parts; return pytest's exit code."""
    parts = _parts()
    parser = argparse.ArgumentParser(prog="make test-faults", description=__doc__)
    parser.add_argument("--only", default="", help=f"some of {', '.join(parts)}")
    parser.add_argument("--seed", default="", help="to draw the same again")
    given = parser.parse_args()
    chosen = given.only.split(",") if given.only else list(parts)
    if unknown := set(chosen) - set(parts):
        parser.error(f"ONLY={given.only}: there is no {', '.join(sorted(unknown))}")
    seed = int(given.seed or secrets.randbelow(10**6))
    console = Console()
    console.print(f"seed {seed}: {', '.join(chosen)}")
    LEDGER.parent.mkdir(exist_ok=True)
    kept = [entry for entry in results.read(LEDGER) if entry["part"] not in chosen]
    LEDGER.write_text("".join(json.dumps(entry) + "\n" for entry in kept))
    with ThreadPoolExecutor(AT_ONCE) as pool:
        codes = list(pool.map(lambda part: _run(part, parts[part], seed, console), chosen))
    entries = results.read(LEDGER)
    results.show(entries, console)
    results.write(entries)
    console.print(f"{results.RESULTS.relative_to(REPOSITORY)}, seed {seed}")
    return max(codes)


def _parts() -> dict[str, list[str]]:
    """pytest's arguments, by name of the part."""
    parts = {}
    for path in sorted(FOLDER.parent.glob("*/test_*.py")):
        part = ledger.part_of(path.name)
        if path.parent == FOLDER:
            parts[part] = [str(path)]
        elif "mark.whole" in path.read_text():
            assert part not in parts, f"{path}: a part of this name is in another folder"
            parts[part] = ["-m", "whole", str(path)]
    return parts


def _run(part: str, selected: list[str], seed: int, console: Console) -> int:
    """Run one part; print its output when it has ended."""
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-ra", *selected],
        cwd=REPOSITORY,
        env=os.environ
        | {"PERENNIAL_FAULTS_LEDGER": str(LEDGER), "PERENNIAL_FAULTS_SEED": str(seed)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    run = {
        "part": part,
        "kind": "run",
        "seed": seed,
        "commit": _commit(),
        "at": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "seconds": round(time.monotonic() - started),
    }
    with LEDGER.open("a") as file:
        file.write(json.dumps(run) + "\n")
    console.rule(f"{part}: {run['seconds']} s")
    print(done.stdout)
    return min(done.returncode, 1)


def _commit() -> str:
    """The tested commit, marked if other files than the results differ from it."""

    def git(*arguments: str) -> str:
        done = subprocess.run(
            ["git", *arguments], cwd=REPOSITORY, capture_output=True, text=True, check=False
        )
        return done.stdout.strip()

    own = results.RESULTS.relative_to(REPOSITORY)
    is_changed = git("status", "--porcelain", "--", ".", f":!{own}")
    return (git("describe", "--always") or "unknown") + ("-dirty" if is_changed else "")


if __name__ == "__main__":
    sys.exit(main())
