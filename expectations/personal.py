"""Detect untagged columns that look personal, from a sample of landed rows; no value is reported.

Names of persons look like names of products, so names are detected by the column's header. E-mail
addresses, telephone, bank and card numbers are detected by their form and check digit.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from psycopg import sql

from expectations.results import WARNING
from expectations.rules import Check, between
from perennial.sources import SourceTable

if TYPE_CHECKING:
    import psycopg

SAMPLE_ROWS = 2_000
HEADER = re.compile(
    r"e[-_ ]?mail|(first|last|given|family|middle|maiden|full|customer|person)[-_ ]?name|surname"
    r"|forename|tele?phone|phone|mobile|fax|street|address|post[-_ ]?code|zip[-_ ]?code|birth|iban"
    r"|passport|(credit|debit)[-_ ]?card|card[-_ ]?number|\bip[-_ ]?addr|tax[-_ ]?id|ssn",
    re.IGNORECASE,
)
EMAIL = re.compile(r"[^\s@,;]+@[^\s@,;]+\.[A-Za-z]{2,}")
PHONE = re.compile(r"(\+|\(|0)[\d ()/.-]{7,22}")
IBAN = re.compile(r"[A-Z]{2}\d{2}[A-Z0-9]{11,30}")
CARD = re.compile(r"\d{13,19}")


@dataclass(frozen=True)
class Finding:
    """What a column's values look like, and the share of such values, in [0, 1]."""

    what: str
    share: float


def is_phone(text: str) -> bool:
    """True if a text has the form of a telephone number; bare digits count as a code."""
    digits = re.sub(r"\D", "", text)
    is_marked = text[:1] == "+" or any(character in " ()/-" for character in text)
    return bool(PHONE.fullmatch(text)) and 8 <= len(digits) <= 15 and is_marked


def is_iban(text: str) -> bool:
    """True if a text is a bank account number with valid check digits (ISO 7064, mod 97-10)."""
    plain = text.replace(" ", "").upper()
    if not IBAN.fullmatch(plain):
        return False
    digits = "".join(str(int(character, 36)) for character in plain[4:] + plain[:4])
    return int(digits) % 97 == 1


def is_card(text: str) -> bool:
    """True if a text is a card number with a valid check digit (Luhn)."""
    plain = re.sub(r"[ -]", "", text)
    if not CARD.fullmatch(plain):
        return False
    doubled = [sum(divmod(2 * int(digit), 10)) for digit in plain[-2::-2]]
    return (sum(doubled) + sum(map(int, plain[-1::-2]))) % 10 == 0


# Kind of value, test of a value, and least share of such values to warn. By chance a check digit
# fits one code in ten, or one in ninety-seven.
KINDS = (
    ("e-mail addresses", lambda text: bool(EMAIL.search(text)), 0.001),
    ("bank account numbers", is_iban, 0.05),
    ("card numbers", is_card, 0.5),
    ("telephone numbers", is_phone, 0.2),
)


def looks_personal(header: str, values: Sequence[str]) -> Finding | None:
    """The personal data that a column seems to contain; None if there is none.

    Args:
        header: Name of the column in the shop's files.
        values: A sample of its values, without blank ones.
    """
    for what, matches, least in KINDS:
        share = sum(map(matches, values)) / len(values) if values else 0.0
        if share >= least:
            return Finding(what, share)
    return Finding("a person's, by its header", 1.0) if HEADER.search(header) else None


def personal_check(
    connection: psycopg.Connection[Any], source: str, table: SourceTable, file_ids: list[int]
) -> Check:
    """Check that no untagged text column of these files looks personal; a failure warns.

    Args:
        connection: Connection that may read raw and ops.
        source: Name of the source.
        table: The table of the source.
        file_ids: Landed files to sample.
    """
    there = _columns(connection, table)  # another rule stops the run for a missing column
    names = [
        (column.name, column.header)
        for column in table.columns
        if column.kind in ("text", "id") and not column.is_pii and column.name in there
    ]
    rows = _sample(connection, table, [name for name, _ in names], file_ids)
    shares, rules = [], []
    for index, (name, header) in enumerate(names):
        values = [text for row in rows if (text := (row[index] or "").strip())]
        finding = looks_personal(header, values)
        description = "no value looks personal"
        if finding:
            description = (
                f"{finding.share:.1%} of {len(values)} values looked at are {finding.what}: tag "
                f"the column `pii: true` in {source}__sources.yml, or leave it out "
                "(docs/privacy.md)"
            )
        shares.append(
            sql.SQL("{}::double precision as {}").format(
                sql.Literal(finding.share if finding else 0.0), sql.Identifier(name)
            )
        )
        rules.append(between(name, most=0, severity=WARNING, description=description))
    query = sql.SQL("select {}").format(sql.SQL(", ").join(shares))
    return Check(f"raw.{table.raw_table}", query, [name for name, _ in names], rules)


def _columns(connection: psycopg.Connection[Any], table: SourceTable) -> set[str]:
    rows = connection.execute(
        "select column_name from information_schema.columns"
        " where table_schema = 'raw' and table_name = %s",
        [table.raw_table],
    )
    return {name for (name,) in rows}


def _sample(
    connection: psycopg.Connection[Any],
    table: SourceTable,
    names: Sequence[str],
    file_ids: list[int],
) -> list[tuple[str | None, ...]]:
    """A sample of rows, spread evenly over the files."""
    row = connection.execute(
        "select coalesce(sum(landed_count), 0) from ops.landed_files where file_id = any(%s)",
        [file_ids],
    ).fetchone()
    assert row is not None
    query = sql.SQL(
        "select {columns} from {table} where _file_id = any(%s) and _line %% %s = 0 limit %s"
    ).format(
        columns=sql.SQL(", ").join(map(sql.Identifier, names)),
        table=sql.Identifier("raw", table.raw_table),
    )
    step = max(int(row[0]) // SAMPLE_ROWS, 1)
    return connection.execute(query, [file_ids, step, 2 * SAMPLE_ROWS]).fetchall()
