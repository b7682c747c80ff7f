"""Personal values on their way to raw: a keyed hash goes in, the original goes to the vault.

It works on rows that are ready for COPY, so it is the same for every reader. Tables without a
personal column never come here, unless somebody was erased: an erased customer's key is emptied
again in whatever the shop sends later.
"""

from __future__ import annotations

import hmac
import json
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import IO, Any

import numpy as np
import psycopg

from ingest.csv_records import LF, QUOTE, Positions, Reject, outside_quotes
from ingest.rows import Layout, Trace
from perennial.ids import is_nobody, plain_customer_id, plain_id
from perennial.settings import Settings
from perennial.sources import SourceTable

HASH_CHARACTERS = 32  # 128 bits: two values of a shop never share one
WHOLE_RECORD = "*"  # stands in the vault for the column's name where a record could not be read
IN_THE_VAULT = b"in the vault: "
SPOOL_BYTES = 1 << 20
VAULT_ROWS = 10_000  # inserted together


def keyed_hash(key: bytes, value: bytes) -> str:
    """HMAC-SHA256, hexadecimal, its first half."""
    return hmac.digest(key, value, "sha256").hex()[:HASH_CHARACTERS]


def hashed(key: bytes, value: str) -> str:
    """What raw holds for a personal value; a blank one stays as it is.

    Blanks around it and case don't count: people write one address in several ways.
    """
    plain = value.strip().casefold()
    return keyed_hash(key, plain.encode()) if plain else value


def hashed_id(key: bytes, value: str) -> str:
    """What raw holds for a personal id: one hash for `17` and `17.0`; a guest's 0 stays."""
    return value if is_nobody(value) else hashed(key, plain_id(value))


@dataclass
class Screen:
    """What rows of a table pass on their way to COPY.

    Attributes:
        key: Of the hashes.
        table: Table that the rows are for.
        columns: Its columns that they fill, behind the trace, in order.
        delimiter: Between fields.
        erased: Keyed hashes of customers who were erased.
        originals: What goes to the vault once the COPY is over.
    """

    key: bytes
    table: SourceTable
    columns: list[str]
    delimiter: bytes
    erased: frozenset[str]
    originals: IO[bytes] = field(init=False)

    def __post_init__(self) -> None:
        self.originals = tempfile.SpooledTemporaryFile(SPOOL_BYTES)  # noqa: SIM115
        places = {name: len(Trace.columns) + index for index, name in enumerate(self.columns)}
        pii = {column.name for column in self.table.pii_columns}
        self._personal = {place: name for name, place in places.items() if name in pii}
        owner = self.table.customer_key
        self._key_name = owner.name if owner else ""
        self._owner = owner if owner and self.erased and owner.name in places else None
        self._owner_place = places[self._owner.name] if self._owner else -1
        self._emptied = sorted(places.values())
        if not self.table.describes_customers:
            self._emptied = sorted({*self._personal, self._owner_place} - {-1})

    def rows(self, data: bytes) -> bytes:
        """The rows with hashes in the place of personal values."""
        if not self._personal and not self._owner:
            return data
        starts, ends = field_bounds(data, self.delimiter, len(Trace.columns) + len(self.columns))
        found: dict[tuple[str, str], bytes] = {}
        pieces, position = [], 0
        for bounds in zip(starts.tolist(), ends.tolist(), strict=True):
            for place, value in self._replaced(data, bounds, found):
                pieces += [data[position : bounds[0][place]], value]
                position = bounds[1][place]
        self._keep(found)
        return b"".join([*pieces, data[position:]])

    def reject(self, reject: Reject) -> Reject:
        """The record as ops may show it: nobody knows which of its bytes are personal."""
        if not self.table.pii_columns:
            return reject
        digest = keyed_hash(self.key, reject.content)
        self._keep({(WHOLE_RECORD, digest): reject.content})
        return Reject(reject.line, reject.reason, IN_THE_VAULT + digest.encode())

    def fill_vault(self, connection: psycopg.Connection[Any], file_id: int) -> None:
        """Write the originals of the file into the vault, each once a month."""
        self.originals.seek(0)
        lines = iter(self.originals.readline, b"")
        while batch := [json.loads(line) for line in islice(lines, VAULT_ROWS)]:
            connection.execute("select vault.ensure_month()")
            names, digests, values = zip(*batch, strict=True)
            connection.execute(
                "insert into vault.originals (table_name, column_name, keyed_hash, value, file_id)"
                " select %s, column_name, keyed_hash, decode(value, 'hex'), %s"
                " from unnest(%s::text[], %s::text[], %s::text[])"
                " as found (column_name, keyed_hash, value) on conflict do nothing",
                [self.table.raw_table, file_id, list(names), list(digests), list(values)],
            )
        self.originals.close()

    def _replaced(
        self,
        data: bytes,
        bounds: tuple[list[int], list[int]],
        found: dict[tuple[str, str], bytes],
    ) -> Iterator[tuple[int, bytes]]:
        """Fields of a row that change, in order, and what they become; originals go to `found`."""
        values = {
            place: field_text(data[bounds[0][place] : bounds[1][place]])
            for place in {*self._personal, self._owner_place} - {-1}
        }
        hashes = {
            place: (hashed_id if name == self._key_name else hashed)(self.key, values[place])
            for place, name in self._personal.items()
        }
        if self._owner is not None:
            owner = hashes.get(self._owner_place, values[self._owner_place])
            if self._is_erased(owner):
                yield from ((place, b"") for place in self._emptied)
                return
        for place, name in self._personal.items():
            if hashes[place] != values[place]:
                found.setdefault((name, hashes[place]), values[place].encode())
                yield place, hashes[place].encode()

    def _is_erased(self, value: str) -> bool:
        return keyed_hash(self.key, plain_customer_id(value).encode()) in self.erased

    def _keep(self, found: dict[tuple[str, str], bytes]) -> None:
        for (name, digest), value in found.items():
            self.originals.write(json.dumps([name, digest, value.hex()]).encode() + b"\n")


