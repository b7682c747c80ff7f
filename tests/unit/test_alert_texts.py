"""What an alert says: the failure in words, and nothing of anybody's data."""

from dataclasses import dataclass, field, replace
from datetime import date
from types import SimpleNamespace

import psycopg
import pytest
from airflow.sdk.exceptions import AirflowException

from dags.shared.alerts import Failure, cause_of, compose, only_mirrors_dbt, stale_views
from perennial.settings import Settings, SettingsError

FAILURE = Failure(
    dag_id="score_churn",
    task_id="publish",
    run_id="manual__2024-03-01T05:00:00+00:00",
    as_of_date=date(2024, 3, 1),
    owner="data-platform",
    cause="GateFailed: 3 of 100 rows outside [0, 1]",
)


@dataclass
class TaskInstance:
    dag_id: str = "score_churn"
    task_id: str = "publish"
    run_id: str = "manual__1"
    map_index: int | None = None


@dataclass
class FakeContext:
    ti: TaskInstance = field(default_factory=TaskInstance)
    partition_key: str | None = "2024-03-01"
    exception: BaseException | None = None

    def as_airflow_gives_it(self):
        return {
            "ti": self.ti,
            "task": SimpleNamespace(owner="data-platform"),
            "dag_run": SimpleNamespace(partition_key=self.partition_key),
            "exception": self.exception,
        }


def test_alert_tells_what_where_when_why_who_and_what_to_do():
    subject, body = compose(FAILURE, Settings(airflow_port=9090))
    assert subject == "Perennial: score_churn.publish failed for 2024-03-01"
    assert body.splitlines() == [
        "DAG: score_churn",
        "Task: publish",
        "Date: 2024-03-01",
        "Cause: GateFailed: 3 of 100 rows outside [0, 1]",
        "Owner: data-platform",
        "Not refreshed: "
        + ", ".join(stale_views("score_churn"))
        + " (they keep the date that was published last)",
        "Run: http://127.0.0.1:9090/dags/score_churn/runs/"
        "manual__2024-03-01T05%3A00%3A00%2B00%3A00/tasks/publish",
        "What to do: docs/runbook.md, section publish",
    ]


@pytest.mark.parametrize(
    ("task_id", "error", "expected"),
    [
        (
            "dbt.fct_orders.run",
            AirflowException(
                "dbt model 'model.perennial.fct_orders' failed. "
                "Review the producer task 'dbt.dbt_producer_watcher' logs for details."
            ),
            True,
        ),
        (
            "dbt.dbt_producer_watcher",
            AirflowException("dbt invocation completed: fct_orders"),
            False,
        ),
        ("dbt.dbt_producer_watcher", AirflowException("dbt.dbt_producer_watcher was lost"), False),
        ("dbt.fct_orders.run", AirflowException("dbt command failed"), False),
        ("dbt.fct_orders.run", None, False),
    ],
)
def test_broken_dbt_build_is_told_once_and_not_by_every_model(task_id, error, expected):
    context = FakeContext(ti=TaskInstance(task_id=task_id), exception=error).as_airflow_gives_it()
    assert only_mirrors_dbt(context) is expected


def test_link_leads_to_where_people_reach_airflow():
    settings = Settings(alert_base_url="https://airflow.example.org/shop/")
    _, body = compose(replace(FAILURE, run_id="a", map_index=3), settings)
    link = "https://airflow.example.org/shop/dags/score_churn/runs/a/tasks/publish/mapped/3"
    assert f"Run: {link}" in body.splitlines()


def test_dbt_model_points_to_the_dbt_section():
    failure = replace(FAILURE, dag_id="build_warehouse", task_id="dbt.fct_orders.run")
    assert (
        "What to do: docs/runbook.md, section dbt" in compose(failure, Settings())[1].splitlines()
    )


def test_question_holds_up_its_own_views_and_those_that_join_all():
    stale = stale_views("score_survival")
    assert {"reporting.survival", "reporting.survival_curves", "reporting.customer_360"} <= set(
        stale
    )
    assert not {"reporting.churn", "reporting.demand", "reporting.clv_history"} & set(stale)
    assert "reporting.scores_freshness" not in stale  # it tells that they are stale


