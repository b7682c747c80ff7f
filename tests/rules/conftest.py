"""Fixtures of the rules: the DAGs as Airflow parses them, the dbt project as dbt parses it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from perennial import sources
from perennial.settings import DBT_PROJECT, REPOSITORY

SOURCES = sources.available()

# Runs in a new process, because DAG files read their settings when they are imported.
READ_DAGS = """
import json, sys
from pathlib import Path
from airflow.dag_processing.dagbag import DagBag

bag = DagBag(dag_folder="dags")
heavy = sys.argv[1].split()
print(json.dumps({
    "errors": bag.import_errors,
    "heavy": [name for name in heavy if name in sys.modules],
    "dags": {
        dag_id: {
            "file": Path(dag.fileloc).name,
            "doc": dag.doc_md or "",
            "tags": sorted(dag.tags),
            "max_active_runs": dag.max_active_runs,
            "catchup": dag.catchup,
            "end_date": str(dag.end_date.date()) if dag.end_date else "",
            "params": {
                name: dag.params.get_param(name).schema.get("type") for name in dag.params
            },
            "timetable": type(dag.timetable).__name__,
            "deadline": [
                (late.reference.reference_name, late.callback.path) for late in dag.deadline or []
            ],
            "tells_failed_runs": bool(dag.on_failure_callback),
            "tasks": {
                task.task_id: {
                    "owner": task.owner,
                    "retries": task.retries,
                    "has_retry_policy": task.retry_policy is not None,
                    "alerts": bool(task.on_failure_callback),
                    "recovers": bool(task.on_success_callback),
                    "pool": task.pool,
                    "priority": task.priority_weight,
                    "weight_rule": str(task.weight_rule),
                    "operator": type(task).__name__,
                    "starts_from": task.start_from_trigger and task.start_trigger_args.trigger_cls,
                    "outlets": [outlet.name for outlet in task.outlets],
                    "upstream": sorted(task.upstream_task_ids),
                }
                for task in dag.tasks
            },
        }
        for dag_id, dag in bag.dags.items()
    },
}))
"""

# Libraries with a long import: none may load while a DAG file is parsed.
HEAVY = (
    "duckdb great_expectations lifelines matplotlib mlflow pandas sklearn statsmodels torch xgboost"
)


def dbt_environment(target: Path, source: str) -> dict[str, str]:
    """Environment for `dbt parse`, which connects to nothing."""
    return os.environ | {
        "PERENNIAL_DBT_SOURCE": source,
        "DBT_TARGET_PATH": str(target),
        "DBT_LOG_PATH": str(target / "logs"),
        "DO_NOT_TRACK": "1",
    }


class Manifests(dict[str, Path]):
    """Paths of each source's manifest, parsed on first use; deprecated syntax is an error."""

    def __init__(self, factory: pytest.TempPathFactory) -> None:
        super().__init__()
        self.factory = factory

    def __missing__(self, source: str) -> Path:
        target = self.factory.mktemp(source) / "dbt"
        command = [
            Path(sys.executable).parent / "dbt",
            "--warn-error",
            "parse",
            "--no-partial-parse",
        ]
        command += ["--project-dir", DBT_PROJECT, "--profiles-dir", DBT_PROJECT]
        done = subprocess.run(
            command,
            env=dbt_environment(target, source),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-3000:]
        self[source] = Path(shutil.copy(target / "manifest.json", target.parent))
        return self[source]


@pytest.fixture(scope="session")
def manifests(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The manifest of each source's dbt project."""
    return Manifests(tmp_path_factory)


@pytest.fixture(scope="session", params=SOURCES)
def manifest(request: pytest.FixtureRequest, manifests: dict[str, Path]) -> dict[str, Any]:
    """The contents of one source's manifest."""
    return json.loads(manifests[request.param].read_text())


@pytest.fixture(scope="session")
def bag(manifests: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The DAGs of the canonical form as Airflow parses them, after a dbt run was killed."""
    home = manifests["canonical"].parent
    (home / "dbt" / "manifest.json").write_text('{"nodes": ')
    done = subprocess.run(
        [sys.executable, "-c", READ_DAGS, HEAVY],
        cwd=REPOSITORY,
        env=os.environ
        | {
            "AIRFLOW_HOME": str(tmp_path_factory.mktemp("airflow")),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__COSMOS__ENABLE_TELEMETRY": "False",
            "PERENNIAL_HOME": str(home),
            "PERENNIAL_SOURCE": "canonical",
            "PERENNIAL_TRANSFORMER_PASSWORD": "parsing connects to nothing",
            "PYTHONPATH": str(REPOSITORY),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])
