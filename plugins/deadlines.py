"""Register the deadline reference: Airflow loads references from plugins only."""

from typing import ClassVar

from airflow.plugins_manager import AirflowPlugin

from dags.shared.deadlines import FirstQueued


class Deadlines(AirflowPlugin):
    """Perennial's deadline references."""

    name = "perennial_deadlines"
    deadline_references: ClassVar = [FirstQueued]
