"""Arguments that all DAGs share: owner, tags, retries, limits."""

from datetime import datetime, timedelta
from typing import Any

from airflow.sdk import (
    AsyncCallback,
    DeadlineAlert,
    ExceptionRetryPolicy,
    RetryAction,
    RetryRule,
)

from dags.shared.alerts import alert, deadline_missed, run_failed, succeeded
from dags.shared.deadlines import FirstQueued
from oncall.alerts.causes import DATA_PLATFORM
from perennial.settings import Settings

_settings = Settings()

# Only a lost connection is retried, since it can recover by itself. A failed gate or a broken
# contract fails at once. Airflow retries a killed process in any case.
ONLY_LOST_CONNECTIONS = ExceptionRetryPolicy(
    rules=[
        RetryRule(
            exception="psycopg.OperationalError",
            action=RetryAction.RETRY,
            reason="the warehouse could not be reached or cut the connection",
        )
    ],
    default=RetryAction.FAIL,
)

TASK_DEFAULTS: dict[str, Any] = {
    "owner": DATA_PLATFORM,
    # 20 to 40 s, then 1 to 2 min, then 3 to 5 min: a slow restart of Airflow's API server takes
    # minutes, and a try during the restart fails
    "retries": 3,
    "retry_delay": timedelta(seconds=20),
    "retry_exponential_backoff": 3.0,
    "max_retry_delay": timedelta(minutes=5),
    "retry_policy": ONLY_LOST_CONNECTIONS,
    "on_failure_callback": alert,
    "on_success_callback": succeeded,
}


def dag_defaults(
    impact: str, step: str, waits: timedelta = timedelta(0), dates_at_once: int = 1
) -> dict[str, Any]:
    """Arguments of `@dag` for every DAG, with its two tags and a deadline.

    The deadline counts from the time at which a run was queued: runs have no logical date.

    Args:
        impact: One of IMPACTS in tags.py.
        step: One of STEPS in tags.py.
        waits: Maximum time for which a run may wait for a person.
        dates_at_once: Maximum number of concurrent runs.
    """
    late_after = timedelta(hours=_settings.due_hours) + waits
    return {
        "deadline": DeadlineAlert(
            reference=FirstQueued(),
            interval=late_after,
            callback=AsyncCallback(
                deadline_missed, kwargs={"hours": late_after.total_seconds() / 3600}
            ),
        ),
        "tags": [impact, step],
        "start_date": datetime(2000, 1, 1),
        "catchup": False,
        "max_active_runs": dates_at_once,
        "dagrun_timeout": timedelta(hours=6) + waits,
        "default_args": TASK_DEFAULTS,
        "on_failure_callback": run_failed,
        "is_paused_upon_creation": False,
    }
