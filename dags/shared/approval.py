"""A person decides: between two models that the figures don't tell apart, or on an erasure."""

from datetime import timedelta
from typing import Any

from airflow.providers.standard.operators.hitl import ApprovalOperator, HITLOperator
from airflow.sdk import Param

from dags.shared.alerts import tell_waiting

# Shorter than the week to the next training; then the champion is kept.
RESPONSE_TIMEOUT = timedelta(days=5)
WAITING = "waiting"


class Approval(ApprovalOperator):
    """Waits if an earlier task has something to ask, else ends at once.

    What follows runs whatever the answer: it records who gave it. So a rejection skips nothing.
    """

    def __init__(self, *, asking_task: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.asking_task = asking_task

    def execute(self, context: Any) -> Any:
        """Ask, and tell that there is a question; nothing to ask: nothing to wait for."""
        outcome = context["ti"].xcom_pull(task_ids=self.asking_task)
        if outcome["decision"] != WAITING:
            return {}
        if context["ti"].try_number == 1:  # a retry asks again, and tells nobody twice
            tell_waiting(outcome, context)
        return super().execute(context)

    def execute_complete(self, context: Any, event: dict[str, Any]) -> Any:
        """The answer, as a dict for what follows."""
        answer = HITLOperator.execute_complete(self, context, event)
        user = answer["responded_by_user"] or {}
        return {
            "is_approved": answer["chosen_options"] == [self.APPROVE],
            "who": user.get("name") or user.get("id") or "",
            "why": (answer["params_input"] or {}).get("why") or "",
        }


def approval(asking_task: str) -> Approval:
    """The task `approve`: shows what the asking task found, and rejects if nobody answers."""
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
