"""Callbacks of tasks, runs and deadlines: pass failures and recoveries on to `oncall.alerts`.

Airflow logs an error in a callback; the state of the task stays as it was.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any
from urllib.parse import quote

import psycopg

from oncall.alerts.causes import (
    CRITICAL,
    DATA_PLATFORM,
    DEADLINE,
    FAILURE,
    GATE_WARNING,
    INFO,
    QUESTION,
    WARNING,
    Cause,
    owner_of,
    stale_views,
)
from oncall.alerts.killed import why_killed
from oncall.alerts.notify import has_incident, notify, recovered
from oncall.alerts.words import NO_CONNECTION, cause_of, fingerprint, shared_cause, table_in
from perennial.connections import holders
from perennial.settings import Settings, SettingsError

log = logging.getLogger(__name__)

DBT_BUILD_TASK = "dbt_producer_watcher"  # the name that Cosmos gives it
DBT = "dbt"
LATE = "A run is late"


@dataclass(frozen=True)
class Seen:
    """A task's try as Airflow reports it; for a killed one without run and date."""

    dag_id: str
    task_id: str
    run_id: str
    as_of_date: date | None
    owner: str
    map_index: int = -1

    @classmethod
    def from_context(cls, context: Mapping[str, Any]) -> Seen:
        """Read the context that Airflow passes to a callback."""
        task_instance = context["ti"]
        dag_run = context.get("dag_run")
        return cls(
            dag_id=task_instance.dag_id,
            task_id=task_instance.task_id,
            run_id=task_instance.run_id,
            as_of_date=_date(getattr(dag_run, "partition_key", None) or _typed(context, "params")),
            owner=getattr(context.get("task"), "owner", None) or DATA_PLATFORM,
            map_index=-1 if task_instance.map_index is None else task_instance.map_index,
        )

    @property
    def step(self) -> str:
        """`dag.task`; all tasks of the dbt project are one step."""
        return f"{self.dag_id}.{step_of(self.task_id)}"

    def cause(self, settings: Settings, **fields: Any) -> Cause:
        """Make a cause from this try and the given fields of Cause."""
        table = fields.get("table")
        given = {
            "step": self.step,
            "as_of_date": self.as_of_date,
            "owner": owner_of(table, self.owner),
            "entry": step_of(self.task_id),
            "run_id": f"{self.dag_id}/{self.run_id}",
            "link": run_url(self, settings),
        }
        return Cause(**given | fields)


def alert(context: Mapping[str, Any]) -> None:
    """Send an alert about a task without tries left: `on_failure_callback` of every task."""
    if only_mirrors_dbt(context):
        log.info("no alert from this task: the task of the dbt build sends it")
        return
    settings = Settings()
    notify(settings, [failure(context, settings)])


def failure(context: Mapping[str, Any], settings: Settings) -> Cause:
    """The cause of a failed task: its own, or one that every step shares."""
    seen, error = Seen.from_context(context), context.get("exception")
    summary = cause_of(error) if error else why_killed(settings, context["ti"])
    shared = shared_cause(error)
    key = shared or f"{FAILURE}: {step_of(seen.task_id)}: {fingerprint(summary)}"
    fields: dict[str, Any] = {"entry": shared} if shared else {}
    return seen.cause(
        settings,
        key=key,
        kind=FAILURE,
        severity=CRITICAL,
        title=f"{shared} ({seen.step})" if shared else f"{seen.step} failed",
        summary=summary,
        table=None if shared else table_in(summary),
        blocks=stale_views("land" if shared else seen.dag_id),
        likely=_who_is_connected(settings) if shared == NO_CONNECTION else None,
        **fields,
    )


def _who_is_connected(settings: Settings) -> str | None:
    try:
        return holders(settings)
    except (psycopg.OperationalError, SettingsError) as error:  # the alert goes out without it
        log.error("it is not known who has the connections: %s", cause_of(error))
        return None


def run_failed(context: Mapping[str, Any]) -> None:
    """Send an alert about a failed run that no task reported: `on_failure_callback` of every DAG.

    Airflow calls no callback of a task if the task's process was killed in its last try, or if the
    run timed out.
    """
    settings, seen = Settings(), Seen.from_context(context)
    if has_incident(settings, f"{seen.dag_id}/{seen.run_id}"):
        return
    if context.get("reason") != "timed_out":
        notify(settings, [failure(context, settings)])
        return
    cause = seen.cause(
        settings,
        key=f"{FAILURE}: {seen.dag_id} timed out",
        kind=FAILURE,
        severity=CRITICAL,
        title=f"{seen.dag_id} was given up",
        summary=f"its run took too long and was ended in {seen.task_id}",
        step=seen.dag_id,
        entry=LATE,
        blocks=stale_views(seen.dag_id),
    )
    notify(settings, [cause])


def succeeded(context: Mapping[str, Any]) -> None:
    """Close the incidents that a success ends: `on_success_callback` of every task.

    The success of a step implies the success of the steps before it. The last step of a run also
    ends the incident of a missed deadline.
    """
    seen, task = Seen.from_context(context), context["task"]
    if step_of(seen.task_id) == DBT or seen.map_index >= 0:
        return  # the task after all models, or all shards, closes their incidents
    before = task.get_flat_relative_ids(upstream=True)
    steps = {seen.step, *(f"{seen.dag_id}.{step_of(task_id)}" for task_id in before)}
    if not task.downstream_task_ids:
        steps.add(seen.dag_id)
    recovered(Settings(), sorted(steps), seen.as_of_date)


