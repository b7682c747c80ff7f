"""Mask the text of an error for an alert, and decide when two errors are one cause.

An alert contains no personal data and no secret. It quotes the first line of an error, with every
part masked that may be a value of a row, a password or an address.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator

import psycopg

from oncall.alerts.causes import relations
from perennial import contracts
from perennial.roles import ROLES
from perennial.settings import LAYERS

LONGEST_CAUSE = 400
LONGEST_OF_GATE = 2_000  # each reason has shares, groups, a remedy and examples
# Permissions, unknown tables, broken constraints: the first line quotes names, not values.
TABLES_ERRORS = (psycopg.ProgrammingError, psycopg.IntegrityError)

# Errors of these packages may be shown: they name rules, tables and counts, never a row's values.
GATES = "expectations"
OWN_PACKAGES = {
    *("command", "dags", "expectations", "ingest", "local", "ml_tasks", "oncall", "perennial"),
    "privacy",
}
MASK = "***"
SECRET = re.compile(r"(?i)\b(password|passwd|pwd|secret|token|api_?key)(\s*[=:]\s*)\S+")
CREDENTIALS = re.compile(r"://[^\s/@]*@")
ADDRESS = re.compile(r"[\w.+-]+@[\w-]+(\.[\w-]+)+")
QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
NAME = re.compile(r"['\"][a-z][a-z0-9]*([_.][a-z0-9_]+)+['\"]")  # of a task or a table

TABLE = re.compile(rf"\b(?:{'|'.join((*LAYERS, 'ops'))})\.[a-z_][a-z0-9_]*")
RESULT = re.compile(r"; (?:found|could not be evaluated): .*?(?= \| |$)")  # of a gate's rule
NUMBER = re.compile(r"\b[0-9a-f]*\d[0-9a-f]*(?:[.,:/-]\d+)*\b")  # counts, dates, digests

KILLED = "the process ended without a word"
# Causes that are shared by all steps; each is a heading of the runbook.
WAREHOUSE_GONE = "The warehouse does not answer"
DISK_FULL = "A disk is full"
NO_MEMORY = "Memory ran out"
NO_CONNECTION = "Connections ran out"
CROWDED = re.compile(
    r"(?i)too many connections for role|too many clients already|connection slots are reserved"
)
GONE = re.compile(
    r"(?i)connection refused|server closed the connection|terminating connection|connection is lost"
    r"|could not connect|connection failed|connection timeout|the database system is"
)


def cause_of(error: BaseException | str | None) -> str:
    """The error's type and first line, masked.

    Postgres and Python quote values in their messages. In errors of other packages, quoted text is
    masked, except for the warehouse's roles, and the names of tasks, tables and constraints in
    errors that quote those. An error of OWN_PACKAGES may repeat the error that it was raised from;
    that part is masked in the same way.
    """
    if error is None:
        return KILLED
    package = type(error).__module__.split(".")[0]
    text = str(error)
    if package in OWN_PACKAGES and isinstance(error, BaseException) and str(error.__cause__ or ""):
        text = text.replace(str(error.__cause__), cause_of(error.__cause__))
    text = next((line.strip() for line in text.splitlines() if line.strip()), "")
    text = SECRET.sub(rf"\1\2{MASK}", CREDENTIALS.sub(f"://{MASK}@", text))
    text = ADDRESS.sub(MASK, text)
    if package not in OWN_PACKAGES:
        names_tables = package in {"airflow", "cosmos"} or isinstance(error, TABLES_ERRORS)
        text = QUOTED.sub(lambda match: _unless_a_value(match[0], names_tables), text)
    if isinstance(error, BaseException):
        text = f"{type(error).__name__}: {text}" if text else type(error).__name__
    longest = LONGEST_OF_GATE if package == GATES else LONGEST_CAUSE
    return text if len(text) <= longest else f"{text[:longest]} ..."


def _unless_a_value(quoted: str, names_tables: bool) -> str:
    is_name = (names_tables and NAME.fullmatch(quoted)) or quoted[1:-1] in ROLES
    return quoted if is_name else f"'{MASK}'"


def table_in(text: str) -> str | None:
    """The first `schema.table` in a text; in a message of dbt the table of the named model.

    None if the text names no table.
    """
    match = TABLE.search(text)
    if match:
        return match[0]
    # a model's name without an underscore could be an ordinary word
    models = [name for name in relations() if "_" in name]
    named = [name for name in models if re.search(rf"(?<![a-z]){name}(?![a-z])", text)]
    return relations()[max(named, key=len)] if named else None


def shared_cause(error: BaseException | str | None) -> str | None:
    """The cause, if every step depends on what broke; None if the cause is the step's own.

    For example, every running step fails when the database is lost, and that is one cause.
    """
    for link in _chain(error):
        state = getattr(link, "sqlstate", None) or ""
        if getattr(link, "errno", None) == errno.ENOSPC or state == "53100":
            return DISK_FULL
        if isinstance(link, MemoryError) or state == "53200":
            return NO_MEMORY
        if state == "53300" or CROWDED.search(str(link)):
            return NO_CONNECTION
        is_lost = type(link) is psycopg.OperationalError or state.startswith(("08", "57P"))
        if is_lost or GONE.search(str(link)):
            return WAREHOUSE_GONE
    return None


def _chain(error: BaseException | str | None) -> Iterator[BaseException]:
    """Yield the error and the errors that it was raised from."""
    while isinstance(error, BaseException):
        yield error
        error = error.__cause__ or error.__context__


def fingerprint(text: str) -> str:
    """The part of a message that is the same for another day, row or question.

    Counts, dates, digests, names of questions and results of rules are removed; rules, tables and
    types of errors stay.
    """
    questions = "|".join(contracts.published())
    text = re.sub(rf"(?<![.\w])(?:{questions})(?![.\w])", "question", RESULT.sub("", text))
    return NUMBER.sub("#", text)
