"""Reasons why staging rejects rows: which of them are normal, and how much of each is.

The one place that knows. A reason is looked up by how it begins; one that nobody has listed here
counts as a fault.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Bounds:
    """Shares, in [0, 1], of a reason among what the shop sent; 1.01: no bound.

    Attributes:
        told: Share of orders, or of money, above which a person is told.
        stops: Share of orders, or of money, above which the batch is held.
        told_of_group: The same of a group (country, product, month).
        stops_of_group: The same of a group.
    """

    told: float
    stops: float
    told_of_group: float
    stops_of_group: float


@dataclass(frozen=True)
class Kind:
    """How rows of a reason are judged.

    Attributes:
        bounds: When there is too much of it.
        is_sent_again: Whether the row's orders and money stand in another row that counts.
        remedy: What to change in the export.
    """

    bounds: Bounds
    is_sent_again: bool = False
    remedy: str = "correct these rows in the export"


NO_BOUND = 1.01
# A row that can't be used, or belongs to nobody: a sound shop has hardly any.
FAULT = Bounds(told=0.02, stops=0.05, told_of_group=0.1, stops_of_group=0.25)
# Rows that the shop writes on purpose and that are no sale: their number is the shop's habit, and
# told from less on where the shop's past is known.
HABIT = Bounds(told=1 / 3, stops=2 / 3, told_of_group=0.5, stops_of_group=NO_BOUND)
# Rows that another one replaces: growing exports send most orders again.
AGAIN = Bounds(told=0.5, stops=NO_BOUND, told_of_group=NO_BOUND, stops_of_group=NO_BOUND)

# Orders and money that any fault took, whichever: many small ones are a large one.
SEVERAL_FAULTS = "several faults"
# Of no row: an order that came again with less money than it had.
REDUCED = "came again with less"

NUMBERS = "write numbers without thousands separators, units and currency signs"
TIMES = "write times as 2024-05-31 18:30:00, in the shop's time zone or with an offset"

KINDS: dict[str, Kind] = {
    # rows whose orders and money another row has
    "exact duplicate": Kind(AGAIN, True, "send each row once"),
    "replaced by": Kind(AGAIN, True, "send an order once a file, and give each order its own id"),
    # no sale by nature
    "price is zero": Kind(HABIT, remedy="send the prices that were paid"),
    "quantity is zero": Kind(HABIT, remedy="send the units that were sold"),
    "test line": Kind(HABIT),
    "order was cancelled": Kind(HABIT, remedy="see whether so many orders were cancelled"),
    # faults with a remedy of their own
    REDUCED: Kind(FAULT, remedy="send these orders whole again, with all their lines"),
    SEVERAL_FAULTS: Kind(FAULT, remedy="see the reasons in intermediate.int_rejected_rows"),
    "customer is unknown": Kind(
        FAULT, remedy="send the customers too, write their ids alike, leave a guest's empty"
    ),
    "order without a line": Kind(FAULT, remedy="send the lines of these orders"),
    "order is unknown": Kind(FAULT, remedy="send the orders of these lines"),
    "could not be read": Kind(FAULT, remedy="export UTF-8, quoted as CSV, all fields in each row"),
}


def kind_of(reason: str) -> Kind:
    """How a reason is judged: as the longest beginning of it that is listed, else as a fault."""
    known = [begins for begins in KINDS if reason.startswith(begins)]
    if known:
        return KINDS[max(known, key=len)]
    if "is no number" in reason:
        return Kind(FAULT, remedy=NUMBERS)
    if "date" in reason:
        return Kind(FAULT, remedy=TIMES)
    return Kind(FAULT)


def sent_again_pattern() -> str:
    """Pattern of the reasons of rows whose orders and money another row has; for Postgres."""
    begins = [begins for begins, kind in KINDS.items() if kind.is_sent_again]
    return f"^({'|'.join(begins)})"


def no_fault_pattern() -> str:
    """Pattern of the reasons that are no fault: habits, and rows sent again; for Postgres."""
    begins = [begins for begins, kind in KINDS.items() if kind.bounds is not FAULT]
    return f"^({'|'.join(begins)})"
