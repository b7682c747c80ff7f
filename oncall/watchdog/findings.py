"""What is wrong with the data, view by view: the date, the rows, the customers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from oncall.alerts.causes import CRITICAL, WARNING

# A customer with an order has a row in each customer view, scored or not; a hundredth may be
# between two publications of a date.
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
    """Something that is not as it should be.

    Attributes:
        entry: Which kind, and its heading in the runbook.
        about: View, or what else it is about.
        text: What was found, in words, with dates and counts.
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
    """What a reader finds in a view, and what there should be.

    Attributes:
        view: Its name, with schema.
        newest_date: Newest as_of_date in it; None: it has no rows.
        rows: Of that date.
        published_rows: As many were published for that date; None: not known.
        rows_before: Rows of the date published before it; None: there was none.
        known_customers: Customers known on that date; None: it is not about customers.
        may_be_empty: Whether having no rows is fine.
        severity: How bad it is if it lacks the date.
    """

    view: str
    newest_date: date | None
    rows: int
    published_rows: int | None = None
    rows_before: int | None = None
    known_customers: int | None = None
    may_be_empty: bool = False
    severity: str = CRITICAL


def judge(state: ViewState, due: date | None) -> list[Finding]:
    """What is wrong with a view on the date that is due; None: nothing is."""
    view, day, rows = state.view, state.newest_date, state.rows
    if day is None and state.may_be_empty:
        return []
    if day is None:
        return [Finding(STALE, view, f"it has no rows; due {due or 'nothing'}", as_of_date=due)]
    if due and day < due:
        text = f"newest date {day}, due {due}"
        return [Finding(STALE, view, text, state.severity, due)]
    found = []
    if state.published_rows is not None and rows < state.published_rows:
        text = f"{rows:,} rows of {day}, {state.published_rows:,} were published"
        found.append(Finding(INCOMPLETE, view, text, as_of_date=day))
    known = state.known_customers
    if known and rows < LEAST_COVERAGE * known and not found:
        text = f"{rows:,} of {known:,} customers known on {day}"
        found.append(Finding(CUSTOMERS_MISSING, view, text, as_of_date=day))
    if state.rows_before and rows < LEAST_SHARE_OF_BEFORE * state.rows_before and not found:
        text = f"{rows:,} rows of {day}, {state.rows_before:,} of the date before"
        found.append(Finding(ROWS_FELL, view, text, WARNING, day))
    return found
