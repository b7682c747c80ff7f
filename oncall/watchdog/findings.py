"""Validate the date, the rows and the customers of each reporting view."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from oncall.alerts.causes import CRITICAL, WARNING

# Each customer with an order has a row in each customer view, scored or not. Up to 1 % may be
# missing between two publications of a date.
LEAST_COVERAGE = 0.99
LEAST_SHARE_OF_BEFORE = 0.5

STALE = "A view is stale"
UNREADABLE = "A view can't be read"
INCOMPLETE = "A view is incomplete"
CUSTOMERS_MISSING = "Customers are missing"
ROWS_FELL = "A view has lost rows"
NO_LANDING = "Nothing was landed"
LOCKED_OUT = "Readers can't connect"
UNHELD = "Nobody holds readers to their limits"
ALTERED = "A role changed itself"


@dataclass(frozen=True)
class Finding:
    """A fault that the watchdog sees.

    Attributes:
        entry: Kind of the fault: a heading of the runbook.
        about: View, role or other object with the fault.
        text: The fault in words, with dates and counts.
        severity: critical or warning.
        as_of_date: Date that is wrong or missing.
    """

    entry: str
    about: str
    text: str
    severity: str = CRITICAL
    as_of_date: date | None = None

    def __str__(self) -> str:
        return f"{self.severity}: {self.about}: {self.text}"


@dataclass(frozen=True)
class ViewState:
    """The rows of a view as a reader sees them, and the rows that it should have.

    Attributes:
        view: Name of the view, with schema.
        newest_date: Newest as_of_date in the view; None: the view has no rows.
        rows: Rows of the newest date.
        published_rows: Rows published for the newest date; None: not known.
        rows_before: Rows of the date published before; None: there was none.
        known_customers: Customers known on the newest date; None: the view is not about customers.
        may_be_empty: Whether the view may have no rows.
        severity: Severity of the finding if the view lacks the due date.
    """

    view: str
    newest_date: date | None
    rows: int
    published_rows: int | None = None
    rows_before: int | None = None
    known_customers: int | None = None
    may_be_empty: bool = False
    severity: str = CRITICAL


def check_view(state: ViewState, due: date | None) -> list[Finding]:
    """List the faults of a view on the due date; None: no date is due."""
    view, day, rows = state.view, state.newest_date, state.rows
    if day is None and state.may_be_empty:
        return []
    if day is None:
        return [Finding(STALE, view, f"it has no rows; due {due or 'nothing'}", as_of_date=due)]
    if due and day < due:
        text = f"newest date {day}, due {due}"
        return [Finding(STALE, view, text, state.severity, due)]
    findings = []
    if state.published_rows is not None and rows < state.published_rows:
        text = f"{rows:,} rows of {day}, {state.published_rows:,} were published"
        findings.append(Finding(INCOMPLETE, view, text, as_of_date=day))
    known = state.known_customers
    if known and rows < LEAST_COVERAGE * known and not findings:
        text = f"{rows:,} of {known:,} customers known on {day}"
        findings.append(Finding(CUSTOMERS_MISSING, view, text, as_of_date=day))
    if state.rows_before and rows < LEAST_SHARE_OF_BEFORE * state.rows_before and not findings:
        text = f"{rows:,} rows of {day}, {state.rows_before:,} of the date before"
        findings.append(Finding(ROWS_FELL, view, text, WARNING, day))
    return findings
