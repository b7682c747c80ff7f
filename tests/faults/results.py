"""Write tests/faults/results.md and the table on the screen from the ledger's lines."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.faults.ledger import ROWS

RESULTS = Path(__file__).parent / "results.md"
HEAD = """# Faults

Made by `make test-faults`; never edited by hand. Real Postgres, real Airflow, real kills. `lost`
counts rows, files or scores that were gone, doubled or wrong afterwards.
"""

Entry = dict[str, Any]


def read(ledger: Path) -> list[Entry]:
    """The ledger's lines, in order."""
    return [json.loads(line) for line in ledger.read_text().splitlines()] if ledger.exists() else []


def totals(findings: list[Entry]) -> Counter[str]:
    """Sums of all findings' counts; `lost` comes last, also if it is zero."""
    sums: Counter[str] = Counter()
    for finding in findings:
        sums.update(finding["counts"])
    lost = sums.pop("lost", 0)
    return Counter(dict(sorted(sums.items())) | {"lost": lost})


def write(entries: list[Entry]) -> None:
    """Write results.md."""
    findings = [entry for entry in entries if entry["kind"] == "finding"]
    outcomes = [entry for entry in entries if entry["kind"] == "outcome"]
    runs = [entry for entry in entries if entry["kind"] == "run"]
    lines = [HEAD, "| part | commit | seed | made | seconds |", "|---|---|---|---|---|"]
    lines += [
        f"| {run['part']} | {run['commit']} | {run['seed']} | {run['at']} | {run['seconds']:,} |"
        for run in sorted(runs, key=lambda run: run["part"])
    ]
    lines += ["", "## Counts", "", "| what | count |", "|---|---|"]
    lines += [f"| {name} | {count:,} |" for name, count in totals(findings).items()]
    for row in ROWS:
        of_row = [finding for finding in findings if finding["row"] == row]
        if of_row:
            lines += ["", f"## {row.capitalize()}", ""]
            lines += ["| how it was broken | what was seen | counts |", "|---|---|---|"]
            lines += [
                f"| {_cell(finding['how'])} | {_cell(finding['seen'])} | {_counts(finding)} |"
                for finding in sorted(of_row, key=lambda finding: finding["part"])
            ]
    lines += ["", "## Tests", "", "| test | outcome | seconds |", "|---|---|---|"]
    lines += [
        f"| {outcome['part']}: {outcome['test']} | {_cell(_outcome(outcome))} "
        f"| {outcome['seconds']:,} |"
        for outcome in sorted(outcomes, key=lambda outcome: (outcome["part"], outcome["test"]))
    ]
    RESULTS.write_text("\n".join(lines) + "\n")


def show(entries: list[Entry], console: Console) -> None:
    """Print the findings and the counts."""
    findings = [entry for entry in entries if entry["kind"] == "finding"]
    table = Table(show_lines=True)
    for column in ("fault", "how it was broken", "what was seen", "counts"):
        table.add_column(column)
    for row in ROWS:
        for finding in findings:
            if finding["row"] == row:
                table.add_row(row, finding["how"], finding["seen"], _counts(finding))
    console.print(table)
    console.print(", ".join(f"{name} {count:,}" for name, count in totals(findings).items()))


def _counts(finding: Entry) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in finding["counts"].items())


def _outcome(outcome: Entry) -> str:
    return f"{outcome['outcome']}: {outcome['why']}" if outcome["why"] else outcome["outcome"]


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
