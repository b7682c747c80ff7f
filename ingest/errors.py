"""What a landing says when it can't be done."""

from __future__ import annotations

from perennial.text import plain


class LandingError(ValueError):
    """Nothing was landed; the message names the file, the likely cause and the remedy.

    It may hold names that the shop gave, so it is kept to one line without control characters.
    """

    def __init__(self, message: str) -> None:
        super().__init__(plain(message))
