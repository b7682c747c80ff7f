"""Shards: the customers, or products, divided among tasks that score side by side.

The key and the number of shards alone determine the shard: it is the same on every machine, on
every day, in Postgres and in Python.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import md5

import numpy as np
from psycopg import sql

# Hash of a key: hex digits 9 to 16 of the MD5 of its UTF-8 bytes. The first eight select the sample
# of a large shop; if they selected the shard too, one shard would hold the whole sample.
FIRST_DIGIT, COUNT_DIGITS = 9, 8
COUNT_HASHES = 16**COUNT_DIGITS  # docs/decisions/workers.md: why ranges of a hash


@dataclass(frozen=True)
class Shard:
    """One of `count` shards.

    Attributes:
        number: From 0 to `count` - 1.
        count: Number of shards, at least 1.
    """

    number: int
    count: int

    def __str__(self) -> str:
        return f"{self.number + 1} of {self.count}"

    def split(self, count: int) -> list[Shard]:
        """Divide this shard into `count` smaller shards."""
        return [Shard(self.number * count + i, self.count * count) for i in range(count)]

    def holds(self, keys: Iterable[str]) -> np.ndarray:
        """Whether each key belongs to this shard, shape (n_keys,)."""
        return np.array([shard_number(key, self.count) == self.number for key in keys], dtype=bool)

    def condition(self, key: sql.Composable) -> sql.Composed:
        """SQL condition that is true for the rows of this shard.

        It is a range of the hash. features.customer_snapshots is indexed and ordered by the hash,
        so each shard reads its own rows only.

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
    """Number of the shard that a key belongs to, from 0 to `count` - 1.

    Args:
        key: Id of a customer or a product.
        count: Number of shards.

    Example:
        >>> [shard_number(key, count=4) for key in ("12346", "12347", "12348")]
        [3, 3, 2]
    """
    digits = md5(key.encode(), usedforsecurity=False).hexdigest()
    hash_of_key = int(digits[FIRST_DIGIT - 1 : FIRST_DIGIT - 1 + COUNT_DIGITS], 16)
    return hash_of_key * count // COUNT_HASHES


def _first_hash(number: int, count: int) -> str:
    """Smallest hash of a shard in hexadecimal; "g", above every hash, after the last shard."""
    first = -(-number * COUNT_HASHES // count)  # rounded up
    return f"{first:0{COUNT_DIGITS}x}" if first < COUNT_HASHES else "g"


def shards(count: int) -> list[Shard]:
    """All `count` shards."""
    return WHOLE.split(count)
