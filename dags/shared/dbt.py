"""dbt as a task group: one `dbt build`, and a task per model that shows the model's state."""

from airflow.sdk import TaskGroup
from cosmos import DbtTaskGroup, ExecutionConfig, ProfileConfig, ProjectConfig, RenderConfig
from cosmos.constants import (
    ExecutionMode,
    LoadMode,
    TestBehavior,
)

from dags.shared.dbt_tasks import take_over
from dags.shared.pools import hard
from perennial import dbt
from perennial.settings import DBT_PROJECT, Settings

settings = Settings()

# The key goes into SQL; strptime raises unless it is a date.
PARTITION_DATE = "{{ macros.datetime.strptime(dag_run.partition_key, '%Y-%m-%d').date() }}"

GROUP = "dbt"


def dbt_build() -> TaskGroup:
    """Task group that builds all models, staging to reporting, for the run's date."""
    group = DbtTaskGroup(
        group_id=GROUP,
        project_config=ProjectConfig(
            dbt_project_path=DBT_PROJECT,
            manifest_path=dbt.manifest_of_dags(settings),
            install_dbt_deps=False,
        ),
        profile_config=ProfileConfig(
            profile_name=dbt.PROFILE,
            target_name=dbt.TARGET,
            profiles_yml_filepath=DBT_PROJECT / "profiles.yml",
        ),
        render_config=RenderConfig(
            load_method=LoadMode.DBT_MANIFEST,
            test_behavior=TestBehavior.NONE,  # no task per test: the build runs them, see below
            exclude=["resource_type:exposure"],
            emit_datasets=False,  # later DAGs wait for the gate, not for a model
        ),
        execution_config=ExecutionConfig(
            execution_mode=ExecutionMode.WATCHER,
            setup_operator_args={
                **hard("build"),
                # data tests run with their models; dbt's unit tests run in `make test`
                "dbt_cmd_flags": ["--resource-type", "test"],
            },
        ),
        operator_args={
            "env": dbt.variables(settings) | {dbt.AS_OF_DATE: PARTITION_DATE},
            "install_deps": False,
        },
    )
    take_over(group)
    return group
