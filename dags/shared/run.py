"""What a task knows of the run it belongs to."""

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
        # the day after, because it may have begun in the shop already
        self._last_day = dag_run.run_after.date() + timedelta(days=1)
        self.run_id = f"{dag_run.dag_id}/{dag_run.run_id}"
        self.params = self.context["params"]
        self.settings = Settings()

    @property
    def as_of_date(self) -> date:
        """The date that the run scores: its partition key, or what was typed into the form.

        Raises:
            ValueError: If it was started without one, or with two.
            SettingsError: If it is no date, or one whose orders can't be known yet.
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
        """The date that a training was started for by hand; None: whichever is newest."""
        text = self.params["training_date"]
        return self._day(text, "training_date") if text else None

    def _day(self, text: str, name: str) -> date:
        day = read_day(text, name)
        if day > self._last_day:
            raise SettingsError(f"{name}={text!r} is in the future: its orders can't be known yet")
        return day


def add_partition(asset: Asset, day: date) -> str:
    """Let the task's event of `asset` start what follows for `day`; returns the key."""
    get_current_context()["outlet_events"][asset].add_partitions(str(day))
    return str(day)
