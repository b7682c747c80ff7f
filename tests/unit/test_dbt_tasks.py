"""How a model's task ends, with a scripted build in place of Airflow's and Cosmos' tables."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from airflow.triggers.base import TaskSuccessEvent, TriggerEvent
from cosmos.exceptions import CosmosDbtRunError
from dbt.cli.main import dbtRunnerResult
from dbt_common.clients.jinja import catch_jinja
from dbt_common.exceptions import CompilationError

from dags.shared.dbt_tasks import ALONE, BUILT_FOR, Build, ModelTrigger
from oncall.alerts import words

MODEL = "model.perennial.fct_orders"


class Scripted(ModelTrigger):
    """The build's state at each poll, and what it has reported of the model by then."""

    def __init__(
        self,
        try_number: int,
        looks: list[tuple[str | None, str | None]],
        built_for: str = "2024-02-29 06:00:00.000000",
    ) -> None:
        super().__init__(MODEL, "dbt.dbt_producer_watcher", poke_interval=0)
        run = SimpleNamespace(start_date=datetime(2024, 3, 1, 6, tzinfo=UTC))
        self._task_instance = SimpleNamespace(
            dag_id="build_warehouse",
            run_id="r",
            map_index=-1,
            try_number=try_number,
            get_template_context=lambda: {"dag_run": run},
        )
        self.built_for = built_for
        self.looks: Iterator[tuple[str | None, str | None]] = iter(looks)
        self.reported: str | None = None

    async def _get_producer_task_status(self) -> str | None:
        state, self.reported = next(self.looks)
        return state

    async def get_xcom_val(self, key: str) -> dict[str, object] | str | None:
        assert (self.dag_id, self.run_id, self.map_index) == ("build_warehouse", "r", -1)
        if key == BUILT_FOR:
            return self.built_for
        is_status = key == "model__perennial__fct_orders_status"
        return {"status": self.reported, "outlet_uris": []} if is_status and self.reported else None


def ended(trigger: ModelTrigger) -> TriggerEvent:
    async def events() -> list[TriggerEvent]:
        return [event async for event in trigger.run()]

    (event,) = asyncio.run(events())
    return event


@pytest.mark.parametrize(
    ("try_number", "looks"),
    [
        (1, [(None, None), ("queued", None), ("running", None), ("running", "success")]),
        # the build was killed after a failed model, and is retried
        (
            1,
            [
                ("up_for_retry", "failed"),
                ("queued", "failed"),
                ("running", "success"),
                ("running", "success"),
            ],
        ),
        # both were cleared: the last build's report does not count
        (2, [(None, "failed"), ("running", None), ("success", "success")]),
        # not one of this build's models
        (1, [("success", None), ("success", None)]),
    ],
)
def test_what_the_build_made_ends_without_a_worker(
    try_number: int, looks: list[tuple[str | None, str | None]]
) -> None:
    assert isinstance(ended(Scripted(try_number, looks)), TaskSuccessEvent)


def test_what_failed_goes_to_a_worker_that_says_so() -> None:
    event = ended(Scripted(1, [("running", None), ("running", "failed")]))
    assert event.payload == {"status": "failed", "reason": "node_failed"}


def test_a_model_that_was_cleared_with_its_build_takes_the_build_s_word() -> None:
    """The task waits for other folders, and starts when the build has ended."""
    looks = [("success", "success")] * 2
    trigger = Scripted(2, looks, built_for="2024-03-01 06:00:00.000000")
    assert isinstance(ended(trigger), TaskSuccessEvent)


@pytest.mark.parametrize("state", ["success", "failed", "skipped"])
def test_a_model_that_is_cleared_alone_is_built_alone(state: str) -> None:
    assert ended(Scripted(2, [(state, "success")])).payload == ALONE


def test_a_template_that_runs_out_of_memory_is_reported_as_that() -> None:
    # dbt wraps whatever ends a template in its own error
    with pytest.raises(CompilationError) as jinja, catch_jinja():
        raise MemoryError
    build = Build.__new__(Build)
    with pytest.raises(CosmosDbtRunError) as failure:
        build.handle_exception_dbt_runner(dbtRunnerResult(success=False, exception=jinja.value))
    assert words.shared_cause(failure.value) == words.NO_MEMORY
