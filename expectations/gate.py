"""Evaluate the rules of a gate, store each result as a row, and stop the run or warn by severity.

A critical rule stops the run; a warning lets the run pass and is reported. A rule that could not be
evaluated stops the run whatever its severity. So do a missing column and an empty table: on those,
rules about column values would pass or vanish instead of failing.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from expectations.results import WARNING, GateFailed, record
from expectations.rules import Check
from perennial.warehouse import connect

if TYPE_CHECKING:
    from perennial.settings import Settings

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Summary:
    """A gate that let the run pass: the number of its rules, and the warnings as texts."""

    gate: str
    rule_count: int
    warnings: list[str]


def run_gate(
    settings: Settings,
    role: str,
    gate: str,
    checks: Sequence[Check],
    *,
    as_of_date: date | None,
    run_id: str,
    publication_id: int | None = None,
) -> Summary:
    """Evaluate all rules of a gate and record the results.

    Args:
        settings: Where the warehouse is.
        role: Role of the warehouse that reads the rows: that of the guarded step.
        gate: Name of the gate.
        checks: Rules, by table.
        as_of_date: Date of the run.
        run_id: The run.
        publication_id: The checked publication, if the gate checks scores.

    Returns:
        A summary with the failed rules that did not stop the run as `warnings`.

    Raises:
        GateFailed: If a critical rule failed or any rule could not be evaluated. The results are
            recorded in ops.gate_results before.
    """
    from expectations.validation import evaluate  # loads Great Expectations, which takes seconds

    with connect(settings, role) as connection:
        results = evaluate(settings, role, checks)
        record(
            connection,
            results,
            {
                "run_id": run_id,
                "gate": gate,
                "as_of_date": as_of_date,
                "publication_id": publication_id,
            },
        )
    for result in results:
        if not result.success:
            log.log(logging.ERROR if result.stops else logging.WARNING, "gate %s %s", gate, result)
    stops = [str(result) for result in results if result.stops]
    if stops:
        raise GateFailed(f"gate {gate} stopped the run, {len(stops)} rules: " + " | ".join(stops))
    warnings = [str(r) for r in results if not r.success and r.severity == WARNING]
    log.info("gate %s let the run pass: %s rules, %s warnings", gate, len(results), len(warnings))
    return Summary(gate, len(results), warnings)
