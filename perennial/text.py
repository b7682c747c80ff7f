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


# Controls, what changes the direction of writing, halves of pairs, ends of lines and paragraphs.
NOT_PRINTED = {"Cc", "Cf", "Cs", "Zl", "Zp"}
# Whatever begins markup in Markdown, or HTML in it; names_like_this keep their underscores.
MARKUP = re.compile(r"([\\`*\[\]<>|!&~]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9]))")
AT_THE_BEGINNING = re.compile(r"^([#+=-]|\d+(?=[.)](?:\s|$)))")


def holds_secret(url: str) -> bool:
    """Whether an address has a password or a signature in it."""
    return SECRET_IN_URL.search(url) is not None


def printable(text: object) -> str:
    r"""Text for a terminal: what is not printed is written as `\x1b`, so it moves no cursor."""
    return "".join(
        character.encode("unicode_escape").decode()
        if unicodedata.category(character) in NOT_PRINTED
        else character
        for character in str(text)
    )


def plain(text: object) -> str:
    """The same in one line, for messages and logs: line ends and tabs become blanks."""
    return printable(" ".join(str(text).split()))


def markdown(text: object) -> str:
    """Text for a page in Markdown: it is shown as it stands, and is no link, tag or cell."""
    escaped = MARKUP.sub(r"\\\1", plain(text)).replace(r"\<", "&lt;").replace(r"\&", "&amp;")
    # a heading, a list, a line under a title; a number is parted from its full stop
    return AT_THE_BEGINNING.sub(lambda sign: _beginning(sign[1]), escaped)


def _beginning(sign: str) -> str:
    return f"{sign}\\" if sign.isdigit() else f"\\{sign}"
