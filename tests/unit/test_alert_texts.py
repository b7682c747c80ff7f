"""Texts of alerts: the failure in words, without anybody's data."""

from __future__ import annotations

import errno
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from types import SimpleNamespace

import psycopg
import pytest
from airflow.sdk.exceptions import AirflowException

from dags.shared.alerts import Seen, failure, only_mirrors_dbt
from oncall.alerts import killed
from oncall.alerts.causes import Cause, Incident, owner_of, stale_views
from oncall.alerts.messages import body_of, end_of, subject_of
from oncall.alerts.words import (
    DISK_FULL,
    NO_CONNECTION,
    NO_MEMORY,
    WAREHOUSE_GONE,
    cause_of,
    fingerprint,
    shared_cause,
    table_in,
)
from perennial.settings import Settings, SettingsError

MORNING = datetime(2024, 3, 1, 5, 3, tzinfo=UTC)


class GateFailed(RuntimeError):
    __module__ = "expectations.results"  # one of our own errors: its text is shown


class CosmosDbtRunError(AirflowException):
    __module__ = "cosmos.exceptions"


@dataclass
class TaskInstance:
    dag_id: str = "score_churn"
    task_id: str = "publish"
    run_id: str = "manual__1"
    map_index: int | None = None
    try_number: int = 3


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


def incident(cause: Cause, **fields) -> Incident:
    """The incident as stored at its first occurrence."""
    given = {
        "incident_id": 1,
        "cause": cause.key,
        "kind": cause.kind,
        "severity": cause.severity,
        "title": cause.title,
        "summary": cause.summary,
        "owner": cause.owner,
        "runbook_entry": cause.entry,
        "table_name": cause.table,
        "steps": [cause.step],
        "first_bad_date": cause.as_of_date,
        "last_bad_date": cause.as_of_date,
        "run_id": cause.run_id,
        "seen_count": 1,
        "opened_at": MORNING,
        "last_seen_at": MORNING,
        "last_told_at": MORNING,
    }
    return Incident(**given | fields)


def failed(error: BaseException | None, **task) -> Cause:
    context = FakeContext(ti=TaskInstance(**task), exception=error).as_airflow_gives_it()
    return failure(context, Settings(airflow_port=9090))


GATE = GateFailed(
    "gate scores stopped the run, 1 rules: [critical] scores.churn.churn_probability_90d: "
    "expect_column_values_to_be_between(min_value=0, max_value=1); found: 3 of 100 rows break it"
)


def test_alert_has_what_when_whose_and_what_to_do():
    cause = failed(GATE, run_id="manual__2024-03-01T05:00:00+00:00")
    assert subject_of(cause) == (
        "Perennial critical: score_churn.publish failed for 2024-03-01 (data-platform)"
    )
    last_good = {"churn": date(2024, 2, 1), "clv": date(2024, 3, 1), "demand": date(2024, 3, 1)}
    assert body_of([(cause, incident(cause))], 0, last_good).splitlines() == [
        f"GateFailed: {GATE}",
        "",
        "Table: scores.churn",
        "First bad date: 2024-03-01",
        "Owner: data-platform",
        "Blocks: reporting.churn, reporting.churn_reasons, reporting.customer_360 "
        "(readers still see the last good date)",
        "Last good: clv, demand 2024-03-01; churn 2024-02-01",
        "Look at: http://127.0.0.1:9090/dags/score_churn/runs/"
        "manual__2024-03-01T05%3A00%3A00%2B00%3A00/tasks/publish",
        "What to do: docs/runbook.md#publish",
    ]


def test_a_cause_that_stays_has_since_when_and_how_often():
    cause = failed(GATE)
    seen = incident(cause, seen_count=12, steps=["score_churn.publish", "score_clv.publish"])
    body = body_of([(cause, seen)], 2, None)
    assert (
        "  open since 2024-03-01 05:03 UTC, seen 12 times, by score_churn.publish, "
        "score_clv.publish" in body.splitlines()
    )
    assert "(2 more, reported before and still open)" in body
    assert "Last good: not known: the warehouse does not answer" in body


def test_recovery_has_what_is_over_and_how_long_it_was():
    cause = failed(GATE)
    over = incident(cause, seen_count=3, closed_at=datetime(2024, 3, 1, 9, 4, tzinfo=UTC))
    assert end_of([over], "recovered", date(2024, 3, 2)) == (
        "Perennial recovered: score_churn.publish failed (data-platform)",
        "score_churn.publish failed: over after 4 h, seen 3 times, first bad date 2024-03-01\n"
        "It succeeded for 2024-03-02.",
    )


@pytest.mark.parametrize(
    "other",
    [
        pytest.param({"run_id": "scheduled__2"}, id="another run"),
        pytest.param(
            {"error": GateFailed(str(GATE).replace("3 of 100", "17 of 2,412"))}, id="rows"
        ),
    ],
)
def test_the_same_cause_has_the_same_key(other):
    error = other.pop("error", GATE)
    assert failed(error, **other).key == failed(GATE).key


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(
            GateFailed(str(GATE).replace("probability_90d", "percentile_90d")), id="column"
        ),
        pytest.param(GateFailed(str(GATE).replace("scores.churn", "scores.clv")), id="table"),
        pytest.param(SettingsError(str(GATE)), id="kind of error"),
        pytest.param(None, id="killed"),
    ],
)
def test_another_cause_has_another_key(other):
    assert failed(other).key != failed(GATE).key
    assert failed(GATE, task_id="train").key != failed(GATE).key


