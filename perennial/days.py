"""Parse a day that a person wrote in a command, a form or a partition key."""

from __future__ import annotations

import re
from datetime import date

from perennial.settings import SettingsError

WRITTEN = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
FIRST_YEAR = 1990  # there were no online shops before


def read_day(text: str, name: str) -> date:
    """Parse a day of the form `2011-09-10`; Python's own parser also accepts other ISO forms.

    Args:
        text: Text as typed; outer blanks don't count.
        name: Name of the setting or field, for the error.

    Raises:
        SettingsError: If the text is not an existing day, or the day is before FIRST_YEAR.
    """
    try:
        if not WRITTEN.fullmatch(text.strip()):
            raise ValueError("another form")
        day = date.fromisoformat(text.strip())
    except ValueError as error:
        raise SettingsError(
            f"{name}={text!r} is no date ({error}): write it as 2011-09-10"
        ) from None
    if day.year < FIRST_YEAR:
        raise SettingsError(f"{name}={text!r} is before {FIRST_YEAR}: no shop has orders from then")
    return day
