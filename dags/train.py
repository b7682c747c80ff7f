"""One DAG a question: train a challenger and compare it with the champion.

Challenger, champion and baseline are compared on the same past cuts, which no model has seen. A
clearly better challenger is promoted; a clearly worse one is kept as a version and not used. In
between, the task `approve` shows the figures and waits for a person; without an answer within five
days the champion stays. `ops.champions` has every decision, with person and reason;
`make rollback QUESTION= WHY=` undoes the newest.

**Impact** tier 2: the present champion scores until this succeeds, and while it waits.

**If a task fails** clear it: a challenger is trained once, and a decision is recorded once.

**By hand** `training_date`: the challenger is trained on what was known by then; empty: the newest
date with new training rows (Mondays for demand, else firsts of months). The clock starts it on
Mondays, only with SCHEDULE=on.

**Owner** data-platform
"""

from airflow.sdk import Param, chain, dag, task

from dags.shared.approval import RESPONSE_TIMEOUT, approval
from dags.shared.defaults import dag_defaults
from dags.shared.pools import hard
from dags.shared.run import Run
from dags.shared.schedules import training
from perennial import contracts


def train_dag(question: str):
    """Make the DAG of a question; all differences come from the question's folder."""

    @dag(
        dag_id=f"train_{question}",
        schedule=training(),
        params={
            "training_date": Param(
                None,
                type=["null", "string"],
                format="date",
                title="Training date",
                description_md="The model is trained on what was known by then. Empty: the newest.",
            ),
            "reason": Param(
                None,
                type=["null", "string"],
                maxLength=500,
                title="Reason",
                description_md="Kept in `ops`. May be left empty.",
            ),
        },
        doc_md=f"{contracts.load(question).description}\n\n{__doc__}",
        **dag_defaults("impact:tier-2", "step:train", waits=RESPONSE_TIMEOUT),
    )
    def train():
        @task(**hard("contest"))
        def contest() -> dict:
            from ml_tasks.models.challenge import contend

            run = Run()
            return contend(run.settings, question, run.training_date, run.params["reason"] or "")

        @task
        def record_answer(outcome: dict, answer: dict) -> dict:
            from ml_tasks.models.challenge import answered

            return answered(Run().settings, outcome, answer)

        outcome = contest()
        approve = approval("contest")
        chain(outcome, approve, record_answer(outcome, approve.output))

    return train()


for name in contracts.trained():
    globals()[f"train_{name}"] = train_dag(name)
