"""dbt as a task group: one `dbt build`, and a task per model that shows how it went."""

from airflow.sdk import TaskGroup, get_current_context
from cosmos import DbtTaskGroup, ExecutionConfig, ProfileConfig, ProjectConfig, RenderConfig
from cosmos.constants import (
    PRODUCER_WATCHER_TASK_ID,
    ExecutionMode,
    LoadMode,
    TestBehavior,
)

from dags.shared.pools import HEAVY_POOL
from dags.shared.run import Run
from perennial.dbt import manifest_of_dags, test_data, variables
from perennial.settings import DBT_PROJECT, Settings

settings = Settings()

# The key goes into SQL: what is no date stops here.
AS_OF_DATE = "{{ macros.datetime.strptime(dag_run.partition_key, '%Y-%m-%d').date() }}"

GROUP = "dbt"
PRODUCER = f"{GROUP}.{PRODUCER_WATCHER_TASK_ID}"


def dbt_build() -> TaskGroup:
    """Everything from staging to the reporting views, for the run's date."""
    return DbtTaskGroup(
        group_id=GROUP,
        project_config=ProjectConfig(
            dbt_project_path=DBT_PROJECT,
            manifest_path=manifest_of_dags(settings),
            install_dbt_deps=False,
        ),
        profile_config=ProfileConfig(
            profile_name="perennial",
            target_name="warehouse",
            profiles_yml_filepath=DBT_PROJECT / "profiles.yml",
        ),
        render_config=RenderConfig(
            load_method=LoadMode.DBT_MANIFEST,
            test_behavior=TestBehavior.NONE,  # no task a test: the one build runs them, see below
            exclude=["resource_type:exposure"],
            emit_datasets=False,  # what follows waits for the gate, not for a model
        ),
        execution_config=ExecutionConfig(
            execution_mode=ExecutionMode.WATCHER,
            setup_operator_args={
                "pool": HEAVY_POOL,
                # data tests run with their models; unit tests test the code, in `make test`
                "dbt_cmd_flags": ["--resource-type", "test"],
            },
        ),
        operator_args={
            "vars": variables(settings, AS_OF_DATE),
            "install_deps": False,
        },
    )


def test_after_retry(run: Run) -> None:
    """Run the data tests if the one build did not.

    A build that is retried or cleared is skipped by Cosmos, which then builds model by model, and
    tests nothing.

    Raises:
        DbtError: If a test fails.
    """
    ti = get_current_context()["ti"]
    states = ti.get_task_states(dag_id=ti.dag_id, task_ids=[PRODUCER], run_ids=[ti.run_id])
    if states[ti.run_id][PRODUCER] == "skipped":
        test_data(run.settings, run.as_of_date)
