"""Cosmos' tasks of a watched build, with three things done otherwise.

A model's task ends without a worker, if the one build made the model. Cosmos starts a process to
look whether a model is there, and a second one when it is: with a task a model that took longer
than dbt did.

A second try of the build builds: models replace their own rows. Cosmos skips it, and each model's
task starts a dbt of its own, without tests.

An error of dbt keeps the one it comes from. Cosmos repeats its text alone, which is empty where a
template ended for want of memory.
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
    """The one `dbt build`, whichever try it is."""

    def execute(self, context: Context, **kwargs: Any) -> Any:
        """Build, and tell each model's task how it went."""
        self._upstream_failure_skipped_ids.clear()
        _init_xcom_backup(context, persist=False)  # what it tells is told again by the next try
        flags = self.add_cmd_flags()
        safe_xcom_push(task_instance=context["ti"], key=_PRODUCER_CMD_FLAGS_XCOM_KEY, value=flags)
        safe_xcom_push(task_instance=context["ti"], key=BUILT_FOR, value=_began(context))
        return super(DbtProducerWatcherOperator, self).execute(context=context, **kwargs)

    def handle_exception_dbt_runner(self, result: dbtRunnerResult) -> None:
        """Raise Cosmos' error from dbt's own: where memory ran out, only its cause says so."""
        try:
            super().handle_exception_dbt_runner(result)
        except CosmosDbtRunError as error:
            raise error from result.exception

    def _make_parse_callable(self) -> Callable[[str, Any], None]:
        """Tell of ends of models alone; Cosmos tells of each event of each test, too."""
        tell = super()._make_parse_callable()

        def parse(line: str, more: dict[str, Any]) -> None:
            event = json.loads(line)
            node = event.get("data", {}).get("node_info", {})
            if node.get("resource_type") == "model" and event["info"]["name"] in ENDS:
                tell(line, {"context": more["context"]})
            else:
                _log_dbt_msg(event)

        return parse


class ModelTrigger(WatcherTrigger):
    """Waits in the triggerer; what failed, or is tried alone, goes on to a worker."""

    def __init__(self, model_unique_id: str, producer_task_id: str, poke_interval: float) -> None:
        super().__init__(
            model_unique_id=model_unique_id,
            producer_task_id=producer_task_id,
            dag_id="",  # these three are the task's, known when it starts
            run_id="",
            map_index=None,
            poke_interval=poke_interval,
        )

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """What the triggerer makes it from."""
        return CLASSPATH, {
            "model_unique_id": self.model_unique_id,
            "producer_task_id": self.producer_task_id,
            "poke_interval": self.poke_interval,
        }

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """One event: the task's success, or what its worker has to do."""
        task = self.task_instance
        self.dag_id, self.run_id, self.map_index = task.dag_id, task.run_id, task.map_index
        state = await self._get_producer_task_status()
        is_late = task.try_number > 1 and is_producer_task_terminated(state)
        if is_late and await self.get_xcom_val(BUILT_FOR) != _began(task.get_template_context()):
            yield TriggerEvent(ALONE)  # cleared without the build
            return
        while not (state == "running" or is_producer_task_terminated(state)):
            await asyncio.sleep(self.poke_interval)  # till then its last try's words stand
            state = await self._get_producer_task_status()
        async for event in super().run():
            succeeded = event.payload["status"] == EventStatus.SUCCESS
            yield TaskSuccessEvent() if succeeded else event

    async def _log_startup_events(self) -> None:
        """The build's log has them."""


def _began(context: Context) -> str:
    """When the run began, or began anew: clearing a run that has ended sets it."""
    return f"{context['dag_run'].start_date:%Y-%m-%d %H:%M:%S.%f}"


CLASSPATH = f"{ModelTrigger.__module__}.{ModelTrigger.__qualname__}"


def take_over(group: TaskGroup) -> None:
    """Make a watched group's tasks these, and have a model wait for no model of its own folder.

    A layer of waiting tasks is three seconds of scheduler and triggerer, and dbt orders the models
    anyway: seventeen layers ended 23 seconds after their build.
    """
    for task in group.children.values():
        if isinstance(task, DbtProducerWatcherOperator):
            task.__class__ = Build  # Cosmos has no hook for its class
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
    """Of a model's task: staging, intermediate, marts, features or reporting."""
    return Path(model.extra_context["dbt_node_config"]["original_file_path"]).parts[1]
