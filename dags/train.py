"""One DAG a question: a challenger is trained and contends with the champion.

It is compared with the champion and the baseline on the same past cuts, none of which the models
had seen. Clearly better: promoted. Clearly worse: kept as a version and not used. In between the
task `approve` shows the figures and waits for a person; no answer within five days keeps the
champion. `ops.champions` has every decision, with who and why; `make rollback QUESTION= WHY=`
undoes the newest.

**Impact** tier 2: the champion of before scores until this succeeds, and while it waits.

**If a task fails** clear it: a challenger is trained once, and a decision is recorded once.

**By hand** `training_date`: the challenger sees what was known by then; empty: the newest date that
there is something new to learn for (Mondays for demand, else firsts of months). The clock starts it
on Mondays, only with SCHEDULE=on.

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
    """The DAG of one question; everything that differs comes from its folder."""

    @dag(
        dag_id=f"train_{question}",
        schedule=training(),
        params={
            "training_date": Param(
                None,
                type=["null", "string"],
                format="date",
                title="Training date",
                description_md="What was known by then is learnt from. Empty: the newest.",
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
