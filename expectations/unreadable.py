"""What staging can't read of a batch: how much of a column, and its form, never a value."""

from __future__ import annotations

from typing import TYPE_CHECKING

from psycopg import sql

from perennial import sources
from perennial.casts import casts
from perennial.shop import own
from perennial.warehouse import connect

if TYPE_CHECKING:
    from perennial.settings import Settings

# Kinds of columns that staging casts, and by which macro.
CASTS = {
    "number": "as_number",
    "whole_number": "as_whole_number",
    "date": "as_date",
    "timestamp": "as_shop_time",
}
ORDER_TIME = "as_order_time"
NUMBERS = ("number", "whole_number")
SHAPES, LONGEST_SHAPE = 3, 20


def value_and_cast(
    column: sources.SourceColumn, time_zone: str
) -> tuple[sql.Composable, sql.Composable]:
    """A raw column's value, null if it is blank, and what staging casts it to."""
    name = sql.Identifier(column.name)
    value = sql.SQL("nullif(btrim({}), '')").format(name)
    macro = ORDER_TIME if column.is_order_time else CASTS.get(column.kind)
    if macro is None:
        return value, value
    quoted = name.as_string()
    return value, sql.SQL("({})").format(sql.SQL(getattr(casts(time_zone), macro)(quoted)))


def unreadable_columns(settings: Settings, batch_id: int) -> list[str]:
    """A sentence for each column of a batch with values that staging will reject.

    A form shows 9 for a digit, a for a letter and ? for what is neither a usual sign: it says that
    dates have turned round, or numbers have commas, and nobody's data.
    """
    source = sources.load(settings.staging_source)
    time_zone, told = own(settings).time_zone, []
    with connect(settings, "loader") as connection:
        landed = connection.execute(
            "select table_name, array_agg(file_id) from ops.landed_files"
            " where batch_id = %s group by table_name",
            [batch_id],
        )
        files = dict(landed.fetchall())
        for table in source.tables:
            for column in table.columns:
                if column.kind not in CASTS or table.raw_table not in files:
                    continue
                query = _shapes(table, column, time_zone, files[table.raw_table])
                shapes = connection.execute(query).fetchall()
                if shapes:
                    unreadable, given = sum(row[1] for row in shapes), shapes[0][2]
                    forms = ", ".join(f"{shape!r} ({n:,})" for shape, n, _ in shapes[:SHAPES])
                    told.append(
                        f"Of {given:,} values of {table.raw_table}.{column.name}, "
                        f"{unreadable:,} ({unreadable / given:.1%}) are no "
                        f"{column.kind.replace('_', ' ')} that staging reads; their forms: {forms}"
                    )
    return told


def _shapes(
    table: sources.SourceTable, column: sources.SourceColumn, time_zone: str, file_ids: list[int]
) -> sql.Composed:
    value, cast = value_and_cast(column, time_zone)
    shape = sql.SQL(
        "left(regexp_replace(regexp_replace(regexp_replace({}, '[[:digit:]]', '9', 'g'),"
        " '[[:alpha:]]', 'a', 'g'), '[^9a .,:;/+-]', '?', 'g'), {})"
    ).format(sql.SQL("left({}, 100)").format(value), sql.Literal(LONGEST_SHAPE))
    return sql.SQL(
        "with given as (select {value} as value, {cast} is null as is_unreadable, {shape} as shape"
        " from {table} where _file_id = any({file_ids}))"
        " select shape, count(*), (select count(value) from given)"
        " from given where value is not null and is_unreadable"
        " group by shape order by count(*) desc, shape"
    ).format(
        value=value,
        cast=cast,
        shape=shape,
        table=sql.Identifier("raw", table.raw_table),
        file_ids=sql.Literal(file_ids),
    )
