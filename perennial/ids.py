"""Normalise a shop's ids: the Python twin of `as_id` and its kin in dbt_project/macros/casts.sql.

Landing hashes personal ids before staging reads them, and a person types the id of an erasure; both
must give the id that staging gives. tests/sql/test_casts.py compares the two implementations.
"""

from __future__ import annotations

import re
from decimal import Decimal

MAX_CHARACTERS = 201  # one more than an id may have, so that a longer id can be detected
FLOAT = re.compile(r"(-?[0-9]+)\.0*")
SCIENTIFIC = re.compile(r"[1-9](?:\.[0-9]{1,10})?[eE]\+(?:0?[0-9]|10)")
WORDS_FOR_NOBODY = {
    *("\\n", "null", "nan", "nat", "none", "n/a", "#n/a", "<na>", "<null>", "(null)"),
    *("na", "undefined"),
}
GUEST_CODE = re.compile(r"(?:[0-]*0[0-]*|-1)(?:\.0*)?|guest|anonymous|unknown")


def plain_id(text: str) -> str:
    """An id in its normal form: no outer blanks, `17` for `17.0`, `100000` for `1e+05`."""
    trimmed = text.strip(" ")
    if match := FLOAT.fullmatch(trimmed):
        return match[1][:MAX_CHARACTERS]
    if SCIENTIFIC.fullmatch(trimmed) and (number := Decimal(trimmed)) == int(number):
        return str(int(number))
    return trimmed[:MAX_CHARACTERS]


def plain_customer_id(text: str) -> str:
    """A customer's id in its normal form; empty for a word that means no customer."""
    return "" if text.strip(" ").lower() in WORDS_FOR_NOBODY else plain_id(text)


def is_nobody(text: str) -> bool:
    """Whether the text is blank, a word for no customer, or a code that shops use for guests."""
    plain = text.strip(" ").lower()
    return not plain or plain in WORDS_FOR_NOBODY or GUEST_CODE.fullmatch(plain) is not None
