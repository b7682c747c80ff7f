"""Sort files that land together: of two rows with one key, the row of the later file counts.

Files are sorted by the dates in their names, or by the numbers if the names differ in nothing else.
Otherwise they are sorted by the newest order time in them. A file of another table takes the time
of the orders file with the same rest of its name (`order_items_b.csv` that of `orders_b.csv`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

T = TypeVar("T")

EARLIEST = datetime(1, 1, 1, tzinfo=UTC)

# fmt: off
MONTHS = (
    "jan(?:uary)?", "feb(?:ruary)?", "mar(?:ch)?", "apr(?:il)?", "may", "june?", "july?",
    "aug(?:ust)?", "sept?(?:ember)?", "oct(?:ober)?", "nov(?:ember)?", "dec(?:ember)?",
)
# fmt: on
_YEAR = r"(?P<y>(?:19|20)\d\d)"
_NAME = "".join(rf"(?P<m{number}>{name})|" for number, name in enumerate(MONTHS, 1)).rstrip("|")
DAY_OR_MONTH_FIRST = re.compile(
    rf"(?<!\d)(?P<a>\d\d?)(?P<sep>[-_. ])(?P<b>\d\d?)(?P=sep){_YEAR}(?!\d)"
)
# Forms of a date in a name: 2024-05-31, 2024-5; 20240531, 202405; 05-2024; May 2024; 2024 May.
DATES = [
    re.compile(pattern)
    for pattern in (
        rf"(?<!\d){_YEAR}(?P<sep>[-_. /])(?P<m>\d\d?)(?:(?P=sep)(?P<d>\d\d?))?(?!\d)",
        rf"(?<!\d){_YEAR}(?P<m>\d\d)(?P<d>\d\d)?(?!\d)",
        rf"(?<!\d)(?<!\d[-_. ])(?P<m>\d\d?)[-_. ]{_YEAR}(?!\d)",
        rf"(?<![a-z])(?:{_NAME})[-_. ]*{_YEAR}(?!\d)",
        rf"(?<!\d){_YEAR}[-_. ]*(?:{_NAME})(?![a-z])",
    )
]


def natural_key(path: str) -> tuple[Any, ...]:
    """Sort key of a path that puts `orders_2` before `orders_10`."""
    parts = re.split(r"(\d+)", path)
    return (
        [int(part) if number % 2 else part for number, part in enumerate(parts)],
        path,
    )


def in_order(
    files: Sequence[T],
    path_of: Callable[[T], str],
    newest_order: Callable[[T], datetime | None],
) -> list[T]:
    """Sort the files of one table, oldest first; ties are sorted by name.

    Args:
        files: Files to sort.
        path_of: Returns the path of a file. Folders that hold all files don't count.
        newest_order: Returns the time of a file's newest order, None if there is none. Called only
            if the names don't determine the order.
    """
    if len(files) < 2:
        return list(files)
    paths = [path_of(file) for file in files]
    keys = _keys_of_names(_without_common_folders(paths))
    if keys is None:
        keys = [newest_order(file) or EARLIEST for file in files]
    ranked = sorted(
        range(len(files)), key=lambda number: (keys[number], natural_key(paths[number]))
    )
    return [files[number] for number in ranked]


def _without_common_folders(paths: list[str]) -> list[str]:
    """The paths in lower case, without the leading folders that they share."""
    folders = [path.split("/") for path in paths]
    common = 0
    while common < min(map(len, folders)) - 1 and len({parts[common] for parts in folders}) == 1:
        common += 1
    return ["/".join(parts[common:]).lower() for parts in folders]


def _keys_of_names(names: list[str]) -> list[Any] | None:
    """Sort keys from the dates or numbers in the names; None if the names don't determine them."""
    pairs = [
        (int(match["a"]), int(match["b"]))
        for name in names
        for match in DAY_OR_MONTH_FIRST.finditer(name)
    ]
    is_day_first = any(first > 12 for first, _ in pairs)
    if pairs and is_day_first == any(second > 12 for _, second in pairs):
        return None  # 01-02-2024 may be January or February
    dates = [_date(name, is_day_first) for name in names]
    if all(dates):
        return dates
    if len({re.sub(r"[\W\d_]+", "", name) for name in names}) > 1:
        return None
    return [tuple(map(int, re.findall(r"\d+", name))) for name in names]


def _date(name: str, is_day_first: bool) -> tuple[int, int, int] | None:
    """The first date in a name: year, month, and day or 0."""
    for match in DAY_OR_MONTH_FIRST.finditer(name):
        first, second = int(match["a"]), int(match["b"])
        return (int(match["y"]), *((second, first) if is_day_first else (first, second)))
    for pattern in DATES:
        for match in pattern.finditer(name):
            parts = {key: text for key, text in match.groupdict().items() if text}
            month = int(parts.get("m") or next(key[1:] for key in parts if key[1:].isdigit()))
            day = int(parts.get("d", 0))
            if 1 <= month <= 12 and day <= 31:
                return int(parts["y"]), month, day
    return None
