"""Once all questions of a date are published: read every reporting view as a BI tool would.

**Impact** tier 2: analysts can read the views all the same; this checks that the date is there.

**If a task fails** its log names the view that lacks the date, or that `bi_reader` may not read.
Clear the question's DAG for the date, or grant the missing right; then clear this task.

**Owner** data-platform
"""

from airflow.sdk import AssetAll, PartitionedAssetTimetable, chain, dag, task

from dags.shared.assets import REPORTING, SCORES
from dags.shared.defaults import dag_defaults
from dags.shared.run import Run


@dag(
    schedule=PartitionedAssetTimetable(assets=AssetAll(*SCORES.values())),
    doc_md=__doc__,
    **dag_defaults("impact:tier-2", "step:report"),
)
def report():
    @task(outlets=[REPORTING])
    def check_delivery() -> dict:
        from oncall.delivery import check_delivery

        run = Run()
        return check_delivery(run.settings, run.as_of_date)

    @task
    def clean_superseded() -> dict:
        from ml_tasks.engine.cleanup import clean_superseded

        return clean_superseded(Run().settings)

    @task
    def expire_vault() -> dict:
        from privacy.vault import expire_vault

        return expire_vault(Run().settings)

    @task
    def expire_old() -> dict:
        from perennial.retention import expire_old

        return expire_old(Run().settings)

    chain(check_delivery(), clean_superseded(), expire_vault(), expire_old())


report()
