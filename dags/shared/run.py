"""The run that a task belongs to."""

from datetime import date, timedelta

from airflow.sdk import Asset, get_current_context

from perennial.days import read_day
from perennial.settings import Settings, SettingsError


class Run:
    """The current run: its dates, its id, the settings."""

    def __init__(self) -> None:
        self.context = get_current_context()
        dag_run = self.context["dag_run"]
        self._dag_id, self._partition_key = dag_run.dag_id, dag_run.partition_key
        # one day later than in UTC, since the day may have begun in the shop's time zone
        self._last_day = dag_run.run_after.date() + timedelta(days=1)
        self.run_id = f"{dag_run.dag_id}/{dag_run.run_id}"
        self.params = self.context["params"]
        self.settings = Settings()

    @property
    def as_of_date(self) -> date:
        """The date that the run scores: the partition key, or the date from the form.

        Raises:
            ValueError: If the run has no date, or two different ones.
            SettingsError: If the text is not a date, or the date is in the future.
        """
        key, typed = self._partition_key, self.params.get("as_of_date")
        if not key and not typed:
            raise ValueError(
                f"{self._dag_id} was started without a date: choose the date to score, "
                "as_of_date, in the form of `land` (or `make run AS_OF=2011-09-10`)"
            )
        if key and typed and key != typed:
            raise ValueError(f"as_of_date={typed!r} and partition key {key!r}: give one of the two")
        return self._day(key, "partition_key") if key else self._day(typed, "as_of_date")

    @property
    def training_date(self) -> date | None:
        """The training date from the form; None: the newest."""
        text = self.params["training_date"]
        return self._day(text, "training_date") if text else None

    def _day(self, text: str, name: str) -> date:
        day = read_day(text, name)
        if day > self._last_day:
            raise SettingsError(f"{name}={text!r} is in the future: its orders can't be known yet")
        return day


def add_partition(asset: Asset, day: date) -> str:
    """Add `day` as a partition key to the task's event of `asset`, and return the key.

    The event then starts the DAGs that wait for the asset, for that date.
    """
    get_current_context()["outlet_events"][asset].add_partitions(str(day))
    return str(day)
