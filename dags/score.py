"""One DAG a question: the model of the date's training day, then scores, gate and publication.

With PERENNIAL_SHARDS above 1 there is `score` between the two, a task a shard of the customers or
products, on whichever workers are free; `publish` joins their rows. With one, `publish` scores. A
question that has rules trains nothing. One that needs files which the shop has not sent is not
offered: `publish` says so and holds up nothing.

**Impact** tier 2: this question's reporting views keep their last good scores until it succeeds.

**If the gate fails** the rows were written but the pointer was not moved, so no reader sees them.
The log names the rule and counts the rows; `ops.gate_results` has every rule's result.

**If a task fails** clear it: a rerun makes the same rows and moves the pointer once. What a shard
left behind is used once; `publish` makes what is missing itself.

**Owner** data-platform
"""

from airflow.sdk import chain, dag, task

from dags.shared.alerts import tell_warnings
from dags.shared.assets import SCORES
from dags.shared.defaults import dag_defaults
from dags.shared.pools import hard
from dags.shared.run import Run
from dags.shared.shards import DATES_AT_ONCE, after_what_is_read, by_shard, if_trained
from perennial import contracts


def score_dag(question: str):
    """The DAG of one question; everything that differs comes from its contract and folder."""

    @dag(
        dag_id=f"score_{question}",
        schedule=after_what_is_read(question),
        doc_md=f"{contracts.load(question).description}\n\n{__doc__}",
        **dag_defaults("impact:tier-2", "step:score", dates_at_once=DATES_AT_ONCE),
    )
    def scoring():
        @task(**hard("train"))
        def train() -> dict:
            from ml_tasks.models.serving import ensure_model

            run = Run()
            return ensure_model(run.settings, question, run.as_of_date)

        @task(**hard("score"))
        def score(shard_number: int) -> dict:
            from ml_tasks.engine.scoring import score_shard

            run = Run()
            return score_shard(run.settings, question, run.as_of_date, run.run_id, shard_number)

        @task(**hard("publish"), outlets=[SCORES[question]])
        def publish() -> dict:
            from ml_tasks.engine.scoring import score_question

            run = Run()
            published = score_question(run.settings, question, run.as_of_date, run.run_id)
            return tell_warnings(published, run.context)

        chain(*if_trained(train, question), *by_shard(score, question), publish())

    return scoring()


for name in contracts.questions():  # docs/decisions/questions.md: one DAG per question
    globals()[f"score_{name}"] = score_dag(name)
