"""An Airflow whose API tells a script: what the runs of a date are at, look by look.

As a program it follows the script on its own standard output: `python -m tests.unit.scripted_api`.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

from rich.console import Console

from local import watch
from oncall.airflow_api import AirflowError, chain_of_dags

DAY = date(2024, 3, 1)
BEGAN = datetime.now(UTC)
CHAIN = chain_of_dags()
# the task of each DAG, and what it returns
RESULTS = {"land": {"landed": 1_067_371, "batch_id": 7}, "report": None}
SCORES = [dag_id for dag_id in CHAIN if dag_id.startswith("score_")]


class ScriptedApi:
    """The DAGs end one after the other, each two looks after it began."""

    def __init__(self) -> None:
        self.look = -1

    def get(self, path: str, **params: Any) -> Any:
        parts = path.strip("/").split("/")
        if parts == ["assets"]:
            return {"assets": self._assets()}
        if parts[-1] == "dagRuns":
            self.look += 1
            return {"dag_runs": [self._run(dag_id) for dag_id in CHAIN if self._age(dag_id) >= 0]}
        if parts[-1] == "taskInstances":
            return {"task_instances": [self._task(parts[1])]}
        if RESULTS.get(parts[1], {}) is None:
            raise AirflowError("404: it returned nothing")
        return {"value": RESULTS.get(parts[1], {"rows": {parts[1].removeprefix("score_"): 4_892}})}

    def _assets(self) -> list[dict[str, Any]]:
        order = [("land", ["build_warehouse"]), ("build_warehouse", SCORES)]
        order += [(question, ["report"]) for question in SCORES] + [("report", ["lookback"])]
        return [
            {
                "producing_tasks": [{"dag_id": maker, "task_id": "x"}],
                "scheduled_dags": [{"dag_id": reader} for reader in readers],
            }
            for maker, readers in order
        ]

    def _age(self, dag_id: str) -> int:
        """Looks since it began; below 0: it did not."""
        return self.look - 2 * CHAIN.index(dag_id)

    def _run(self, dag_id: str) -> dict[str, Any]:
        is_done = self._age(dag_id) >= 2
        return {
            "dag_id": dag_id,
            "dag_run_id": f"{dag_id}-run",
            "partition_key": str(DAY),
            "state": "success" if is_done else "running",
            "start_date": BEGAN.isoformat(),
            "end_date": (BEGAN + timedelta(seconds=75)).isoformat() if is_done else None,
        }

    def _task(self, dag_id: str) -> dict[str, Any]:
        is_done = self._age(dag_id) >= 2
        return {
            "task_id": f"{dag_id}_task",
            "map_index": -1,
            "try_number": 1,
            "state": "success" if is_done else "running",
            "duration": 74.3 if is_done else None,
        }


def follow(console: Console) -> None:
    """Follow the script to its end."""
    failure = watch.Watch(
        ScriptedApi(),  # type: ignore[arg-type]
        console,
        BEGAN,
        lambda: {"scheduler": True},
    ).follow([DAY])
    assert failure is None


if __name__ == "__main__":
    watch.POLL_SECONDS = 0.3
    follow(Console())
