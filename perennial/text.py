"""Text that the shop or somebody else wrote, made harmless for where it is shown."""

from __future__ import annotations

import unicodedata


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
