"""The error that a landing raises."""

from __future__ import annotations

from perennial.text import plain


class LandingError(ValueError):
    """Nothing was landed; the message names the file, the likely cause and the remedy.

    The message may contain names from the shop's files, so it is reduced to one line without
    control characters.
    """

    def __init__(self, message: str) -> None:
        super().__init__(plain(message))
