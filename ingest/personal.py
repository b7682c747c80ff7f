"""Replace personal values before they reach raw: raw holds a keyed hash, the vault the original.

The replacement works on rows that are ready for COPY, so it is the same for every reader. Tables
without a personal column pass unchanged, unless a customer was erased: the customer's key is then
emptied in every row that the shop sends later.
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

HASH_CHARACTERS = 32  # 128 bits: two values of a shop never share a hash
WHOLE_RECORD = "*"  # column name in the vault for a record that could not be read
IN_THE_VAULT = b"in the vault: "
SPOOL_BYTES = 1 << 20
VAULT_ROWS = 10_000  # inserted together


def keyed_hash(key: bytes, value: bytes) -> str:
    """First half of the HMAC-SHA256 of the value, hexadecimal."""
    return hmac.digest(key, value, "sha256").hex()[:HASH_CHARACTERS]


def hashed(key: bytes, value: str) -> str:
    """Hash that raw holds for a personal value; a blank value is returned unchanged.

    Surrounding blanks and case don't count: people write one address in several ways.
    """
    plain = value.strip().casefold()
    return keyed_hash(key, plain.encode()) if plain else value


def hashed_id(key: bytes, value: str) -> str:
    """Hash that raw holds for a personal id: `17` and `17.0` share it; a guest's 0 is kept."""
    return value if is_nobody(value) else hashed(key, plain_id(value))


@dataclass
class Screen:
    """Replaces personal values in the rows of a table, before COPY.

    Attributes:
        key: Key of the hashes.
        table: Table that the rows are for.
        columns: Columns that the rows fill, behind the trace fields, in order.
        delimiter: Delimiter between fields, one byte.
        erased: Keyed hashes of erased customers.
        originals: Spool of the original values, written to the vault after the COPY.
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
        """Replace personal values by hashes in rows of CSV, and spool the originals."""
        if not self._personal and not self._owner:
            return data
        starts, ends = field_bounds(data, self.delimiter, len(Trace.columns) + len(self.columns))
        originals: dict[tuple[str, str], bytes] = {}
        pieces, position = [], 0
        for bounds in zip(starts.tolist(), ends.tolist(), strict=True):
            for place, value in self._replaced(data, bounds, originals):
                pieces += [data[position : bounds[0][place]], value]
                position = bounds[1][place]
        self._keep(originals)
        return b"".join([*pieces, data[position:]])

    def reject(self, reject: Reject) -> Reject:
        """Replace an unreadable record by its hash: any of its bytes may be personal."""
        if not self.table.pii_columns:
            return reject
        digest = keyed_hash(self.key, reject.content)
        self._keep({(WHOLE_RECORD, digest): reject.content})
        return Reject(reject.line, reject.reason, IN_THE_VAULT + digest.encode())

    def fill_vault(self, connection: psycopg.Connection[Any], file_id: int) -> None:
        """Write the spooled originals of the file into the vault, each value once a month."""
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
        originals: dict[tuple[str, str], bytes],
    ) -> Iterator[tuple[int, bytes]]:
        """Yield the changed fields of a row in order, place and new value; add to `originals`."""
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
                originals.setdefault((name, hashes[place]), values[place].encode())
                yield place, hashes[place].encode()

    def _is_erased(self, value: str) -> bool:
        return keyed_hash(self.key, plain_customer_id(value).encode()) in self.erased

    def _keep(self, originals: dict[tuple[str, str], bytes]) -> None:
        for (name, digest), value in originals.items():
            self.originals.write(json.dumps([name, digest, value.hex()]).encode() + b"\n")


Screening = Callable[[SourceTable, Layout], Screen | None]


def screening_of(settings: Settings, connection: psycopg.Connection[Any]) -> Screening:
    """Return a function that makes each table's Screen, or None if its rows pass unchanged."""
    rows = connection.execute("select keyed_hash from ops.erasures").fetchall()
    erased = frozenset(value for (value,) in rows)

    def screen(table: SourceTable, layout: Layout) -> Screen | None:
        if not table.pii_columns and not (erased and table.customer_key):
            return None
        return Screen(settings.pii_key, table, layout.landed_columns, layout.delimiter, erased)

    return screen


def field_bounds(data: bytes, delimiter: bytes, n_columns: int) -> tuple[Positions, Positions]:
    """Positions at which the fields of sound rows begin and end.

    Args:
        data: Rows of CSV, each ended by a line feed.
        delimiter: One byte.
        n_columns: Number of fields in each row.

    Returns:
        Starts and ends (exclusive), each of shape (n_rows, n_columns).
    """
    codes = np.frombuffer(data, np.uint8)
    quotes = np.flatnonzero(codes == QUOTE)
    row_ends = outside_quotes(np.flatnonzero(codes == LF), quotes)
    between = outside_quotes(np.flatnonzero(codes == delimiter[0]), quotes)
    between = between.reshape(len(row_ends), n_columns - 1)
    row_starts = np.concatenate([np.zeros(1, np.int64), row_ends + 1])[:-1]
    return np.hstack([row_starts[:, None], between + 1]), np.hstack([between, row_ends[:, None]])


def field_text(content: bytes) -> str:
    """Decode a CSV field; a missing value is decoded as an empty text."""
    if content[:1] == b'"':
        content = content[1:-1].replace(b'""', b'"')
    return content.decode()
