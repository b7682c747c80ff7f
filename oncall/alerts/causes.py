"""A cause: what broke, its severity, its owner, and the views that wait for it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache

import yaml

from perennial import contracts
from perennial.settings import DBT_PROJECT

MODELS = DBT_PROJECT / "models"
REPORTING = MODELS / "reporting"
REFERENCE = re.compile(r"ref\(['\"](\w+)['\"]\)")
RUNBOOK = "docs/runbook.md"
DATA_PLATFORM = "data-platform"  # owns the DAGs, and everything without another owner

CRITICAL, WARNING, INFO = "critical", "warning", "info"
SEVERITIES = (CRITICAL, WARNING, INFO)

BEFORE_QUESTIONS = ("sample_day", "land", "build_warehouse")

# Kinds of cause, by what noticed it.
FAILURE = "failure"  # a task failed
GATE_WARNING = "warning"  # a gate failed a rule that stops nothing
QUESTION = "question"  # a person has to decide
DEADLINE = "deadline"  # a run takes too long
WATCHDOG = "watchdog"  # the data that are due are not there

# Events of an incident.
OPENED, AGAIN, RECOVERED = "opened", "again", "recovered"


@dataclass(frozen=True)
class Cause:
    """A fault, as one observer saw it once.

    Attributes:
        key: Identifies the cause; independent of run, date and row.
        kind: One of the kinds above.
        severity: critical: there is no result; warning: the result may be poor; info.
        title: What broke, in a few words.
        summary: Failing check or exception, masked, one line.
        step: Step that ends the incident when it succeeds: `dag.task`, a DAG, a gate, the watchdog.
        as_of_date: Date that was to be scored; None if not known.
        owner: Owner of the table's dbt group, else of the DAG.
        entry: Heading of the entry in the runbook.
        table: Table or view that the cause is about.
        blocks: Reporting views that wait for the cause to end.
        run_id: `dag/run`, as in the other tables of ops.
        link: URL to look at.
        likely: Likely reason; None if there is no guess.
    """

    key: str
    kind: str
    severity: str
    title: str
    summary: str
    step: str
    as_of_date: date | None
    owner: str
    entry: str
    table: str | None = None
    blocks: tuple[str, ...] = ()
    run_id: str | None = None
    link: str | None = None
    likely: str | None = None


@dataclass(frozen=True)
class Incident:
    """A row of ops.incidents. The id is 0 while only the home's file has the incident."""

    incident_id: int
    cause: str
    kind: str
    severity: str
    title: str
    summary: str
    owner: str
    runbook_entry: str
    table_name: str | None
    steps: list[str]
    first_bad_date: date | None
    last_bad_date: date | None
    run_id: str | None
    seen_count: int
    opened_at: datetime
    last_seen_at: datetime
    last_told_at: datetime | None
    closed_at: datetime | None = None


@cache
def relations() -> dict[str, str]:
    """Tables and views that dbt builds: `schema.name` by name of the model."""
    return {
        path.stem: f"{path.relative_to(MODELS).parts[0]}.{path.stem}"
        for path in MODELS.rglob("*.sql")
    }


def owner_of(table: str | None, otherwise: str) -> str:
    """Owner of the table's dbt group, or `otherwise` if it has none."""
    return _owners().get(table or "", otherwise)


@cache
def _owners() -> dict[str, str]:
    """Owner by table: of the group in the model's yml, else of the folder's group."""
    groups = _groups()
    folders = yaml.safe_load((DBT_PROJECT / "dbt_project.yml").read_text())["models"]["perennial"]
    of_folder = {
        relation: groups[folders[relation.split(".")[0]]["+group"]]
        for relation in relations().values()
        if "+group" in folders[relation.split(".")[0]]
    }
    return of_folder | {
        relations()[model["name"]]: groups[model["config"]["group"]]
        for path in MODELS.rglob("*.yml")
        for model in yaml.safe_load(path.read_text()).get("models", [])
        if "group" in model.get("config", {})
    }


def _groups() -> dict[str, str]:
    groups = yaml.safe_load((REPORTING / "groups.yml").read_text())["groups"]
    return {group["name"]: group["owner"]["name"] for group in groups}


def owners() -> set[str]:
    """The owners of all dbt groups."""
    return set(_groups().values())


def stale_views(dag_id: str) -> tuple[str, ...]:
    """Reporting views that lack the date because this DAG failed, in order of name.

    A question's DAG blocks the views of its own tables and those that join all questions. A DAG
    before the questions blocks all views. Any other DAG blocks none: if training fails, the present
    champion goes on scoring. A `_history` view is blocked with its view and is not listed.
    """
    if dag_id == contracts.LOOKBACK:
        return ("reporting.model_health",)
    questions = contracts.questions()
    own = [question for question in questions if dag_id == f"score_{question}"]
    if not own and dag_id not in BEFORE_QUESTIONS:
        return ()
    tables = {table.name for name in questions for table in contracts.load(name).tables}
    of_question = {table.name for name in own or questions for table in contracts.load(name).tables}
    shown_in = [
        (view, table.name)
        for name in questions
        for table in contracts.load(name).tables
        for view in table.shown_in
    ]
    held_up = set()
    for path in REPORTING.glob("*.sql"):
        shown = path.stem.removesuffix("_history")
        joined = {name.removesuffix("_history") for name in REFERENCE.findall(path.read_text())}
        joined |= {table for view, table in shown_in if view == shown}
        if shown in of_question or (shown not in tables and joined & of_question):
            held_up.add(f"reporting.{shown}")
    return tuple(sorted(held_up))
