"""Shards: customers, or products, dealt to so many scorings that run side by side.

Whose a key is follows from the key and the number of shards alone: the same on every machine, on
every day, in Postgres and here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import md5

import numpy as np
from psycopg import sql

# Digits 9 to 16 of the MD5 of the key's UTF-8 bytes. The first eight say who is in a sample of a
# large shop: whoever sampled by them and dealt by them would deal all of it to one shard.
FIRST_DIGIT, COUNT_DIGITS = 9, 8


@dataclass(frozen=True)
class Shard:
    """One of `count` shards.

    Attributes:
        number: From 0 to `count` - 1.
        count: How many there are; at least 1.
    """

    number: int
    count: int

    def __str__(self) -> str:
        return f"{self.number + 1} of {self.count}"

    def slices(self, count: int) -> list[Shard]:
        """So many shards that together hold what this one holds."""
        return [Shard(self.number + self.count * i, self.count * count) for i in range(count)]

    def holds(self, keys: Iterable[str]) -> np.ndarray:
        """Whether each key is of this shard, shape (n_keys,)."""
        return np.array([shard_number(key, self.count) == self.number for key in keys], dtype=bool)

    def condition(self, key: sql.Composable) -> sql.Composed:
        """The same in SQL: true for the rows of this shard.

        Args:
            key: A text column, quoted for SQL.
        """
        return sql.SQL(
            "mod(('x' || substr(md5({key}), {first}, {digits}))::bit(32)::bigint, {count})"
            " = {number}"
        ).format(
            key=key,
            first=FIRST_DIGIT,
            digits=COUNT_DIGITS,
            count=self.count,
            number=self.number,
        )


WHOLE = Shard(0, 1)


def shard_number(key: str, count: int) -> int:
    """Number of the shard, of `count`, that a key belongs to."""
    digits = md5(key.encode(), usedforsecurity=False).hexdigest()
    return int(digits[FIRST_DIGIT - 1 : FIRST_DIGIT - 1 + COUNT_DIGITS], 16) % count


def shards(count: int) -> list[Shard]:
    """All shards of a number of them."""
    return WHOLE.slices(count)
