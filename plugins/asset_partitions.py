"""Make one run of a DAG that waits for several assets, also if two of them change at once.

Airflow collects the events of a partition in one pending run. While it looks for that run, it locks
the changed asset only: two assets that change at the same moment find none and make two runs, of
which neither is ever complete, so the DAG never starts
(https://github.com/apache/airflow/issues/71070). Here a lock that is the same for all assets goes
first and lasts until the transaction ends. Remove it with the release that contains
https://github.com/apache/airflow/pull/71074.
"""

from typing import Any

from airflow.assets.manager import AssetManager
from airflow.plugins_manager import AirflowPlugin
from sqlalchemy import text

LOCK = text("select pg_advisory_xact_lock(hashtext('perennial asset partitions'))")

find_or_create = AssetManager._get_or_create_apdr.__func__


def find_or_create_locked(cls: type[AssetManager], **arguments: Any) -> Any:
    """Airflow's search for the pending run of a partition, one transaction after the other."""
    arguments["session"].execute(LOCK)
    return find_or_create(cls, **arguments)


if find_or_create.__name__ != find_or_create_locked.__name__:  # a plugin may be imported twice
    AssetManager._get_or_create_apdr = classmethod(find_or_create_locked)


class AssetPartitions(AirflowPlugin):
    """Perennial's lock of the search for a partition's pending run."""

    name = "perennial_asset_partitions"
