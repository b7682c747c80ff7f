"""Cosmos' tasks of a watched dbt build, changed in three ways.

A model's task ends in the triggerer, without a worker, if the build made the model. Cosmos starts
one process to check for the model and a second one when it is built; with a task per model, that
took longer than dbt itself.

A second try of the build builds again, since models replace their own rows. Cosmos skips it, and
each model's task then runs its own dbt, without tests.

An error of dbt keeps its cause. Cosmos repeats only its text, which is empty if a template ended
for want of memory.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import Context, TaskGroup
from airflow.triggers.base import StartTriggerArgs, TaskSuccessEvent, TriggerEvent
from cosmos.constants import _PRODUCER_CMD_FLAGS_XCOM_KEY
from cosmos.exceptions import CosmosDbtRunError
from cosmos.listeners.dag_run_listener import EventStatus
from cosmos.operators._watcher import safe_xcom_push
from cosmos.operators._watcher.base import BaseConsumerSensor, _log_dbt_msg
from cosmos.operators._watcher.state import is_producer_task_terminated
from cosmos.operators._watcher.triggerer import WatcherEventReason, WatcherTrigger
from cosmos.operators._watcher.xcom import _init_xcom_backup
from cosmos.operators.watcher import DbtProducerWatcherOperator

if TYPE_CHECKING:
    from dbt.cli.main import dbtRunnerResult

POLL_SECONDS = 2.0
BUILT_FOR = "built_for_run_begun_at"
ENDS = ("NodeFinished", "SkippingDetails", "LogSkipBecauseError")
ALONE = {"status": EventStatus.FAILED, "reason": WatcherEventReason.PRODUCER_SKIPPED}


class Build(DbtProducerWatcherOperator):
    """The task of the `dbt build`, the same in every try."""

    def execute(self, context: Context, **kwargs: Any) -> Any:
        """Build, and push each model's state to the model's task."""
        self._upstream_failure_skipped_ids.clear()
        _init_xcom_backup(context, persist=False)  # each try pushes all states again
        flags = self.add_cmd_flags()
        safe_xcom_push(task_instance=context["ti"], key=_PRODUCER_CMD_FLAGS_XCOM_KEY, value=flags)
        safe_xcom_push(task_instance=context["ti"], key=BUILT_FOR, value=_began(context))
        return super(DbtProducerWatcherOperator, self).execute(context=context, **kwargs)

    def handle_exception_dbt_runner(self, result: dbtRunnerResult) -> None:
        """Raise Cosmos' error from dbt's own: if memory ran out, only the cause shows it."""
        try:
            super().handle_exception_dbt_runner(result)
        except CosmosDbtRunError as error:
            raise error from result.exception

    def _make_parse_callable(self) -> Callable[[str, Any], None]:
        """Push the end of each model only; Cosmos also pushes each event of each test."""
        push = super()._make_parse_callable()

        def parse(line: str, more: dict[str, Any]) -> None:
            event = json.loads(line)
            node = event.get("data", {}).get("node_info", {})
            if node.get("resource_type") == "model" and event["info"]["name"] in ENDS:
                push(line, {"context": more["context"]})
            else:
                _log_dbt_msg(event)

        return parse


class ModelTrigger(WatcherTrigger):
    """Waits in the triggerer for a model; a failed or separately cleared model goes to a worker."""

    def __init__(self, model_unique_id: str, producer_task_id: str, poke_interval: float) -> None:
        super().__init__(
            model_unique_id=model_unique_id,
            producer_task_id=producer_task_id,
            dag_id="",  # `run` sets these three from the task
            run_id="",
            map_index=None,
            poke_interval=poke_interval,
        )

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Class path and arguments from which the triggerer makes the trigger."""
        return CLASSPATH, {
            "model_unique_id": self.model_unique_id,
            "producer_task_id": self.producer_task_id,
            "poke_interval": self.poke_interval,
        }

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield one event: the task's success, or what its worker has to do."""
        task = self.task_instance
        self.dag_id, self.run_id, self.map_index = task.dag_id, task.run_id, task.map_index
        state = await self._get_producer_task_status()
        is_late = task.try_number > 1 and is_producer_task_terminated(state)
        if is_late and await self.get_xcom_val(BUILT_FOR) != _began(task.get_template_context()):
            yield TriggerEvent(ALONE)  # the task was cleared without the build
            return
        while not (state == "running" or is_producer_task_terminated(state)):
            await asyncio.sleep(self.poke_interval)  # until then the last try's states are read
            state = await self._get_producer_task_status()
        async for event in super().run():
            succeeded = event.payload["status"] == EventStatus.SUCCESS
            yield TaskSuccessEvent() if succeeded else event

    async def _log_startup_events(self) -> None:
        """Log nothing: these events are in the build's log."""


def _began(context: Context) -> str:
    """Time at which the run began; clearing a run that has ended sets it again."""
    return f"{context['dag_run'].start_date:%Y-%m-%d %H:%M:%S.%f}"


CLASSPATH = f"{ModelTrigger.__module__}.{ModelTrigger.__qualname__}"


def take_over(group: TaskGroup) -> None:
    """Replace the tasks of a watched group, and remove dependencies within a folder of models.

    dbt orders the models itself. Each layer of waiting tasks costs three seconds of scheduler and
    triggerer: with seventeen layers the group ended 23 seconds after its build.
    """
    for task in group.children.values():
        if isinstance(task, DbtProducerWatcherOperator):
            task.__class__ = Build  # Cosmos has no option for another class
        elif isinstance(task, BaseConsumerSensor):
            for before in [*task.upstream_list]:
                if folder(before) == folder(task):
                    task.upstream_task_ids.discard(before.task_id)
                    before.downstream_task_ids.discard(task.task_id)
            task.start_trigger_args = StartTriggerArgs(
                trigger_cls=CLASSPATH,
                trigger_kwargs={
                    "model_unique_id": task.model_unique_id,
                    "producer_task_id": task.producer_task_id,
                    "poke_interval": POLL_SECONDS,
                },
                next_method="execute_complete",
            )
            task.start_from_trigger = True


def folder(model: BaseConsumerSensor) -> str:
    """Folder of a task's model: staging, intermediate, marts, features or reporting."""
    return Path(model.extra_context["dbt_node_config"]["original_file_path"]).parts[1]
