"""Rules that every DAG keeps. Each failure names the DAG, the task and the remedy."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dags.shared.pools import HEAVY_POOL
from dags.shared.tags import IMPACTS, STEPS
from oncall.alerts.causes import owners
from perennial import contracts
from perennial.settings import REPOSITORY

DAG_FILES = sorted((REPOSITORY / "dags").glob("[!_]*.py"))
MAX_LINES = 120


def test_every_dag_is_there(bag: dict[str, Any]) -> None:
    assert bag["errors"] == {}
    expected = {"land", "build_warehouse", "report", "lookback", "erase_customer"}
    expected |= {f"score_{question}" for question in contracts.questions()}
    expected |= {f"train_{question}" for question in contracts.trained()}
    assert set(bag["dags"]) == expected
    assert len(expected) >= 12
    assert len(DAG_FILES) == 8


def test_reading_dag_files_imports_nothing_heavy(bag: dict[str, Any]) -> None:
    assert bag["heavy"] == [], "import it inside the task: every parse of the file pays for it"


@pytest.mark.parametrize("path", DAG_FILES, ids=lambda path: path.name)
def test_a_dag_file_holds_no_logic(path: Path) -> None:
    text = path.read_text()
    tree = ast.parse(text)
    assert len(text.splitlines()) <= MAX_LINES
    banned = (ast.If, ast.While, ast.Try, ast.With, ast.ListComp, ast.DictComp, ast.Lambda)
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    found = [
        type(node).__name__
        for function in functions
        for node in ast.walk(function)
        if isinstance(node, banned)
    ]
    assert found == [], f"{path.name} has {found}: put it into the step that the DAG calls"


@pytest.mark.parametrize("path", DAG_FILES, ids=lambda path: path.name)
def test_a_dag_file_imports_only_what_names_steps(path: Path) -> None:
    modules = {
        node.module if isinstance(node, ast.ImportFrom) else node.names[0].name
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    strangers = {
        module
        for module in modules
        if module not in ("airflow.sdk", "perennial", "perennial.settings")
        and not str(module).startswith("dags.shared")
    }
    assert strangers == set()


def test_every_dag_says_what_to_do(bag: dict[str, Any]) -> None:
    for dag_id, dag in bag["dags"].items():
        for heading in ("**Impact**", "**If a task fails**", "**Owner**"):
            assert heading in dag["doc"], f"{dag_id}: its docstring lacks {heading}"


def test_tags_come_from_the_closed_vocabulary_and_agree_with_the_page(bag: dict[str, Any]) -> None:
    for dag_id, dag in bag["dags"].items():
        impact, step = sorted(dag["tags"])
        assert impact in IMPACTS, f"{dag_id}: {impact} is not in dags/shared/tags.py"
        assert step in STEPS, f"{dag_id}: {step} is not in dags/shared/tags.py"
        tier = impact.removeprefix("impact:").replace("-", " ")
        assert f"**Impact** {tier}:" in dag["doc"], f"{dag_id}: its page says another impact"
    used = {tag for dag in bag["dags"].values() for tag in dag["tags"]}
    assert used == {*IMPACTS, *STEPS}, "a tag that no DAG has"


def test_every_task_has_an_owner_an_alert_and_careful_retries(bag: dict[str, Any]) -> None:
    count_tasks = 0
    for dag_id, dag in bag["dags"].items():
        for task_id, task in dag["tasks"].items():
            count_tasks += 1
            where = f"{dag_id}.{task_id}"
            assert task["owner"] in owners(), f"{where}: no owner that a route could name"
            assert task["alerts"], f"{where}: no alert on failure"
            assert task["recovers"], f"{where}: no alert when it is over"
            assert task["has_retry_policy"] or task["retries"] == 0, f"{where}: retries anything"
    assert count_tasks > 40


def test_every_run_has_a_deadline_and_a_failure_callback(
    bag: dict[str, Any],
) -> None:
    for dag_id, dag in bag["dags"].items():
        callback = "dags.shared.alerts.deadline_missed"
        assert dag["deadline"] == [["FirstQueued", callback]], dag_id  # not DagRunQueuedAtDeadline
        assert dag["tells_failed_runs"], dag_id


def test_one_date_at_a_time_but_for_scores_and_nothing_on_its_own(bag: dict[str, Any]) -> None:
    for dag_id, dag in bag["dags"].items():
        assert (dag["max_active_runs"] == 1) is not dag_id.startswith("score_"), dag_id
        assert not dag["catchup"], dag_id
    # no clock: orders of 2011 are not scored for today
    clocks = {dag["timetable"] for dag in bag["dags"].values()}
    assert clocks == {"PartitionedAtRuntime", "PartitionedAssetTimetable", "NullTimetable"}
    assert bag["dags"]["land"]["timetable"] == "PartitionedAtRuntime"


def test_forms_ask_for_a_date_and_demand_nothing_that_is_optional(bag: dict[str, Any]) -> None:
    assert bag["dags"]["land"]["params"]["as_of_date"] == ["null", "string"]
    for question in contracts.trained():
        params = bag["dags"][f"train_{question}"]["params"]
        assert params == {"training_date": ["null", "string"], "reason": ["null", "string"]}


def test_what_is_ready_for_readers_goes_before_what_still_trains(bag: dict[str, Any]) -> None:
    priorities: dict[str, set[int]] = {}
    for dag in bag["dags"].values():
        for task_id, task in dag["tasks"].items():
            if task["pool"] == HEAVY_POOL:
                assert "absolute" in task["weight_rule"].lower(), (
                    f"{task_id}: counts what is behind it"
                )
                priorities.setdefault(task_id, set()).add(task["priority"])
    order = sorted(priorities, key=lambda task_id: max(priorities[task_id]), reverse=True)
    assert all(len(found) == 1 for found in priorities.values())
    assert order == [
        *("erase", "publish", "look_back", "dbt.dbt_producer_watcher", "train", "contest")
    ]


def test_what_works_hard_shares_the_pool(bag: dict[str, Any]) -> None:
    for question in contracts.questions():
        for task_id, task in bag["dags"][f"score_{question}"]["tasks"].items():
            assert task["pool"] == HEAVY_POOL, f"score_{question}.{task_id}"
    producer = bag["dags"]["build_warehouse"]["tasks"]["dbt.dbt_producer_watcher"]
    assert producer["pool"] == HEAVY_POOL


def test_a_model_needs_no_worker_and_waits_for_few_layers(bag: dict[str, Any]) -> None:
    tasks = bag["dags"]["build_warehouse"]["tasks"]
    models = {name for name in tasks if name.startswith("dbt.") and name.endswith("_run")}
    assert len(models) > 40
    assert {tasks[name]["starts_from"] for name in models} == {"dags.shared.dbt_tasks.ModelTrigger"}
    assert tasks["dbt.dbt_producer_watcher"]["operator"] == "Build"

    def layers(name: str) -> int:
        return 1 + max((layers(before) for before in tasks[name]["upstream"]), default=0)

    assert 3 <= max(layers(name) for name in models) <= 6
    before = set(tasks["close_build"]["upstream"])
    ends = models - {up for name in models for up in tasks[name]["upstream"]}
    assert ends <= before  # no later task starts before the last model


# DAG files read the number of shards when they are imported.
READ_SCORE = """
from dags.score import score_churn as dag
for task in dag.topological_sort():
    mapped = len(task.op_kwargs_expand_input.value["shard_number"]) if task.is_mapped else 0
    print(task.task_id, mapped, task.pool, *sorted(task.upstream_task_ids))
