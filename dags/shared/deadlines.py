"""The time from which a run's deadline counts."""

from datetime import datetime
from typing import Any, ClassVar

from airflow.sdk import BaseDeadlineReference


class FirstQueued(BaseDeadlineReference):
    """Time at which a run was first queued; clearing the run does not move its deadline.

    With Airflow's own DAGRUN_QUEUED_AT, clearing a failed run ends in an error (3.3.0 to 3.3.2,
    apache/airflow#70368), and clearing is the runbook's remedy for most failures.
    """

    required_kwargs: ClassVar = {"dag_id", "run_id"}

    def _evaluate_with(self, *, session: Any, dag_id: str, run_id: str) -> datetime | None:
        from airflow.models import DagRun
        from sqlalchemy import select

        of_run = (DagRun.dag_id == dag_id, DagRun.run_id == run_id)
        return session.scalar(select(DagRun.queued_at).where(*of_run))