@pytest.mark.parametrize("dag_id", ["land", "build_warehouse"])
def test_what_comes_before_the_questions_holds_up_all_views(dag_id):
    everything = {"churn", "clv", "survival", "survival_curves", "demand", "customer_360"}
    assert {f"reporting.{view}" for view in everything} <= set(stale_views(dag_id))


def test_report_holds_up_nothing():
    assert stale_views("report") == stale_views("train_churn") == []
    body = compose(replace(FAILURE, dag_id="report"), Settings())[1]
    assert "Not refreshed: nothing: no reporting view waits for this step" in body.splitlines()


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        pytest.param(
            ValueError("could not convert string to float: 'Mrs Miller'\nline two"),
            "ValueError: could not convert string to float: '***'",
            id="a value in Python's message, and only the first line",
        ),
        pytest.param(
            psycopg.errors.InvalidTextRepresentation('invalid input syntax for type date: "SW1A"'),
            "InvalidTextRepresentation: invalid input syntax for type date: '***'",
            id="a value in the database's message",
        ),
        pytest.param(
            psycopg.errors.UniqueViolation(
                'duplicate key value violates unique constraint "dim_customers_pkey"\n'
                "DETAIL:  Key (customer_id)=(17850) already exists."
            ),
            'UniqueViolation: duplicate key value violates unique constraint "dim_customers_pkey"',
            id="a constraint's name stays, the key goes",
        ),
        pytest.param(
            ConnectionError("postgresql://loader:s3cret@127.0.0.1:5432/warehouse is down"),
            "ConnectionError: postgresql://***@127.0.0.1:5432/warehouse is down",
            id="a password in a URL",
        ),
        pytest.param(
            RuntimeError("login failed, password=hunter2 token: abc123"),
            "RuntimeError: login failed, password=*** token: ***",
            id="a password and a token by name",
        ),
        pytest.param(
            SettingsError("unknown SOURCE 'shopware': ask jane.doe@example.org"),
            "SettingsError: unknown SOURCE 'shopware': ask ***",
            id="our own error keeps its words, but no address",
        ),
        pytest.param(
            AirflowException("dbt model 'model.perennial.fct_orders' failed on 'Mrs Miller'"),
            "AirflowException: dbt model 'model.perennial.fct_orders' failed on '***'",
            id="the name of a model stays",
        ),
        pytest.param(KeyError("17850"), "KeyError: '***'", id="nothing but a value"),
        pytest.param(AssertionError(), "AssertionError", id="no message"),
        pytest.param(
            None,
            "the process ended without a word: killed, out of memory, or its machine was lost",
            id="no exception at all",
        ),
    ],
)
def test_cause_is_the_first_line_without_values_or_secrets(error, expected):
    assert cause_of(error) == expected


def test_own_error_that_repeats_another_masks_it():
    cause = ValueError("could not convert string to float: 'Mrs Miller'")
    error = SettingsError(f"scores.churn can't be 'checked': {cause}")
    error.__cause__ = cause
    assert cause_of(error) == (
        "SettingsError: scores.churn can't be 'checked': "
        "ValueError: could not convert string to float: '***'"
    )


def test_long_cause_is_cut():
    assert len(cause_of(RuntimeError("x" * 5_000))) < 450


def test_failure_is_read_from_airflows_context():
    context = FakeContext(exception=SettingsError("no such file")).as_airflow_gives_it()
    assert Failure.from_context(context) == Failure(
        dag_id="score_churn",
        task_id="publish",
        run_id="manual__1",
        as_of_date=date(2024, 3, 1),
        owner="data-platform",
        cause="SettingsError: no such file",
    )


def test_killed_task_has_no_run_and_no_exception_and_is_told_all_the_same():
    failure = Failure.from_context({"ti": TaskInstance(), "task": None})
    subject, body = compose(failure, Settings())
    assert subject == "Perennial: score_churn.publish failed for a date that is not known"
    assert "Cause: the process ended without a word" in body


@pytest.mark.parametrize("key", [None, "", "tomorrow"])
def test_run_without_a_date_is_told_all_the_same(key):
    context = FakeContext(partition_key=key).as_airflow_gives_it()
    assert (
        "failed for a date that is not known"
        in compose(Failure.from_context(context), Settings())[0]
    )
