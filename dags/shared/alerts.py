"""One alert for a task that failed for good: by Apprise to whoever is set up, and into ops.alerts.

Off while PERENNIAL_ALERT_URLS is empty; the row in ops.alerts is written all the same. An alert
carries no personal data and no secret: of an error it quotes the first line, with anything masked
that may be a value of somebody's row, a password or an address.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any
from urllib.parse import quote

import psycopg

from perennial import contracts
from perennial.settings import DBT_PROJECT, Settings, SettingsError
from perennial.warehouse import connect

log = logging.getLogger(__name__)

REPORTING = DBT_PROJECT / "models" / "reporting"
RUNBOOK = "docs/runbook.md"
DBT_BUILD_TASK = "dbt_producer_watcher"  # Cosmos' name for it
LONGEST_CAUSE = 400
# A permission, an unknown table, a broken constraint: values stand in the lines below the first.
TABLES_ERRORS = (psycopg.ProgrammingError, psycopg.IntegrityError)

# Our own errors are written to be shown: they name rules, tables and counts, never a row's values.
OWN_PACKAGES = {"perennial", "ingest", "expectations", "ml_tasks", "privacy", "dags", "local"}
MASK = "***"
SECRET = re.compile(r"(?i)\b(password|passwd|pwd|secret|token|api_?key)(\s*[=:]\s*)\S+")
CREDENTIALS = re.compile(r"://[^\s/@]*@")
ADDRESS = re.compile(r"[\w.+-]+@[\w-]+(\.[\w-]+)+")
QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
REFERENCE = re.compile(r"ref\(['\"](\w+)['\"]\)")
NAME = re.compile(r"['\"][a-z][a-z0-9]*([_.][a-z0-9_]+)+['\"]")  # of a task or a table


@dataclass(frozen=True)
class Failure:
    """A task that failed, as far as Airflow tells: of a killed one neither why nor for when."""

    dag_id: str
    task_id: str
    run_id: str
    as_of_date: date | None
    owner: str
    cause: str
    map_index: int = -1

    @classmethod
    def from_context(cls, context: Mapping[str, Any]) -> Failure:
        """Read the context that Airflow hands to a callback."""
        task_instance = context["ti"]
        dag_run = context.get("dag_run")
        partition_key = getattr(dag_run, "partition_key", None)
        return cls(
            dag_id=task_instance.dag_id,
            task_id=task_instance.task_id,
            run_id=task_instance.run_id,
            as_of_date=_date(partition_key),
            owner=getattr(context.get("task"), "owner", None) or "nobody is named",
            cause=cause_of(context.get("exception")),
            map_index=-1 if task_instance.map_index is None else task_instance.map_index,
        )


def alert(context: Mapping[str, Any]) -> None:
    """Tell about a failed task: `on_failure_callback` of every task.

    What goes wrong in here is logged; the task's own failure stands whatever happens.
    """
    if only_mirrors_dbt(context):
        log.info("no alert from here: the task of the one dbt build tells about it")
        return
    settings = Settings()
    failure = Failure.from_context(context)
    subject, body = compose(failure, settings)
    is_delivered = send(settings.alert_urls, subject, body)
    record(settings, failure, subject, is_delivered)


def tell_warnings(result: dict[str, Any], context: Mapping[str, Any]) -> dict[str, Any]:
    """Tell about a gate's warnings, which stopped nothing, and hand the step's result on.

    Args:
        result: Of a step with a gate in it; `warnings` are the failed rules, in words.
        context: What Airflow knows of the running task.
    """
    if result["warnings"]:
        settings = Settings()
        failure = Failure.from_context(context)
        subject = f"Perennial: {failure.dag_id}.{failure.task_id} warns for {failure.as_of_date}"
        body = "\n".join([*result["warnings"], f"Run: {run_url(failure, settings)}"])
        is_delivered = send(settings.alert_urls, subject, body)
        record(settings, failure, subject, is_delivered)
    return result


def tell_waiting(outcome: Mapping[str, Any], context: Mapping[str, Any]) -> None:
    """Tell that a person has to decide: between two models, or on an erasure.

    Args:
        outcome: What is asked: subject, reason, and what holds meanwhile.
        context: What Airflow knows of the running task.
    """
    settings = Settings()
    failure = Failure.from_context(context)
    subject = f"Perennial: {failure.dag_id} waits for your decision"
    lines = [
        outcome["subject"],
        outcome["reason"],
        outcome["meanwhile"],
        f"Figures and buttons: {run_url(failure, settings)}/required_actions",
        f"What to do: {RUNBOOK}, section {step_of(failure.task_id)}",
    ]
    is_delivered = send(settings.alert_urls, subject, "\n".join(lines))
    record(settings, failure, subject, is_delivered)


def only_mirrors_dbt(context: Mapping[str, Any]) -> bool:
    """Whether the task only shows how a model fared in the dbt build of another task.

    One broken build would otherwise send an alert a model.
    """
    is_the_build = context["ti"].task_id.endswith(DBT_BUILD_TASK)
    return not is_the_build and DBT_BUILD_TASK in str(context.get("exception"))


def compose(failure: Failure, settings: Settings) -> tuple[str, str]:
    """Subject and plain text of an alert."""
    when = failure.as_of_date.isoformat() if failure.as_of_date else "a date that is not known"
    stale = stale_views(failure.dag_id)
    refreshed = f"{', '.join(stale)} (they keep the date that was published last)"
    lines = {
        "DAG": failure.dag_id,
        "Task": failure.task_id,
        "Date": when,
        "Cause": failure.cause,
        "Owner": failure.owner,
        "Not refreshed": refreshed if stale else "nothing: no reporting view waits for this step",
        "Run": run_url(failure, settings),
        "What to do": f"{RUNBOOK}, section {step_of(failure.task_id)}",
    }
    subject = f"Perennial: {failure.dag_id}.{failure.task_id} failed for {when}"
    return subject, "\n".join(f"{name}: {text}" for name, text in lines.items())


def send(urls: str, subject: str, body: str) -> bool:
    """Send to every receiver.

    Args:
        urls: Apprise URLs, blank-separated: mailto, json, slack and so on. Empty: nothing is sent.
        subject: One line.
        body: Plain text.

    Returns:
        Whether there are receivers and all of them took it. Those that did not are logged by
        number and kind: their URLs hold secrets.
    """
    if not urls.split():
        log.info("no alert is sent: PERENNIAL_ALERT_URLS is empty")
        return False
    import apprise

    missed = []
    for number, url in enumerate(urls.split(), start=1):
        receiver = apprise.Apprise.instantiate(url, suppress_exceptions=True)
        taken = receiver and receiver.notify(
            title=subject, body=body, notify_type=apprise.NotifyType.FAILURE
        )
        if not taken:
            kind = url.split("://")[0] if "://" in url else "no URL"
            reason = "did not take it" if receiver else "is not understood by Apprise"
            missed.append(f"number {number} ({kind}) {reason}")
    if missed:
        log.error(
            "the alert %r was NOT delivered to all of PERENNIAL_ALERT_URLS: %s",
            subject,
            "; ".join(missed),
        )
    return not missed


def record(settings: Settings, failure: Failure, subject: str, is_delivered: bool) -> None:
    """Add the alert to ops.alerts; if the warehouse is the very thing that is down, say so."""
    try:
        with connect(settings, "loader") as connection:
            connection.execute(
                "insert into ops.alerts"
                " (dag_id, task_id, run_id, as_of_date, subject, is_delivered)"
                " values (%s, %s, %s, %s, %s, %s)",
                (
                    failure.dag_id,
                    failure.task_id,
                    f"{failure.dag_id}/{failure.run_id}",
                    failure.as_of_date,
                    subject,
                    is_delivered,
                ),
            )
    except (psycopg.Error, SettingsError) as error:
        log.error("the alert %r is NOT in ops.alerts: %s", subject, cause_of(error))


def cause_of(error: BaseException | str | None) -> str:
    """The error's kind and first line, masked.

    Postgres and Python put values into their messages in quotes, so of errors that are not our own
    whatever is quoted goes, except for names of tasks, tables and constraints where those stand.
    Our own may repeat the error they were raised from: that part is masked likewise.
    """
    if error is None:
        return "the process ended without a word: killed, out of memory, or its machine was lost"
    package = type(error).__module__.split(".")[0]
    text = str(error)
    if package in OWN_PACKAGES and isinstance(error, BaseException) and str(error.__cause__ or ""):
        text = text.replace(str(error.__cause__), cause_of(error.__cause__))
    text = next((line.strip() for line in text.splitlines() if line.strip()), "")
    text = SECRET.sub(rf"\1\2{MASK}", CREDENTIALS.sub(f"://{MASK}@", text))
    text = ADDRESS.sub(MASK, text)
    if package not in OWN_PACKAGES:
        names_tables = package in {"airflow", "cosmos"} or isinstance(error, TABLES_ERRORS)
        text = QUOTED.sub(lambda found: _unless_a_value(found[0], names_tables), text)
    if isinstance(error, BaseException):
        text = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return text if len(text) <= LONGEST_CAUSE else f"{text[:LONGEST_CAUSE]} ..."


def _unless_a_value(quoted: str, names_tables: bool) -> str:
    return quoted if names_tables and NAME.fullmatch(quoted) else f"'{MASK}'"


def stale_views(dag_id: str) -> list[str]:
    """Reporting views that lack the date because this DAG failed, in order of name.

    A question's DAG holds up its own tables and what joins all questions; what comes before the
    questions holds up all; what comes after them, or trains, none.
    """
    if dag_id == "report" or dag_id.startswith("train_"):  # the champion of before scores on
        return []
    if dag_id == contracts.LOOKBACK:
        return sorted(f"reporting.{path.stem}" for path in REPORTING.glob("model_health*.sql"))
    questions = contracts.questions()
    own = [question for question in questions if dag_id == f"score_{question}"]
    tables = {table.name for name in questions for table in contracts.load(name).tables}
    of_question = {table.name for name in own or questions for table in contracts.load(name).tables}
    held_up = set()
    for path in REPORTING.glob("*.sql"):
        shown = path.stem.removesuffix("_history")
        joined = {name.removesuffix("_history") for name in REFERENCE.findall(path.read_text())}
        if shown in of_question or (shown not in tables and joined & tables):
            held_up.add(f"reporting.{path.stem}")
    return sorted(held_up)


def step_of(task_id: str) -> str:
    """The task's section in the runbook: all that Cosmos makes of the dbt project is `dbt`."""
    return task_id.split(".")[0]


def run_url(failure: Failure, settings: Settings) -> str:
    """The failed task in the Airflow UI, its log in view."""
    base = settings.alert_base_url or f"http://127.0.0.1:{settings.airflow_port}"
    mapped = f"/mapped/{failure.map_index}" if failure.map_index >= 0 else ""
    run_id = quote(failure.run_id, safe="")
    path = f"/dags/{failure.dag_id}/runs/{run_id}/tasks/{failure.task_id}{mapped}"
    return base.rstrip("/") + path


def _date(partition_key: str | None) -> date | None:
    try:
        return date.fromisoformat(partition_key or "")
    except ValueError:
        return None  # started without a date: the task's own error says so
