"""Once a date is reported: compare past scores with what happened, where the horizon has ended.

**Impact** tier 2: `reporting.model_health` keeps its last figures; no score is changed.

**If it warns** a model did worse than its own backtest, beyond chance, or a group of customers is
served worse than the others: the message has figure, value and limit.

**If a task fails** clear it: a rerun computes the missing figures, as the same rows.

**Owner** data-platform
"""

from airflow.sdk import PartitionedAssetTimetable, dag, task

from dags.shared.alerts import alert_warnings
from dags.shared.assets import REPORTING
from dags.shared.defaults import dag_defaults
from dags.shared.pools import hard
from dags.shared.run import Run


@dag(
    schedule=PartitionedAssetTimetable(assets=REPORTING),
    doc_md=__doc__,
    **dag_defaults("impact:tier-2", "step:report"),
)
def lookback():
    @task(**hard("look_back"))
    def look_back() -> dict:
        from ml_tasks.lookback.run import look_back

        run = Run()
        return alert_warnings(look_back(run.settings, run.as_of_date, run.run_id), run.context)

    look_back()


lookback()
