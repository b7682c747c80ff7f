"""How far the runs are that are followed, each and by step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from local.display import Step


@dataclass
class Progress:
    """How far one DAG's run of one date is."""

    count_done: int = 0
    count_tasks: int = 0
    seconds: float = 0.0
    at_work: list[str] = field(default_factory=list)
    rows: str = ""
    has_failed: bool = False


def steps_of(
    progress: Mapping[tuple[str, str], Progress],
    unfinished: set[str],
    waits_for: Mapping[str, tuple[str, ...]],
) -> list[Step]:
    """The DAGs, their dates taken together.

    Args:
        progress: By DAG and date, of the runs that began.
        unfinished: DAGs that have a date to go.
        waits_for: By DAG, in the order of the chain, those that it comes after.
    """
    steps = []
    for dag_id, before in waits_for.items():
        of_it = [run for (name, _), run in sorted(progress.items()) if name == dag_id]
        steps.append(
            Step(
                dag_id,
                waits_for=before,
                count_done=sum(run.count_done for run in of_it),
                count_tasks=sum(run.count_tasks for run in of_it),
                seconds=sum(run.seconds for run in of_it),
                at_work=[name for run in of_it for name in run.at_work],
                rows=next((run.rows for run in reversed(of_it) if run.rows), ""),
                is_done=dag_id not in unfinished,
                has_failed=any(run.has_failed for run in of_it),
            )
        )
    return steps


def seconds_of(run: dict[str, Any]) -> float:
    """How long a run has taken, until it ended or until now."""
    if not run["start_date"]:
        return 0.0
    end = datetime.fromisoformat(run["end_date"]) if run["end_date"] else datetime.now(UTC)
    return max((end - datetime.fromisoformat(run["start_date"])).total_seconds(), 0.0)
