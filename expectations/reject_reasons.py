"""Reasons why staging rejects rows: which reasons are normal, and up to which share.

This module is the only list of reasons. A reason is looked up by its beginning; a reason that is
not listed counts as a fault.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Bounds:
    """Bounds on the share of sent orders, or of money, rejected for a reason, in [0, 1].

    Attributes:
        warns: Above this share the gate warns; NO_BOUND: never.
        stops: Above this share the batch is held.
        warns_of_group: As `warns`, within a group (country, product, month).
        stops_of_group: As `stops`, within a group.
    """

    warns: float
    stops: float
    warns_of_group: float
    stops_of_group: float


@dataclass(frozen=True)
class Kind:
    """A kind of reason.

    Attributes:
        bounds: Shares above which the gate warns or stops.
        is_sent_again: True if another row, which counts, has the order and money of the row.
        remedy: What to change in the export.
    """

    bounds: Bounds
    is_sent_again: bool = False
    remedy: str = "correct these rows in the export"


NO_BOUND = 1.01
# Rows that cannot be used, or have no customer: a sound shop has hardly any.
FAULT = Bounds(warns=0.02, stops=0.05, warns_of_group=0.1, stops_of_group=0.25)
# Rows that the shop writes on purpose and that are no sale. Their number is the shop's habit; where
# the shop's past is known, the gate warns at a smaller share.
HABIT = Bounds(warns=1 / 3, stops=2 / 3, warns_of_group=0.5, stops_of_group=NO_BOUND)
# Rows that another row replaces: growing exports send most orders again.
AGAIN = Bounds(warns=0.5, stops=NO_BOUND, warns_of_group=NO_BOUND, stops_of_group=NO_BOUND)

# Orders and money rejected by any fault: many small faults together are a large one.
SEVERAL_FAULTS = "several faults"
# Not a reason of a row: an order that was sent again with less money than before.
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
    """The kind of a reason: that of its longest listed beginning, else a fault."""
    known = [begins for begins in KINDS if reason.startswith(begins)]
    if known:
        return KINDS[max(known, key=len)]
    if "is no number" in reason:
        return Kind(FAULT, remedy=NUMBERS)
    if "date" in reason:
        return Kind(FAULT, remedy=TIMES)
    return Kind(FAULT)


def sent_again_pattern() -> str:
    """Postgres pattern of the reasons of rows that were sent again."""
    begins = [begins for begins, kind in KINDS.items() if kind.is_sent_again]
    return f"^({'|'.join(begins)})"


def no_fault_pattern() -> str:
    """Postgres pattern of the reasons that are no fault: habits, and rows sent again."""
    begins = [begins for begins, kind in KINDS.items() if kind.bounds is not FAULT]
    return f"^({'|'.join(begins)})"
