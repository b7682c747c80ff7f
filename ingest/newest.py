"""The newest order in the shop's files: the day after it is the date to score by default.

Order times are parsed by Postgres with staging's own cast, so that this module and a build agree.
"""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from psycopg import sql

from ingest.copies import copies
from ingest.csv_records import MAX_RECORD_BYTES
from ingest.files import TABLE_PREFIX, LandingError, find
from ingest.order import in_order
from ingest.reading import Candidate, prepare, read_rows, table_of
from perennial import sources
from perennial.casts import casts, value_and_cast
from perennial.settings import Settings
from perennial.shop import own
from perennial.sources import Source, SourceColumn, SourceTable
from perennial.warehouse import connect

if TYPE_CHECKING:
    import psycopg

PLACEHOLDER = "{as_of_date}"
VALUES_AT_ONCE = 50_000  # distinct values that one query parses


@dataclass(frozen=True)
class OrderTimes:
    """The order times of files, as staging parses them.

    Attributes:
        newest_at: Time of the newest order; None if no order has a time.
        newest_date: Day of the newest order in the shop's time zone.
        given_count: Orders, or order lines, with a time.
        unreadable_count: Orders, or order lines, with a time that staging rejects.
        latest_unreadable: The latest date that a rejected time begins with; empty if none does.
    """

    newest_at: datetime | None = None
    newest_date: date | None = None
    given_count: int = 0
    unreadable_count: int = 0
    latest_unreadable: str = ""

    def __or__(self, other: OrderTimes) -> OrderTimes:
        """The order times of both sets of files together."""
        newer = max((self, other), key=lambda t: t.newest_at.timestamp() if t.newest_at else 0)
        return OrderTimes(
            newer.newest_at,
            newer.newest_date,
            self.given_count + other.given_count,
            self.unreadable_count + other.unreadable_count,
            max(self.latest_unreadable, other.latest_unreadable),
        )

    @property
    def passed_over(self) -> str:
        """A clause on the times that staging rejects; empty if there are none."""
        if not self.unreadable_count:
            return ""
        latest = f", the latest of {self.latest_unreadable}" if self.latest_unreadable else ""
        return (
            f"{self.unreadable_count:,} of {self.given_count:,} order times are passed over"
            f"{latest}: staging can't read them, or they lie before 1990 or in the future"
        )


def newest_orders(settings: Settings) -> tuple[date, str]:
    """Find the newest order in FILES; Postgres must run.

    Returns:
        The shop-local day of the newest order, and a clause on order times that staging rejects
        (empty if there are none).

    Raises:
        LandingError: If no order has a time that staging reads.
    """
    source = sources.load(settings.staging_source)
    table, column = order_time_of(source)
    with connect(settings, "loader") as connection:
        if settings.files.startswith(TABLE_PREFIX):
            times = _of_table(connection, settings, table, column)
        else:
            times = OrderTimes()
            with copies(settings) as folder:
                for file in find(settings.files, date.min, settings.max_file_bytes):
                    if table_of(source, file) == table:
                        candidate = prepare(file, table, folder)
                        times |= order_times(connection, settings, candidate, column)
    if times.newest_date is None:
        cause = times.passed_over or f"column {column.header!r} is empty, or has no rows"
        raise LandingError(
            f"{settings.files} has no order with a time that staging can read, so the day of the "
            f"newest order is not known ({cause}): write times like 2011-09-10 08:00:00 in column "
            f"{column.header!r}, or give the date to score, AS_OF=2011-09-10"
        )
    return times.newest_date, times.passed_over


def order_time_of(source: Source) -> tuple[SourceTable, SourceColumn]:
    """The table and column that hold the time of an order."""
    ((table, column),) = (
        (table, column)
        for table in source.tables
        for column in table.columns
        if column.is_order_time
    )
    return table, column


def order_times(
    connection: psycopg.Connection[Any],
    settings: Settings,
    candidate: Candidate,
    column: SourceColumn,
) -> OrderTimes:
    """Read a file's order times as a stream and parse them as staging does."""
    layout = candidate.layout
    columns = tuple(name if name == column.name else None for name in layout.columns)
    stamp = b"%d" + layout.delimiter + b"%b\n"
    chunks = read_rows(candidate, replace(layout, columns=columns), stamp)
    query = sql.SQL("select key as {}, value::bigint as count from json_each_text(%s::json)")
    given = query.format(sql.Identifier(column.name))
    times = OrderTimes()
    for counts in _counted(_values(chunk.data, layout.delimiter) for chunk in chunks):
        times |= _query_times(connection, settings, column, given, [json.dumps(counts)])
    return times


