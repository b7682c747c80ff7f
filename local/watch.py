"""Follow the runs of some dates through Airflow's API, and have shown what each step does."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from rich.console import Console

from local.display import Display, Ended, display_on
from local.patience import Patience, require_services
from local.progress import Progress, seconds_of, steps_of
from local.task_results import count_rows, log_tail, summarise
from oncall.airflow_api import AirflowError, Api, NoAnswerError, chain_of_dags

POLL_SECONDS = 2.0
PAGE = 100  # the most that the API gives at once
DBT_GROUP = "dbt."
DBT_PRODUCER = "dbt.dbt_producer_watcher"
DONE = ("success", "failed", "skipped", "upstream_failed", "removed")


@dataclass
class Failure:
    """A failed task: where it stands and the end of its log."""

    dag_id: str
    task_id: str
    as_of_date: date
    log_lines: list[str]


@dataclass
class Watch:
    """Follows runs; `follow` returns when every date is through or one failed.

    Attributes:
        services: Says which of the processes that the runs need are alive.
        seen: Tasks whose end was shown.
        progress: By DAG and date, of the runs that began.
    """

    api: Api
    console: Console
    started_at: datetime
    services: Callable[[], dict[str, bool]]
    seen: set[tuple[str, str, str, int]] = field(default_factory=set)
    progress: dict[tuple[str, str], Progress] = field(default_factory=dict)

    def follow(self, dates: Iterable[date]) -> Failure | None:
        """Wait for the dates' runs of all DAGs.

        Returns:
            The first failure, or None when all ended well.

        Raises:
            AirflowError: If a process that the runs need has ended.
        """
        waiting = {(dag_id, str(day)) for day in dates for dag_id in chain_of_dags()}
        patience = Patience(self.services, self.console)
        order: dict[str, tuple[str, ...]] = {}
        with display_on(self.console) as display:
            while waiting:
                try:
                    order = order or self._order()
                    failure = self._look(waiting, display)
                except NoAnswerError as error:
                    patience.bear(error)
                else:
                    patience.is_answered()
                    display.show(steps_of(self.progress, {dag_id for dag_id, _ in waiting}, order))
                    if failure:
                        return failure
                require_services(self.services())
                if waiting:
                    time.sleep(POLL_SECONDS)
        return None

    def _order(self) -> dict[str, tuple[str, ...]]:
        """By DAG those whose assets it waits for."""
        before: dict[str, set[str]] = {dag_id: set() for dag_id in chain_of_dags()}
        for asset in self._every("/assets", "assets"):
            makers = {task["dag_id"] for task in asset["producing_tasks"]}
            for reader in asset["scheduled_dags"]:
                if reader["dag_id"] in before:
                    before[reader["dag_id"]] |= makers & set(before)
        return {dag_id: tuple(sorted(makers)) for dag_id, makers in before.items()}

    def _look(self, waiting: set[tuple[str, str]], display: Display) -> Failure | None:
        """Have shown what has ended; take what is through from `waiting`."""
        for run in self._runs():
            key = (run["dag_id"], run["partition_key"])
            if key not in waiting:
                continue
            day = date.fromisoformat(run["partition_key"])
            failed = self._tasks(run, day, display)
            if run["state"] == "failed":
                self.progress[key].has_failed = True
                return self._failure(run, failed, day)
            if run["state"] == "success":
                waiting.discard(key)
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

    def _tasks(self, run: dict[str, Any], day: date, display: Display) -> list[dict[str, Any]]:
        """Have shown what ended since the last look; return the tasks that failed."""
        path = f"/dags/{run['dag_id']}/dagRuns/{run['dag_run_id']}/taskInstances"
        tasks = self._every(path, "task_instances")
        models = [task for task in tasks if task["task_id"].startswith(DBT_GROUP)]
        progress = self.progress.setdefault((run["dag_id"], run["partition_key"]), Progress())
        progress.count_tasks = len(tasks)
        progress.count_done = sum(task["state"] in DONE for task in tasks)
        progress.seconds = seconds_of(run)
        progress.at_work = []
        for task in tasks:
            name = task["task_id"]
            is_model = task in models and name != DBT_PRODUCER
            if task["state"] == "running" and not is_model:
                count_built = sum(model["state"] in DONE for model in models)
                built = f" ({count_built} of {len(models)} tasks)" if task in models else ""
                progress.at_work.append(name + built)
            key = (run["dag_run_id"], run["dag_id"], name, task["map_index"])
            if task["state"] not in DONE or key in self.seen or is_model:
                continue
            value = self._wrote(path, task, models)
            self.seen.add(key)
            progress.rows = progress.rows or count_rows(value)
            seconds = task["duration"] or 0.0
            display.end(Ended(day, run["dag_id"], name, task["state"], seconds, summarise(value)))
        return [task for task in tasks if task["state"] == "failed"]

    def _wrote(self, path: str, task: dict[str, Any], models: list[dict[str, Any]]) -> Any:
        """What a task returned; None: nothing."""
        if task["state"] != "success":
            return None
        if task["task_id"] == DBT_PRODUCER:
            return f"{len(models) - 2} models built and tested"  # two of its tasks are no models
        try:
            entry = self.api.get(
                f"{path}/{task['task_id']}/xcomEntries/return_value", map_index=task["map_index"]
            )
        except NoAnswerError:
            raise
        except AirflowError:
            return None  # a step that returns nothing
        return entry["value"]

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
