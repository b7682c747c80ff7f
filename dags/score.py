"""One DAG a question: the model of the date's training day, then scores, gate and publication.

With PERENNIAL_SHARDS above 1 the mapped task `score` runs between the two, once for each shard of
the customers or products, on any free worker; `publish` joins their rows. With one shard, `publish`
scores. A question with rules has no `train`. A question that needs files which the shop has not
sent is not offered: `publish` logs the reason and succeeds.

**Impact** tier 2: this question's reporting views keep their last good scores until it succeeds.

**If the gate fails** the rows were written but the pointer was not moved, so no reader sees them.
The log names the rule and counts the rows; `ops.gate_results` has every rule's result.

**If a task fails** clear it: a rerun makes the same rows and moves the pointer once. Rows that a
shard left behind are used; `publish` scores missing shards itself.

**Owner** data-platform
"""

from airflow.sdk import chain, dag, task

from dags.shared.alerts import alert_warnings
from dags.shared.assets import SCORES
from dags.shared.defaults import dag_defaults
from dags.shared.pools import hard
from dags.shared.run import Run
from dags.shared.shards import DATES_AT_ONCE, after_what_is_read, by_shard, if_trained
from perennial import contracts


def score_dag(question: str):
    """Make the DAG of a question; all differences come from the question's contract and folder."""

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
            return alert_warnings(published, run.context)

        chain(*if_trained(train, question), *by_shard(score, question), publish())

    return scoring()


for name in contracts.questions():  # docs/decisions/questions.md: one DAG per question
    globals()[f"score_{name}"] = score_dag(name)
