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
COUNT_HASHES = 16**COUNT_DIGITS  # docs/decisions/workers.md: why ranges of a hash


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

    def split(self, count: int) -> list[Shard]:
        """So many shards that together hold what this one holds."""
        return [Shard(self.number * count + i, self.count * count) for i in range(count)]

    def holds(self, keys: Iterable[str]) -> np.ndarray:
        """Whether each key is of this shard, shape (n_keys,)."""
        return np.array([shard_number(key, self.count) == self.number for key in keys], dtype=bool)

    def condition(self, key: sql.Composable) -> sql.Composed:
        """The same in SQL: true for the rows of this shard.

        A range of the hash, which is an index of features.customer_snapshots, in whose order its
        rows lie: of so many shards each reads its own rows alone.

        Args:
            key: A text column, quoted for SQL.
        """
        return sql.SQL(
            'substr(md5({key}), {first_digit}, {digits}) collate "C" >= {first}'
            ' and substr(md5({key}), {first_digit}, {digits}) collate "C" < {end}'
        ).format(
            key=key,
            first_digit=FIRST_DIGIT,
            digits=COUNT_DIGITS,
            first=_first_hash(self.number, self.count),
            end=_first_hash(self.number + 1, self.count),
        )


WHOLE = Shard(0, 1)


def shard_number(key: str, count: int) -> int:
    """Number of the shard, of `count`, that a key belongs to."""
    digits = md5(key.encode(), usedforsecurity=False).hexdigest()
    hash_of_key = int(digits[FIRST_DIGIT - 1 : FIRST_DIGIT - 1 + COUNT_DIGITS], 16)
    return hash_of_key * count // COUNT_HASHES


def _first_hash(number: int, count: int) -> str:
    """The least hash of a shard in hexadecimal; after the last shard, what follows every hash."""
    first = -(-number * COUNT_HASHES // count)  # rounded up
    return f"{first:0{COUNT_DIGITS}x}" if first < COUNT_HASHES else "g"


def shards(count: int) -> list[Shard]:
    """All shards of a number of them."""
    return WHOLE.split(count)
