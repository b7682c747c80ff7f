"""Make the sample shop's next day, which lands and is scored. Only where SOURCE is the sample shop.

**Impact** tier 2: the sample shop has no new day until it succeeds.

**If a task fails** clear it: it continues from the newest day in the shop's files. A day that was
written before the failure lands with the next one; `make run AS_OF=` scores it by itself.

**Owner** data-platform
"""

from airflow.sdk import dag, task

from dags.shared.assets import SAMPLE_DAY
from dags.shared.defaults import dag_defaults
from dags.shared.run import add_partition
from dags.shared.schedules import sample_day as each_morning
from perennial.settings import SAMPLE_SHOP, Settings

settings = Settings()


@dag(schedule=each_morning(), doc_md=__doc__, **dag_defaults("impact:tier-2", "step:land"))
def sample_day():
    @task(outlets=[SAMPLE_DAY])
    def make_next_day() -> str:
        from ingest.sample_shop import write_next_day

        day = write_next_day(settings.files, settings.sample_seed, settings.sample_customers)
        return add_partition(SAMPLE_DAY, day)

    make_next_day()


if settings.source == SAMPLE_SHOP:
    sample_day()