Screening = Callable[[SourceTable, Layout], Screen | None]


def screening_of(settings: Settings, connection: psycopg.Connection[Any]) -> Screening:
    """What gives each table its screen in a landing; None where rows may pass as they are."""
    rows = connection.execute("select keyed_hash from ops.erasures").fetchall()
    erased = frozenset(value for (value,) in rows)

    def screen(table: SourceTable, layout: Layout) -> Screen | None:
        if not table.pii_columns and not (erased and table.customer_key):
            return None
        return Screen(settings.pii_key, table, layout.landed_columns, layout.delimiter, erased)

    return screen


def field_bounds(data: bytes, delimiter: bytes, n_columns: int) -> tuple[Positions, Positions]:
    """Where the fields of sound rows begin and end, each of shape (n_rows, n_columns).

    Args:
        data: Rows of CSV, each ended by a line feed.
        delimiter: One byte.
        n_columns: Fields of each row.
    """
    codes = np.frombuffer(data, np.uint8)
    quotes = np.flatnonzero(codes == QUOTE)
    row_ends = outside_quotes(np.flatnonzero(codes == LF), quotes)
    between = outside_quotes(np.flatnonzero(codes == delimiter[0]), quotes)
    between = between.reshape(len(row_ends), n_columns - 1)
    row_starts = np.concatenate([np.zeros(1, np.int64), row_ends + 1])[:-1]
    return np.hstack([row_starts[:, None], between + 1]), np.hstack([between, row_ends[:, None]])


def field_text(content: bytes) -> str:
    """The text of a CSV field; empty for a missing value, too."""
    if content[:1] == b'"':
        content = content[1:-1].replace(b'""', b'"')
    return content.decode()
