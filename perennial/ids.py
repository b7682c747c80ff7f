"""How a shop's ids are written: the twin of `as_id` and its kin in dbt_project/macros/casts.sql.

Landing hashes personal ids before staging sees them, and erasure is given an id by a person; both
have to mean the id that staging would read. tests/sql/test_casts.py holds the two to each other.
"""

from __future__ import annotations

import re
from decimal import Decimal

MAX_CHARACTERS = 201  # one more than an id may have, so that it can be seen
FLOAT = re.compile(r"(-?[0-9]+)\.0*")
SCIENTIFIC = re.compile(r"[1-9](?:\.[0-9]{1,10})?[eE]\+(?:0?[0-9]|10)")
WORDS_FOR_NOBODY = {
    *("\\n", "null", "nan", "nat", "none", "n/a", "#n/a", "<na>", "<null>", "(null)"),
    *("na", "undefined"),
}
GUEST_CODE = re.compile(r"(?:[0-]*0[0-]*|-1)(?:\.0*)?|guest|anonymous|unknown")


def plain_id(text: str) -> str:
    """An id written one way: no outer blanks, `17` for `17.0`, `100000` for `1e+05`."""
    trimmed = text.strip(" ")
    if found := FLOAT.fullmatch(trimmed):
        return found[1][:MAX_CHARACTERS]
    if SCIENTIFIC.fullmatch(trimmed) and (number := Decimal(trimmed)) == int(number):
        return str(int(number))
    return trimmed[:MAX_CHARACTERS]


def plain_customer_id(text: str) -> str:
    """The same of a customer's id; empty for a guest."""
    return "" if text.strip(" ").lower() in WORDS_FOR_NOBODY else plain_id(text)


def is_nobody(text: str) -> bool:
    """Whether it is no customer's id, or what a shop without a null writes for a guest."""
    plain = text.strip(" ").lower()
    return not plain or plain in WORDS_FOR_NOBODY or GUEST_CODE.fullmatch(plain) is not None
