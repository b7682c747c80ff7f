"""The task in which a person decides: between two models of similar quality, or on an erasure."""

from datetime import timedelta
from typing import Any

from airflow.providers.standard.operators.hitl import ApprovalOperator, HITLOperator
from airflow.sdk import Param

from dags.shared.alerts import alert_waiting

# Less than the week to the next training. Without an answer the champion is kept.
RESPONSE_TIMEOUT = timedelta(days=5)
WAITING = "waiting"


class Approval(ApprovalOperator):
    """Waits for a person if an earlier task requests a decision, else ends at once.

    The next task runs after any answer and records the person. So a rejection skips no task.
    """

    def __init__(self, *, asking_task: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.asking_task = asking_task

    def execute(self, context: Any) -> Any:
        """Request approval and alert the owner; return at once when no decision is needed."""
        outcome = context["ti"].xcom_pull(task_ids=self.asking_task)
        if outcome["decision"] != WAITING:
            return {}
        if context["ti"].try_number == 1:  # a retry requests again, without a second alert
            alert_waiting(outcome, context)
        return super().execute(context)

    def execute_complete(self, context: Any, event: dict[str, Any]) -> Any:
        """Return the answer as `is_approved`, `who` and `why`."""
        answer = HITLOperator.execute_complete(self, context, event)
        user = answer["responded_by_user"] or {}
        return {
            "is_approved": answer["chosen_options"] == [self.APPROVE],
            "who": user.get("name") or user.get("id") or "",
            "why": (answer["params_input"] or {}).get("why") or "",
        }


def approval(asking_task: str) -> Approval:
    """Make the task `approve`: it shows the asking task's outcome; without an answer it rejects."""
    outcome = f"ti.xcom_pull(task_ids='{asking_task}')"
    return Approval(
        task_id="approve",
        asking_task=asking_task,
        subject=f"{{{{ {outcome}['subject'] }}}}",
        body=f"{{{{ {outcome}['body'] }}}}",
        defaults=Approval.REJECT,
        response_timeout=RESPONSE_TIMEOUT,
        params={
            "why": Param(
                None, type=["null", "string"], title="Why", description="Kept with the answer."
            )
        },
    )