"""


@pytest.mark.parametrize(
    ("shards", "expected"),
    [
        ("1", ["train 0 cores", "publish 0 cores train"]),
        ("7", ["train 0 cores", "score 7 cores train", "publish 0 cores score"]),
    ],
)
def test_scoring_fans_out_over_as_many_shards_as_are_set(
    shards: str, expected: list[str], tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", READ_SCORE],
        cwd=REPOSITORY,
        env=os.environ | {"PERENNIAL_SHARDS": shards, "AIRFLOW_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-len(expected) :] == expected


def test_training_asks_for_its_date_and_starts_nothing_by_itself(bag: dict[str, Any]) -> None:
    for question in contracts.trained():
        dag = bag["dags"][f"train_{question}"]
        assert {"training_date", "reason"} <= set(dag["params"])
        assert dag["timetable"] == "NullTimetable"
        assert dag["tasks"]["contest"]["pool"] == HEAVY_POOL
        assert dag["tasks"]["approve"]["upstream"] == ["contest"]
        assert dag["tasks"]["record_answer"]["upstream"] == ["approve", "contest"]


def test_nobody_is_erased_without_an_answer(bag: dict[str, Any]) -> None:
    dag = bag["dags"]["erase_customer"]
    assert {"customer_id", "reason", "dry_run"} <= set(dag["params"])
    assert dag["timetable"] == "NullTimetable"
    assert dag["tasks"]["approve"]["upstream"] == ["preview_erasure"]
    assert dag["tasks"]["erase"]["upstream"] == ["approve", "preview_erasure"]


def test_features_are_let_out_by_their_gate_alone(bag: dict[str, Any]) -> None:
    emitters = {
        outlet: f"{dag_id}.{task_id}"
        for dag_id, dag in bag["dags"].items()
        for task_id, task in dag["tasks"].items()
        for outlet in task["outlets"]
    }
    expected = {
        "raw": "land.gate_raw",
        "features": "build_warehouse.gate_features",
        "reporting": "report.check_delivery",
    }
    expected |= {f"scores/{q}": f"score_{q}.publish" for q in contracts.questions()}
    assert emitters == expected