def alert_warnings(result: dict[str, Any], context: Mapping[str, Any]) -> dict[str, Any]:
    """Send alerts about a gate's warnings, close warnings that ended, and return the result.

    Args:
        result: Result of a step with a gate: `warnings`, the failed rules in words, and, if the
            gate does not check every table each time, `judged`, the tables that it checked.
            Warnings about other tables stay open.
        context: Airflow's context of the running task.

    Returns:
        `result`, unchanged.
    """
    settings, seen = Settings(), Seen.from_context(context)
    causes = [_warning(text, seen, settings) for text in result["warnings"]]
    notify(settings, causes)
    still = [cause.key for cause in causes]
    checked = result.get("judged")
    if checked != []:
        recovered(settings, [_gate_of(seen)], seen.as_of_date, still, checked)
    return result


def _gate_of(seen: Seen) -> str:
    """The step that ends a warning: the gate, since a task that warns succeeds all the same."""
    return f"{seen.step} (its gate)"


def _warning(text: str, seen: Seen, settings: Settings) -> Cause:
    return seen.cause(
        settings,
        key=f"{GATE_WARNING}: {seen.step}: {fingerprint(text)}",
        kind=GATE_WARNING,
        severity=WARNING,
        title=f"{seen.step} warns",
        summary=text,
        table=table_in(text),
        step=_gate_of(seen),
    )


def alert_waiting(outcome: Mapping[str, Any], context: Mapping[str, Any]) -> None:
    """Send an alert that a person has to decide: between two models, or on an erasure.

    Args:
        outcome: Texts of the request: `subject`, `reason`, and `meanwhile` (what holds until then).
        context: Airflow's context of the running task.
    """
    settings, seen = Settings(), Seen.from_context(context)
    cause = seen.cause(
        settings,
        key=f"{QUESTION}: {seen.step}: {outcome['subject']}",
        kind=QUESTION,
        severity=INFO,
        title=f"{seen.dag_id} waits for your decision",
        summary=f"{outcome['subject']}\n{outcome['reason']}\n{outcome['meanwhile']}",
        link=f"{run_url(seen, settings)}/required_actions",
    )
    notify(settings, [cause])


async def deadline_missed(context: Mapping[str, Any], hours: float) -> None:
    """Send an alert about a late run: callback of a DAG's deadline, in the triggerer."""
    await asyncio.to_thread(_alert_late, context, hours)


def _alert_late(context: Mapping[str, Any], hours: float) -> None:
    settings, run = Settings(), context["dag_run"]
    dag_id, run_id = run["dag_id"], run["dag_run_id"]
    if run["state"] not in ("queued", "running"):
        log.info("no alert: %s/%s has ended (%s)", dag_id, run_id, run["state"])
        return
    cause = Cause(
        key=f"{DEADLINE}: {dag_id.partition('_')[0]}",  # one cause for all late score DAGs
        kind=DEADLINE,
        severity=WARNING,
        title=f"{dag_id} is late",
        summary=f"the run is {run['state']} and was not through {hours:g} h after it was queued",
        step=dag_id,
        as_of_date=_date(run.get("partition_key") or _typed(run, "conf")),
        owner=DATA_PLATFORM,
        entry=LATE,
        blocks=stale_views(dag_id),
        run_id=f"{dag_id}/{run_id}",
        link=f"{_base(settings)}/dags/{dag_id}/runs/{quote(run_id, safe='')}",
    )
    notify(settings, [cause])


def only_mirrors_dbt(context: Mapping[str, Any]) -> bool:
    """Whether the task only shows a model's state in the dbt build, which is another task.

    Otherwise a broken build would send one alert per model.
    """
    is_the_build = context["ti"].task_id.endswith(DBT_BUILD_TASK)
    return not is_the_build and DBT_BUILD_TASK in str(context.get("exception"))


def step_of(task_id: str) -> str:
    """The task's section in the runbook; `dbt` for all tasks of the dbt project."""
    return task_id.split(".")[0]


def run_url(seen: Seen, settings: Settings) -> str:
    """URL of the task in Airflow's UI, with its log."""
    mapped = f"/mapped/{seen.map_index}" if seen.map_index >= 0 else ""
    run_id = quote(seen.run_id, safe="")
    return f"{_base(settings)}/dags/{seen.dag_id}/runs/{run_id}/tasks/{seen.task_id}{mapped}"


def _base(settings: Settings) -> str:
    base = settings.alert_base_url or f"http://127.0.0.1:{settings.airflow_port}"
    return base.rstrip("/")


def _typed(given: Mapping[str, Any], place: str) -> str | None:
    """The date from the form of `land`; None if there is none."""
    return (given.get(place) or {}).get("as_of_date")


def _date(partition_key: str | None) -> date | None:
    try:
        return date.fromisoformat(partition_key or "")
    except ValueError:
        return None  # started without a date: the task raises its own error
