"""Text that the shop or somebody else wrote, made harmless for where it is shown."""

from __future__ import annotations

import re
import unicodedata

# user:password@ in any address, anything@ in a web one, and what signs a query.
SECRET_IN_URL = re.compile(
    r"://[^/?#@]*:[^/?#]*@|^https?://[^/?#]*@"
    r"|[?&][^=&#]*(sig|token|secret|credential|password|access_?key|api_?key)[^=&#]*=",
    re.IGNORECASE,
)


def holds_secret(url: str) -> bool:
    """Whether an address has a password or a signature in it."""
    return SECRET_IN_URL.search(url) is not None


def plain(text: object) -> str:
    r"""One line without control characters: an escape sequence in a file's name moves no cursor.

    Line ends become blanks; other characters that are not printed are written as `\x1b`.
    """
    words = " ".join(str(text).split())
    return "".join(
        character.encode("unicode_escape").decode()
        if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp")
        else character
        for character in words
    )
