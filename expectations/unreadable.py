"""Sentences on unreadable records and columns of a batch, with the first line; never a value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from psycopg import sql

from ingest.csv_records import BACKSLASH_QUOTE, DELIMITER_AT_END, NOT_UTF8
from perennial import sources
from perennial.casts import cast_macro, value_and_cast
from perennial.shop import own
from perennial.text import plain
from perennial.warehouse import connect

if TYPE_CHECKING:
    import psycopg

    from perennial.settings import Settings

SHAPES, LONGEST_SHAPE = 3, 60
FILES, REASONS = 5, 3  # number of files, and of reasons per file, that are named
WRITTEN = {
    "id": "ids as text, with all digits (spreadsheets round 12 and more)",
    "number": "numbers as 1234.50 (1,234.50 is read, 1,234 may be two numbers)",
    "whole_number": "whole numbers as 12",
    "date": "dates as 2024-05-31",
    "timestamp": "times as 2024-05-31 22:00:00 (an offset, UTC, AM or PM may follow)",
}
REMEDIES = {
    NOT_UTF8: "have the file written in UTF-8",
    BACKSLASH_QUOTE: 'have quotes inside a text doubled ("")',
    DELIMITER_AT_END: "have the header end like the lines, or the lines like the header",
}
REJECTED = """
    with reasons as (
        select file_id, reason, count(*) as count_records, min(line_number) as first_line
        from ops.rejected_lines
        group by file_id, reason
    )

    select
        files.file_name, files.record_count, files.rejected_count,
        array_agg(reasons.reason order by count_records desc, reasons.first_line),
        array_agg(reasons.count_records order by count_records desc, reasons.first_line),
        array_agg(reasons.first_line order by count_records desc, reasons.first_line)
    from ops.landed_files as files
    inner join reasons on reasons.file_id = files.file_id
    where files.batch_id = %s
    group by files.file_id
    order by files.rejected_count desc, files.file_id
"""


def rejected_records(settings: Settings, batch_id: int) -> list[str]:
    """A sentence for each file of a batch with unreadable records: reasons, counts, first lines."""
    with connect(settings, "loader") as connection:
        files = connection.execute(REJECTED, [batch_id]).fetchall()
    sentences = []
    for name, given, rejected, *by_reason in files[:FILES]:
        reasons = list(zip(*by_reason, strict=True))
        parts = [
            f"{reason} ({count:,}, first on line {line:,})"
            for reason, count, line in reasons[:REASONS]
        ]
        if len(reasons) > REASONS:
            parts.append(f"and {len(reasons) - REASONS} more reasons")
        remedies = [REMEDIES[reason] for reason, *_ in reasons[:REASONS] if reason in REMEDIES]
        sentences.append(
            f"Of {given:,} records of {plain(name)}, {rejected:,} can't be read: "
            + "; ".join(parts)
            + (f": {', '.join(remedies)}" if remedies else "")
        )
    if len(files) > FILES:
        sentences.append(f"Records of {len(files) - FILES} more files can't be read")
    return sentences


def unreadable_columns(settings: Settings, batch_id: int) -> list[str]:
    """A sentence for each column of a batch with values that staging will reject.

    The sentence names forms of values: 9 for a digit, a for a letter, ? for an unusual sign. A form
    shows that day and month are swapped or that numbers have commas, and reveals no data.
    """
    source = sources.load(settings.staging_source)
    time_zone, sentences = own(settings).time_zone, []
    with connect(settings, "loader") as connection:
        landed = connection.execute(
            "select table_name, array_agg(file_id) from ops.landed_files"
            " where batch_id = %s group by table_name",
            [batch_id],
        )
        files = dict(landed.fetchall())
        for table in source.tables:
            for column in table.columns:
                if cast_macro(column) is None or table.raw_table not in files:
                    continue
                query = _shapes(table, column, time_zone, files[table.raw_table])
                shapes = connection.execute(query).fetchall()
                if shapes:
                    sentences.append(_sentence(connection, table, column, shapes))
    return sentences


def _sentence(
    connection: psycopg.Connection[Any],
    table: sources.SourceTable,
    column: sources.SourceColumn,
    shapes: list[tuple[Any, ...]],
) -> str:
    unreadable, given = sum(row[1] for row in shapes), shapes[0][2]
    forms = ", ".join(f"{shape!r} ({n:,})" for shape, n, *_ in shapes[:SHAPES])
    file_id, line = min(row[3] for row in shapes)
    (name,) = connection.execute(
        "select file_name from ops.landed_files where file_id = %s", [file_id]
    ).fetchone() or ("",)
    return (
        f"Of {given:,} values of {table.raw_table}.{column.name}, "
        f"{unreadable:,} ({unreadable / given:.1%}) are no "
        f"{column.kind.replace('_', ' ')} that staging reads; their forms: {forms}; "
        f"the first is on line {line:,} of {plain(name)}: have {WRITTEN[column.kind]} written"
    )


def _shapes(
    table: sources.SourceTable, column: sources.SourceColumn, time_zone: str, file_ids: list[int]
) -> sql.Composed:
    value, cast = value_and_cast(column, time_zone)
    shape = sql.SQL(
        "left(regexp_replace(regexp_replace(regexp_replace({}, '[[:digit:]]', '9', 'g'),"
        " '[[:alpha:]]', 'a', 'g'), '[^9a .,:;/+£$€-]', '?', 'g'), {})"
    ).format(sql.SQL("left({}, 100)").format(value), sql.Literal(LONGEST_SHAPE))
    return sql.SQL(
        "with given as (select {value} as value, {is_unreadable} as is_unreadable,"
        " {shape} as shape, array[_file_id, _line] as place"
        " from {table} where _file_id = any({file_ids}))"
        " select shape, count(*), (select count(value) from given), min(place)"
        " from given where value is not null and is_unreadable"
        " group by shape order by count(*) desc, shape"
    ).format(
        value=value,
        is_unreadable=cast if column.kind == "id" else sql.SQL("{} is null").format(cast),
        shape=shape,
        table=sql.Identifier("raw", table.raw_table),
        file_ids=sql.Literal(file_ids),
    )
