"""Land the shop's files in raw, and accept them only if the gate of raw passes.

**Impact** tier 1: nothing is scored for this date until it succeeds. Published scores stay.

**If the gate fails** the batch is held: its log names the rule and counts the rows. Look at
`ops.gate_results` and `ops.rejected_lines`, then `make accept BATCH=` or `make refuse BATCH=`.

**If a task fails** clear it: a file lands once, by content, so a rerun adds nothing twice.

**By hand** `as_of_date`: the date to score; nothing of that day or later is read, and
`{as_of_date}` in `files` becomes that date. It may be given as the run's partition key instead, as
`make run`, the API and the clock do.

**Owner** data-platform
"""

from airflow.sdk import Param, dag, task

from dags.shared.alerts import alert_warnings
from dags.shared.assets import RAW
from dags.shared.defaults import dag_defaults
from dags.shared.run import Run, add_partition
from dags.shared.schedules import landing
from perennial.settings import Settings

settings = Settings()

WITHOUT_PASSWORD = "^(?!.*://[^/?#@]*:[^/?#]*@)"  # all users of the UI can read a run's parameters


@dag(
    schedule=landing(),
    params={
        "as_of_date": Param(
            None,
            type=["null", "string"],
            format="date",
            title="Date to score",
            description_md="Nothing of that day or later is read. Required unless the run has a "
            "partition key.",
        ),
        "files": Param(
            settings.files,
            type="string",
            title="Files",
            pattern=WITHOUT_PASSWORD,
            description_md="Path, folder, glob or URL; may contain `{as_of_date}`. "
            "`table:SCHEMA` takes tables that are in the warehouse already.",
        ),
    },
    doc_md=__doc__,
    **dag_defaults("impact:tier-1", "step:land"),
)
def land():
    @task
    def land_files() -> dict:
        from ingest.land import land

        run = Run()
        landing = land(run.settings, run.as_of_date, run.params["files"], run.run_id)
        return alert_warnings(landing.summary(), run.context)

    @task(outlets=[RAW])
    def gate_raw(landing: dict) -> dict:
        from expectations.raw import gate_raw

        run = Run()
        result = gate_raw(run.settings, landing["batch_id"], run.as_of_date, run.run_id)
        add_partition(RAW, run.as_of_date)  # a date from the form does not become a partition key
        return alert_warnings(result, run.context)

    gate_raw(land_files())


land()
