"""Follow the runs of some dates through Airflow's API, and say what each step did."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from rich.console import Console
from rich.markup import escape

from local.patience import Patience, require_services
from oncall.airflow_api import AirflowError, Api, NoAnswerError, chain_of_dags
from perennial.text import plain

POLL_SECONDS = 2.0
PAGE = 100  # the most that the API gives at once
HEARTBEAT_SECONDS = 15.0
DBT_GROUP = "dbt."
DBT_PRODUCER = "dbt.dbt_producer_watcher"
DONE = ("success", "failed", "skipped", "upstream_failed", "removed")
LOG_LINES = 25
# What a line says anyway, or what nobody reads while waiting.
TOLD_ELSEWHERE = {"as_of_date", "checksum", "gate", "not_scored_counts", "question", "seconds"}
LOG_FRAME = ("::group::", "::endgroup::")


@dataclass
class Failure:
    """A failed task: where it stands and the end of its log."""

    dag_id: str
    task_id: str
    as_of_date: date
    log_lines: list[str]


@dataclass
class Watch:
    """Prints each step's end once; `follow` returns when every date is through or one failed.

    Attributes:
        services: Says which of the processes that the runs need are alive.
    """

    api: Api
    console: Console
    started_at: datetime
    services: Callable[[], dict[str, bool]]
    seen: set[tuple[str, str, str, int]] = field(default_factory=set)

    def follow(self, dates: Iterable[date]) -> Failure | None:
        """Wait for the dates' runs of all DAGs.

        Returns:
            The first failure, or None when all ended well.

        Raises:
            AirflowError: If a process that the runs need has ended.
        """
        waiting = {(dag_id, str(day)) for day in dates for dag_id in chain_of_dags()}
        last_line = time.monotonic()
        patience = Patience(self.services, self.console)
        while waiting:
            before = len(self.seen)
            at_work: list[str] = []
            try:
                failure = self._look(waiting, at_work)
            except NoAnswerError as error:
                patience.bear(error)
            else:
                patience.is_answered()
                if failure:
                    return failure
            require_services(self.services())
            if len(self.seen) != before:
                last_line = time.monotonic()
            elif time.monotonic() - last_line > HEARTBEAT_SECONDS:
                working = ", ".join(at_work) or "waiting"
                self.console.print(f"[dim]{' ' * 12}… {working}[/dim]", soft_wrap=True)
                last_line = time.monotonic()
            time.sleep(POLL_SECONDS)
        return None

    def _look(self, waiting: set[tuple[str, str]], at_work: list[str]) -> Failure | None:
        """Tell what has ended; take what is through from `waiting`, add what runs to `at_work`."""
        for run in self._runs():
            if (run["dag_id"], run["partition_key"]) not in waiting:
                continue
            day = date.fromisoformat(run["partition_key"])
            failed = self._steps(run, day, at_work)
            if run["state"] == "failed":
                return self._failure(run, failed, day)
            if run["state"] == "success":
                waiting.discard((run["dag_id"], run["partition_key"]))
        return None

    def _runs(self) -> list[dict[str, Any]]:
        """The runs of all DAGs that began after we did and are not queued, oldest first."""
        found = self._every(
            "/dags/~/dagRuns",
            "dag_runs",
            run_after_gte=self.started_at.isoformat(),
            order_by="run_after",
        )
        return [run for run in found if run["state"] != "queued"]

    def _every(self, path: str, name: str, **params: Any) -> list[dict[str, Any]]:
        """All entries of a list that the API gives page by page."""
        found: list[dict[str, Any]] = []
        while True:
            page = self.api.get(path, offset=len(found), limit=PAGE, **params)[name]
            found += page
            if len(page) < PAGE:
                return found

    def _steps(self, run: dict[str, Any], day: date, at_work: list[str]) -> list[dict[str, Any]]:
        """Print what ended since the last look; return the tasks that failed."""
        path = f"/dags/{run['dag_id']}/dagRuns/{run['dag_run_id']}/taskInstances"
        tasks = self._every(path, "task_instances")
        models = [t for t in tasks if t["task_id"].startswith(DBT_GROUP)]
        count_built = sum(t["state"] in DONE for t in models)
        for task in tasks:
            name = f"{run['dag_id']}.{task['task_id']}"
            is_model = task in models and task["task_id"] != DBT_PRODUCER
            if task["state"] == "running" and not is_model:
                built = f" ({count_built} of {len(models)} tasks)" if task in models else ""
                at_work.append(name + built)
            key = (run["dag_run_id"], run["dag_id"], task["task_id"], task["map_index"])
            if task["state"] not in DONE or key in self.seen or is_model:
                continue
            wrote = self._wrote(path, task, models)
            self.seen.add(key)
            self._print(day, name, task, wrote)
        return [task for task in tasks if task["state"] == "failed"]

    def _wrote(self, path: str, task: dict[str, Any], models: list[dict[str, Any]]) -> str:
        if task["state"] != "success":
            return ""
        if task["task_id"] == DBT_PRODUCER:
            return f"{len(models) - 2} models built and tested"  # two of its tasks are no models
        try:
            entry = self.api.get(
                f"{path}/{task['task_id']}/xcomEntries/return_value", map_index=task["map_index"]
            )
        except NoAnswerError:
            raise
        except AirflowError:
            return ""  # a step that returns nothing
        return summarise(entry["value"])

    def _print(self, day: date, name: str, task: dict[str, Any], wrote: str) -> None:
        colour = {"success": "green", "failed": "red"}.get(task["state"], "yellow")
        seconds = f"{task['duration'] or 0:7.1f} s"
        wrote = escape(plain(wrote))
        self.console.print(
            f"{day}  [{colour}]{task['state']:<8}[/{colour}] {name:<42} {seconds}  {wrote}",
            highlight=False,
            soft_wrap=True,
        )

    def _failure(self, run: dict[str, Any], failed: list[dict[str, Any]], day: date) -> Failure:
        if not failed:
            return Failure(
                run["dag_id"], "(none of its tasks)", day, ["the run failed or timed out"]
            )
        # the producer's log has dbt's own words; a model's task only says that it failed
        task = next((t for t in failed if t["task_id"] == DBT_PRODUCER), failed[0])
        log = self.api.get(
            f"/dags/{run['dag_id']}/dagRuns/{run['dag_run_id']}/taskInstances/{task['task_id']}"
            f"/logs/{task['try_number']}",
            map_index=task["map_index"],
            full_content=True,
        )
        return Failure(run["dag_id"], task["task_id"], day, log_tail(log["content"]))


def summarise(value: Any) -> str:
    """A step's result in one line: `given 1,067,371, landed 1,067,371, rejected 0`."""
    if not isinstance(value, dict):
        return "" if value is None else str(value)
    parts = []
    for key, item in value.items():
        if key in TOLD_ELSEWHERE:
            continue
        if isinstance(item, dict):  # rows by table
            parts += [f"{name} {count:,}" for name, count in item.items() if isinstance(count, int)]
        elif isinstance(item, int) and not isinstance(item, bool):
            parts.append(f"{key.replace('_', ' ')} {item:,}")
        elif isinstance(item, str):
            parts.append(f"{key.replace('_', ' ')} {item}")
    return ", ".join(parts)


def log_tail(content: Any) -> list[str]:
    """The last lines of a task's log as Airflow's API gives it: structured events, or text."""
    if isinstance(content, str):
        return content.splitlines()[-LOG_LINES:]
    lines = []
    for event in content:
        text = str(event.get("event", event))
        if not text.startswith(LOG_FRAME):
            lines.append(text)
        for error in event.get("error_detail") or []:
            lines.append(f"{error.get('exc_type')}: {error.get('exc_value')}")
    return lines[-LOG_LINES:]
