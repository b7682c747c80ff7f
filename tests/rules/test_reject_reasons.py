"""Each reason listed by the gate of rejects exists in staging."""

from __future__ import annotations

import re

from expectations.reject_reasons import FAULT, KINDS, REDUCED, SEVERAL_FAULTS, kind_of
from perennial.settings import DBT_PROJECT

REASON = re.compile(r"(?:then|else|,|\() '([a-z][^']* [^']*)'|'(could not be read): '")
# Reasons of staging that the gate does not list: faults by default.
UNLISTED = {
    "no order_id",
    "an id is longer than 200 characters",
    "amount of 10 billion or more",
    "quantity of a billion or more",
    "quantity is negative",
    "negative price of a product",
    "positive quantity in a cancellation",
    "line_type is neither product nor charge",
    "order_type is neither sale nor refund",
    "list_price_amount is negative",
}


def reasons_of_staging() -> set[str]:
    """Reasons in staging's SQL and macros: texts of several words after `then` and the like."""
    paths = [
        *(DBT_PROJECT / "models" / "staging").rglob("*.sql"),
        *DBT_PROJECT.glob("macros/*.sql"),
    ]
    return {one or other for path in paths for one, other in REASON.findall(path.read_text())}


def test_no_reason_is_listed_that_nothing_gives() -> None:
    given = reasons_of_staging()
    assert len(given) > 30
    of_orders = {REDUCED, SEVERAL_FAULTS}  # computed by the gate itself
    dead = {
        begins
        for begins in KINDS.keys() - of_orders
        if not any(one.startswith(begins) for one in given)
    }
    assert dead == set()


def test_reasons_that_are_not_listed_count_as_faults() -> None:
    assert reasons_of_staging() >= UNLISTED
    for reason in UNLISTED:
        assert kind_of(reason).bounds is FAULT
