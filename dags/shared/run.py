"""What a task knows of the run it belongs to."""

from datetime import date

from airflow.sdk import Asset, get_current_context

from perennial.settings import Settings


class Run:
    """The current run: its dates, its id, the settings."""

    def __init__(self) -> None:
        self.context = get_current_context()
        dag_run = self.context["dag_run"]
        self._dag_id, self._partition_key = dag_run.dag_id, dag_run.partition_key
        self.run_id = f"{dag_run.dag_id}/{dag_run.run_id}"
        self.params = self.context["params"]
        self.settings = Settings()

    @property
    def as_of_date(self) -> date:
        """The date that the run scores: its partition key.

        Raises:
            ValueError: If it was started without one.
        """
        if not self._partition_key:
            raise ValueError(
                f"{self._dag_id} was started without a partition key, so it has no date: "
                "trigger it with one (`make run AS_OF=2011-09-10`, or partition_key in the API)"
            )
        return date.fromisoformat(self._partition_key)

    @property
    def training_date(self) -> date | None:
        """The date that a training was started for by hand; None: whichever is newest."""
        text = self.params["training_date"]
        return date.fromisoformat(text) if text else None


def add_partition(asset: Asset, day: date) -> str:
    """Let the task's event of `asset` start what follows for `day`; returns the key."""
    get_current_context()["outlet_events"][asset].add_partitions(str(day))
    return str(day)
