"""Days as people write them in a command, a form or a partition key."""

from __future__ import annotations

import re
from datetime import date

from perennial.settings import SettingsError

WRITTEN = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
FIRST_YEAR = 1990  # nobody sold anything online before


def read_day(text: str, name: str) -> date:
    """`2011-09-10` as a date, and nothing else: Python's own reading knows weeks and bare digits.

    Args:
        text: As it was typed; outer blanks don't count.
        name: What the error calls it.

    Raises:
        SettingsError: If there is no such day, or no shop could have had orders before it.
    """
    try:
        if not WRITTEN.fullmatch(text.strip()):
            raise ValueError("not of that form")
        day = date.fromisoformat(text.strip())
    except ValueError as error:
        raise SettingsError(
            f"{name}={text!r} is no date ({error}): write it as 2011-09-10"
        ) from None
    if day.year < FIRST_YEAR:
        raise SettingsError(f"{name}={text!r} is before {FIRST_YEAR}: no shop has orders from then")
    return day
