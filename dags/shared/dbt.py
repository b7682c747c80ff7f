"""dbt as a task group: one `dbt build`, and a task per model that shows how it went."""

from airflow.sdk import TaskGroup
from cosmos import DbtTaskGroup, ExecutionConfig, ProfileConfig, ProjectConfig, RenderConfig
from cosmos.constants import ExecutionMode, LoadMode, TestBehavior

from dags.shared.pools import HEAVY_POOL
from perennial.settings import DBT_PROJECT, Settings

settings = Settings()


def dbt_build() -> TaskGroup:
    """Everything from staging to the reporting views, for the run's date."""
    return DbtTaskGroup(
        group_id="dbt",
        project_config=ProjectConfig(
            dbt_project_path=DBT_PROJECT,
            manifest_path=settings.home / "dbt" / "manifest.json",
            install_dbt_deps=False,
        ),
        profile_config=ProfileConfig(
            profile_name="perennial",
            target_name="warehouse",
            profiles_yml_filepath=DBT_PROJECT / "profiles.yml",
        ),
        render_config=RenderConfig(
            load_method=LoadMode.DBT_MANIFEST,
            test_behavior=TestBehavior.BUILD,  # a model's task is red if its data tests are
            # unit tests test the code, and `make test` runs them; exposures do nothing
            exclude=["resource_type:unit_test", "resource_type:exposure"],
            emit_datasets=False,  # what follows waits for the gate, not for a model
        ),
        execution_config=ExecutionConfig(
            execution_mode=ExecutionMode.WATCHER,
            setup_operator_args={"pool": HEAVY_POOL},
        ),
        operator_args={
            "vars": {
                "source": settings.staging_source,
                "as_of_date": "{{ dag_run.partition_key }}",
                "time_zone": settings.time_zone,
                "currency": settings.currency,
            },
            "install_deps": False,
        },
    )
