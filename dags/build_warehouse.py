"""Build staging, marts and features for one date with dbt; a gate lets them out.

**Impact** tier 1: no question is scored for this date until it succeeds. Published scores stay.

**If a dbt test fails** its task names the model; `ops` and the model's `*_rejected` sibling
have the rows. Tables that dbt had not reached yet keep their earlier rows.

**If a gate fails** its log names the rule, the table and the count; nothing after it has run. The
gate of rejects holds a batch if staging rejects too many of its orders or too much of its money;
the gate of days holds a batch with a day beyond all bounds: `make accept` or `make refuse`.

**If a task fails** clear it: each step replaces exactly its own rows, so a rerun is safe.

**Owner** data-platform
"""

from airflow.sdk import PartitionedAssetTimetable, chain, dag, task

from dags.shared.alerts import alert_warnings
from dags.shared.assets import FEATURES, RAW
from dags.shared.dbt import dbt_build
from dags.shared.defaults import dag_defaults
from dags.shared.run import Run


@dag(
    schedule=PartitionedAssetTimetable(assets=RAW),
    doc_md=__doc__,
    **dag_defaults("impact:tier-1", "step:build"),
)
def build_warehouse():
    @task
    def close_build() -> dict:
        from ingest.batches import close_build

        return close_build(Run().settings)

    @task
    def gate_rejects() -> dict:
        from expectations.rejects import gate_rejects

        run = Run()
        return alert_warnings(gate_rejects(run.settings, run.as_of_date, run.run_id), run.context)

    @task
    def gate_days() -> dict:
        from expectations.days import gate_days

        run = Run()
        return alert_warnings(gate_days(run.settings, run.as_of_date, run.run_id), run.context)

    @task(outlets=[FEATURES])
    def gate_features() -> dict:
        from expectations.features import gate_features

        run = Run()
        return alert_warnings(gate_features(run.settings, run.as_of_date, run.run_id), run.context)

    chain(dbt_build(), close_build(), gate_rejects(), gate_days(), gate_features())


build_warehouse()
