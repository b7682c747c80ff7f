"""Escape text from the shop or other people for the place where it is shown."""

from __future__ import annotations

import re
import unicodedata

# user:password@ in any address, anything@ in a web address, and signatures in a query.
SECRET_IN_URL = re.compile(
    r"://[^/?#@]*:[^/?#]*@|^https?://[^/?#]*@"
    r"|[?&][^=&#]*(sig|token|secret|credential|password|access_?key|api_?key)[^=&#]*=",
    re.IGNORECASE,
)


# Control and format characters (direction of writing), surrogates, line and paragraph separators.
NOT_PRINTED = {"Cc", "Cf", "Cs", "Zl", "Zp"}
# Characters that begin markup in Markdown or HTML; names_like_this keep their underscores.
MARKUP = re.compile(r"([\\`*\[\]<>|!&~]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9]))")
AT_THE_BEGINNING = re.compile(r"^([#+=-]|\d+(?=[.)](?:\s|$)))")


def holds_secret(url: str) -> bool:
    """Whether an address contains a password or a signature."""
    return SECRET_IN_URL.search(url) is not None


def printable(text: object) -> str:
    r"""Escape text for a terminal: control characters become text such as `\x1b`."""
    return "".join(
        character.encode("unicode_escape").decode()
        if unicodedata.category(character) in NOT_PRINTED
        else character
        for character in str(text)
    )


def plain(text: object) -> str:
    """Escape text for one line of a message or log: as `printable`, with line ends as blanks."""
    return printable(" ".join(str(text).split()))


def markdown(text: object) -> str:
    """Escape text for Markdown: it is shown literally, and makes no link, tag or table cell."""
    escaped = MARKUP.sub(r"\\\1", plain(text)).replace(r"\<", "&lt;").replace(r"\&", "&amp;")
    # headings, lists, underlines of a title; for a numbered list the full stop is escaped
    return AT_THE_BEGINNING.sub(lambda sign: _beginning(sign[1]), escaped)


def _beginning(sign: str) -> str:
    return f"{sign}\\" if sign.isdigit() else f"\\{sign}"