def test_questions_that_fail_from_one_cause_share_its_key():
    keys = {
        failed(
            SettingsError(f"{question} has no snapshots of 2024-03-01 in features"),
            dag_id=f"score_{question}",
        ).key
        for question in ("churn", "clv", "survival", "demand")
    }
    assert len(keys) == 1


def raised_from(cause: BaseException) -> BaseException:
    error = RuntimeError("could not be scored")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (psycopg.OperationalError("connection failed: Connection refused"), WAREHOUSE_GONE),
        (psycopg.errors.AdminShutdown("terminating connection"), WAREHOUSE_GONE),
        (raised_from(psycopg.errors.CannotConnectNow("starting up")), WAREHOUSE_GONE),
        (CosmosDbtRunError("Database Error\n server closed the connection"), WAREHOUSE_GONE),
        (
            psycopg.OperationalError("FATAL:  sorry, too many clients already"),
            NO_CONNECTION,
        ),
        (
            psycopg.OperationalError(
                "connection failed: FATAL:  remaining connection slots are reserved for roles with"
            ),
            NO_CONNECTION,
        ),
        (psycopg.errors.DiskFull("could not extend file"), DISK_FULL),
        (OSError(errno.ENOSPC, "No space left on device"), DISK_FULL),
        (raised_from(MemoryError()), NO_MEMORY),
        (psycopg.errors.QueryCanceled("statement timeout"), None),
        (GATE, None),
        (None, None),
    ],
)
def test_what_every_step_stands_on_is_one_cause_wherever_it_shows(error, expected):
    assert shared_cause(error) == expected
    if expected:
        assert failed(error, task_id="train").key == failed(error, dag_id="land").key
        assert failed(error).entry == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "[critical] features.customer_snapshots.count_orders: rule",
            "features.customer_snapshots",
        ),
        ("no rows of 2024-03-01 in reporting.churn, reporting.clv", "reporting.churn"),
        ("unique_combination_fct_orders_order_id: Got 3 results", "marts.fct_orders"),
        ("Database Error in model customer_360 (models/reporting)", "reporting.customer_360"),
        ("no such file", None),
    ],
)
def test_the_table_is_named(text, expected):
    assert table_in(text) == expected


def test_owner_is_that_of_the_tables_dbt_group_else_of_the_dag():
    assert owner_of("reporting.customer_360", "data-platform") == "analytics"
    assert owner_of("reporting.churn", "data-platform") == "analytics"
    assert owner_of("scores.churn", "data-platform") == "data-platform"
    assert owner_of("features.customer_snapshots", "data-platform") == "data-platform"
    assert owner_of(None, "data-platform") == "data-platform"


def test_fingerprint_keeps_rules_and_drops_counts():
    text = "[warning] raw.orders: rule(max=5); found: 17 of 200 rows break it | [critical] x: y"
    assert fingerprint(text) == "[warning] raw.orders: rule(max=#) | [critical] x: y"


def rejects(reason: str, n: int) -> str:
    """The longest possible message of the gate of rejects on the n-th day."""
    where = "; ".join(f"product {letter * 40} ({n}% of {n},000)" for letter in "abc")
    rows = ", ".join(f"A{n}{i}...ZZ (orders_2024-05-{n}_north.csv line {n})" for i in range(3))
    return (
        f"intermediate.int_rejected_rows: {reason!r} rejects too much; found: {n} of {n},000 orders"
        f" ({n}.0%), {n},000.00 of {n}9,000.00 ({n}.1%) since 2024-04-{n}, most in {where} and 7"
        f" more. Remedy: write numbers without thousands separators; e.g. {rows}"
    )


def held(*batches_and_reasons: tuple[int, str]) -> GateFailed:
    text = " | ".join(rejects(reason, n) for n, reason in batches_and_reasons)
    n = batches_and_reasons[0][0]
    decide = f"`make accept BATCH={n}`, else `make refuse BATCH={n}`; then `make run` again"
    return GateFailed(f"batch {n} is held: {text}. If it is right, {decide}")


def test_too_many_rejects_of_a_reason_are_one_cause_each_day():
    one, other = rejects("price is no number", 11), rejects("price is no number", 12)
    assert fingerprint(one) == fingerprint(other)
    assert fingerprint(one) != fingerprint(rejects("customer is unknown", 11))
    assert table_in(one) == "intermediate.int_rejected_rows"
    both = [(n, reason) for n in (11,) for reason in ("price is no number", "no order_id")]
    assert failed(held(*both)).key == failed(held(*((12, reason) for _, reason in both))).key
    assert failed(held(*both)).key != failed(held(both[0])).key


