"""Guess from Airflow's state why a date is missing. That it is missing is decided by the data."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

from oncall.airflow_api import AirflowError, Api, base_url, chain_of_dags, health
from perennial.settings import Settings, SettingsError

AT_WORK = ("running", "queued")


def likely_cause(settings: Settings, due: date | None, now: datetime) -> str | None:
    """The likeliest reason in words; of several, the one nearest to the root.

    None if Airflow is healthy and no date is due: then its runs are not the reason.
    """
    parts = health(settings)
    if not parts:
        return f"Airflow does not answer at {base_url(settings)}"
    ill = [part for part, state in parts.items() if state != "healthy"]
    if ill:
        return f"Airflow's {', '.join(ill)} is not healthy"
    if due is None:
        return None
    try:
        api = Api(settings)
        paused = api.get("/dags", paused=True, limit=100)["dags"]
        runs = api.get("/dags/~/dagRuns", order_by="-run_after", limit=100)["dag_runs"]
    except (AirflowError, SettingsError) as error:
        return f"Airflow's API could not be queried ({type(error).__name__})"
    return _from_runs([dag["dag_id"] for dag in paused], runs, due, now, settings.due_hours)


def _from_runs(
    paused: list[str], runs: list[dict[str, Any]], due: date | None, now: datetime, hours: float
) -> str:
    """The likeliest reason from paused DAGs and runs (as the API returns them, newest first)."""
    stopped = sorted(dag_id for dag_id in paused if not dag_id.startswith("train_"))
    if stopped:
        return f"paused in Airflow: {', '.join(stopped)}"
    of_date = [run for run in runs if (run["partition_key"] or _typed(run)) == str(due)]
    failed = sorted({run["dag_id"] for run in of_date if run["state"] == "failed"})
    if failed:
        return f"failed for {due}: {', '.join(failed)}"
    at_work = [run for run in of_date if run["state"] in AT_WORK]
    if at_work:
        run = at_work[-1]
        since = datetime.fromisoformat(run["start_date"] or run["queued_at"])
        hung = "hangs" if now - since > timedelta(hours=hours) else "is at work"
        return f"{run['dag_id']} {hung}, since {since:%Y-%m-%d %H:%M} UTC"
    absent = set(chain_of_dags()) - {run["dag_id"] for run in of_date}
    first = next((dag_id for dag_id in chain_of_dags() if dag_id in absent), None)
    if first:
        return f"{first} never ran for {due}: the event that starts it is missing"
    return f"all runs of {due} succeeded: what they published was deleted"


def _typed(run: dict[str, Any]) -> str | None:
    """The date from the form of `land`, which does not become the partition key."""
    return (run.get("conf") or {}).get("as_of_date")
