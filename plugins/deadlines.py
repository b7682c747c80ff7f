"""Airflow takes a deadline's reference from a plugin."""

from typing import ClassVar

from airflow.plugins_manager import AirflowPlugin

from dags.shared.deadlines import FirstQueued


class Deadlines(AirflowPlugin):
    """Perennial's."""

    name = "perennial_deadlines"
    deadline_references: ClassVar = [FirstQueued]