def _values(rows: bytes, delimiter: bytes) -> list[str]:
    """The value behind the line number of each row."""
    text, sign = rows.decode(), delimiter.decode()
    if '"' not in text:
        return [row.partition(sign)[2] for row in text.split("\n")[:-1]]
    csv.field_size_limit(MAX_RECORD_BYTES)
    return [value for _, value in csv.reader(io.StringIO(text, newline=""), delimiter=sign)]


def in_landing_order(
    settings: Settings, source: Source, candidates: Iterable[Candidate]
) -> list[Candidate]:
    """Sort the files, table by table, in the order in which they land: the later one counts.

    Args:
        settings: Settings of the home; its warehouse parses order times.
        source: Source of the files.
        candidates: The files.
    """
    order_table, column = order_time_of(source)
    by_table = {table.name: [c for c in candidates if c.table == table] for table in source.tables}
    times: dict[str, datetime | None] = {}

    def newest_order(candidate: Candidate) -> datetime | None:
        if candidate.table == order_table:
            with connect(settings, "loader") as connection:
                newest = order_times(connection, settings, candidate, column).newest_at
            times[_rest_of_name(candidate)] = newest
        return times.get(_rest_of_name(candidate))

    tables = sorted(source.tables, key=lambda table: table != order_table)
    ordered = {
        table.name: in_order(by_table[table.name], lambda c: c.file.path, newest_order)
        for table in tables
    }
    return [candidate for table in source.tables for candidate in ordered[table.name]]


def _rest_of_name(candidate: Candidate) -> str:
    """The part of a file's name behind the table's name: `_b` for `orders_b.csv`."""
    name = candidate.file.base_name.lower()
    fixed = max((pattern.partition("*")[0] for pattern in candidate.table.files), key=len)
    return name.removeprefix(fixed).partition(".")[0]


def _counted(chunks: Iterable[list[str]]) -> Iterator[Counter[str]]:
    """Yield distinct values with their counts, about VALUES_AT_ONCE at a time."""
    counts: Counter[str] = Counter()
    for values in chunks:
        counts.update(values)
        if len(counts) >= VALUES_AT_ONCE:
            yield counts
            counts = Counter()
    yield counts


def _of_table(
    connection: psycopg.Connection[Any],
    settings: Settings,
    table: SourceTable,
    column: SourceColumn,
) -> OrderTimes:
    schema = settings.files.removeprefix(TABLE_PREFIX)
    given = sql.SQL("select {}::text as {}, 1 as count from {}").format(
        sql.Identifier(column.header),
        sql.Identifier(column.name),
        sql.Identifier(schema, table.name),
    )
    return _query_times(connection, settings, column, given, [])


def _query_times(
    connection: psycopg.Connection[Any],
    settings: Settings,
    column: SourceColumn,
    given: sql.Composable,
    values: list[Any],
) -> OrderTimes:
    """Let Postgres parse the given times with staging's cast, as if they were landed now.

    Args:
        connection: Connection as loader.
        settings: Settings of the home: source and time zone.
        column: Column of the order time.
        given: Query of the times: the column's name (text), and count.
        values: Parameters of `given`.
    """
    time_zone = own(settings).time_zone
    value, cast = value_and_cast(column, time_zone)
    day = sql.SQL(casts(time_zone).shop_date("ordered_at"))
    query = sql.SQL(
        "read as materialized ("
        " select count, {value} as value, {cast} as ordered_at"
        " from (select *, now() as _loaded_at from given) as landed)"
        " select max(ordered_at), max({day}),"
        " coalesce(sum(count) filter (where value is not null), 0)::bigint,"
        " coalesce(sum(count) filter (where value is not null and ordered_at is null), 0)::bigint,"
        ' coalesce(max(left(value, 10) collate "C") filter (where ordered_at is null'
        "  and value ~ '^[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}'), '')"
        " from read"
    ).format(value=value, cast=cast, day=day)
    as_written = sql.SQL(query.as_string().replace("%", "%%"))  # % is no placeholder in it
    row = connection.execute(
        sql.SQL("with given as ({}), {}").format(given, as_written), values
    ).fetchone()
    assert row is not None
    return OrderTimes(*row)
