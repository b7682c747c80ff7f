"""What starts a landing: the clock, the sample shop's next day, or only a person.

The schedule is off unless somebody turned it on (PERENNIAL_SCHEDULE): orders of 2011 must not be
scored for today at midnight.
"""

from datetime import datetime
from typing import Any

from airflow.sdk import CronPartitionTimetable, CronTriggerTimetable, PartitionedAssetTimetable

from dags.shared.assets import SAMPLE_DAY
from perennial.settings import LANDING_HOUR, SAMPLE_SHOP, Settings
from perennial.shop import own

EARLY_MORNING = f"0 {LANDING_HOUR} * * *"
MONDAY_MORNING = "0 7 * * 1"

# The clock starts no run after this day; runs by hand and backfills don't ask for it.
BEFORE_ANY_RUN = datetime(2000, 1, 1)

_settings = Settings()


def landing() -> dict[str, Any]:
    """Arguments of the DAG that lands: its schedule, and until when the clock starts it."""
    if _settings.schedule == "on" and _settings.source == SAMPLE_SHOP:
        return {"schedule": PartitionedAssetTimetable(assets=SAMPLE_DAY)}
    each_day = CronPartitionTimetable(
        EARLY_MORNING, timezone=own(_settings).time_zone, key_format="%Y-%m-%d"
    )
    until = None if _settings.schedule == "on" else BEFORE_ANY_RUN
    return {"schedule": each_day, "end_date": until}


def training() -> CronTriggerTimetable | None:
    """Schedule of the DAGs that train: after Monday's landing, whose date is a week's first."""
    if _settings.schedule == "off":
        return None
    return CronTriggerTimetable(MONDAY_MORNING, timezone=own(_settings).time_zone)


def sample_day() -> str | None:
    """Cron of the DAG that makes the sample shop's next day."""
    return EARLY_MORNING if _settings.schedule == "on" else None