def test_the_alert_of_a_held_batch_is_whole():
    error = held((11, "price is no number"), (11, "no order_id"), (11, "customer is unknown"))
    assert len(str(error)) > 1_200
    assert failed(error).summary == f"GateFailed: {error}"
    assert len(failed(SettingsError(str(error))).summary) < 500


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
def test_broken_dbt_build_is_alerted_once_and_not_by_every_model(task_id, error, expected):
    context = FakeContext(ti=TaskInstance(task_id=task_id), exception=error).as_airflow_gives_it()
    assert only_mirrors_dbt(context) is expected


def test_link_leads_to_where_people_reach_airflow():
    settings = Settings(alert_base_url="https://airflow.example.org/shop/")
    context = FakeContext(ti=TaskInstance(run_id="a", map_index=3)).as_airflow_gives_it()
    assert failure(context, settings).link == (
        "https://airflow.example.org/shop/dags/score_churn/runs/a/tasks/publish/mapped/3"
    )


def test_dbt_model_points_to_the_dbt_section():
    cause = failed(GATE, dag_id="build_warehouse", task_id="dbt.fct_orders.run")
    assert (cause.entry, cause.step) == ("dbt", "build_warehouse.dbt")


def test_question_holds_up_its_own_views_and_those_that_join_all():
    stale = stale_views("score_survival")
    assert {"reporting.survival", "reporting.survival_curves", "reporting.customer_360"} <= set(
        stale
    )
    assert not {"reporting.churn", "reporting.demand", "reporting.clv"} & set(stale)
    assert "reporting.scores_freshness" not in stale  # this view reports stale views
    assert "reporting.product_outlook" not in stale
    for question in ("products", "demand"):
        assert "reporting.product_outlook" in stale_views(f"score_{question}")


@pytest.mark.parametrize("dag_id", ["land", "build_warehouse"])
def test_what_comes_before_the_questions_holds_up_all_views(dag_id):
    everything = {"churn", "clv", "survival", "survival_curves", "demand", "customer_360"}
    assert {f"reporting.{view}" for view in everything} <= set(stale_views(dag_id))


def test_report_holds_up_nothing():
    for dag_id in ("report", "train_churn", "erase_customer"):
        assert stale_views(dag_id) == ()
    cause = failed(GATE, dag_id="report")
    assert "Blocks: nothing that readers see" in body_of([(cause, incident(cause))], 0, {})


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
            "the process ended without a word",
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
    assert Seen.from_context(context) == Seen(
        dag_id="score_churn",
        task_id="publish",
        run_id="manual__1",
        as_of_date=date(2024, 3, 1),
        owner="data-platform",
    )


def test_killed_task_without_run_and_exception_is_reported():
    cause = failure({"ti": TaskInstance(), "task": None}, Settings())
    assert subject_of(cause) == "Perennial critical: score_churn.publish failed (data-platform)"
    assert cause.summary.startswith("the process ended without a word")


BY_SIGNAL = (
    '{"event": "Process terminated by signal. Likely out of memory error (OOM). For more", '
    '"signal": -9, "signal_name": "SIGKILL"}\n'
)
GIVEN_UP = (
    '{"event": "Server indicated the task shouldn\'t be running anymore. Terminating process"}\n'
)


@pytest.mark.parametrize(
    ("log", "kernel", "expected"),
    [
        pytest.param(BY_SIGNAL, "oom_kill 0", "by somebody", id="killed, and memory was there"),
        pytest.param(BY_SIGNAL, "oom_kill 2", "ended 2 processes", id="killed, maybe for memory"),
        pytest.param(BY_SIGNAL, "", "most likely for want of memory", id="a kernel that is mute"),
        pytest.param(BY_SIGNAL.replace("KILL", "TERM"), "", "from outside (SIGTERM)", id="ended"),
        pytest.param(GIVEN_UP + BY_SIGNAL, "oom_kill 9", "API server", id="given up by Airflow"),
        pytest.param('{"event": "training"}', "oom_kill 9", "its supervisor", id="all at once"),
        pytest.param(None, "oom_kill 9", "try 3 never began", id="no log of this try"),
    ],
)
def test_why_a_process_ended_is_read_from_its_log_and_not_guessed(
    tmp_path, monkeypatch, log, kernel, expected
):
    monkeypatch.setattr(killed, "VMSTAT", tmp_path / "vmstat")
    (tmp_path / "vmstat").write_text(f"pgfault 1\n{kernel}\npgmajfault 7\n")
    settings = Settings(home=tmp_path)
    path = killed.log_file(settings, TaskInstance())
    path.parent.mkdir(parents=True)
    if log is not None:
        path.write_text(log)
    text = failure({"ti": TaskInstance(), "task": None}, settings).summary
    assert expected in text
    assert ("memory" in text) == (log == BY_SIGNAL)


@pytest.mark.parametrize("key", [None, "", "tomorrow"])
def test_run_without_a_date_is_reported(key):
    context = FakeContext(partition_key=key).as_airflow_gives_it()
    cause = failure(context, Settings())
    assert cause.as_of_date is None
    assert "First bad date" not in body_of([(cause, incident(cause))], 0, {})
