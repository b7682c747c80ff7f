"""Check that a batch's ids are distinct per order: rows must not replace rows of their own file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from psycopg import sql

from expectations.results import WARNING
from expectations.rules import Check, Rule, between
from perennial.casts import casts
from perennial.text import plain
from perennial.warehouse import connect

if TYPE_CHECKING:
    from perennial.settings import Settings
    from perennial.sources import SourceTable

# Share of a file's rows, or of its money, that a later row of the same key in it may replace.
REPLACED_MAX_RATE = 0.01
FEW_ROWS = 2  # so few rows stop nothing, however small the file
COLUMNS = ("file_id", "count_rows", "count_replaced", "replaced_rate", "replaced_money_rate")
EXAMPLES = 2


def replaced_check(table: SourceTable, file_ids: list[int]) -> Check:
    """Check that hardly any row of a file is replaced by a later row of the same file."""
    return Check(f"raw.{table.raw_table}", _replaced(table, file_ids), COLUMNS, replaced_suite())


def replaced_suite() -> list[Rule]:
    """Rules on the rows and money that a file replaces of its own."""
    columns = ("replaced_rate", "replaced_money_rate")
    return [
        # stop the run: different orders share an id
        *(between(name, most=REPLACED_MAX_RATE) for name in columns),
        # warn: some orders may share an id
        between("count_replaced", most=0, severity=WARNING),
    ]


def sentences(settings: Settings, table: SourceTable, file_ids: list[int]) -> list[str]:
    """A sentence for each file that replaces rows of its own, with the most repeated ids.

    The ids are those of orders and lines, never of customers.
    """
    query = sql.SQL(
        "with replaced as ({replaced}), examples as ("
        " select _file_id, string_agg(written || ' (' || count_rows || ' rows)', ', ') as keys"
        " from (select _file_id, string_agg(distinct written, ' = ') as written,"
        "  count(*) as count_rows, row_number() over"
        "  (partition by _file_id order by count(*) desc, key) as place"
        "  from ({rows}) as repeated group by _file_id, key) as ranked"
        " where place <= {examples} group by _file_id)"
        " select file_name, replaced.*, keys from replaced"
        " join ops.landed_files using (file_id) join examples on _file_id = file_id"
        " where count_replaced > 0 order by file_id"
    ).format(
        replaced=_replaced(table, file_ids),
        rows=_repeated(table, file_ids),
        examples=sql.Literal(EXAMPLES),
    )
    with connect(settings, "loader") as connection:
        files = connection.execute(query).fetchall()
    key = ", ".join(column.name for column in table.key_columns)
    return [
        f"{plain(name)}: {replaced:,} of {rows:,} rows of {table.raw_table}"
        f"{f' ({money:.1%} of their money)' if table.amount else ''} are replaced by a later row "
        f"of the same {key}, such as {plain(keys)}. Do different orders share an id? "
        "Spreadsheets round numbers of 12 digits and more: export ids as text"
        for name, _, rows, replaced, _, money, keys in files
    ]


def _key(table: SourceTable) -> sql.Composable:
    ids = [casts("UTC").as_id(sql.Identifier(c.name).as_string()) for c in table.key_columns]
    return sql.SQL(" || '/' || ").join(sql.SQL(f"({text})") for text in ids)


def _repeated(table: SourceTable, file_ids: list[int]) -> sql.Composed:
    """Query for rows with a key that their file repeats: key, content, amount, line."""
    amounts = [casts("UTC").as_number(sql.Identifier(name).as_string()) for name in table.amount]
    content = sql.SQL(", ").join(sql.Identifier(column.name) for column in table.columns)
    return sql.SQL(
        "select _file_id, _line, {key} as key, concat_ws('/', {written}) as written,"
        " row({content})::text as content, {amount} as amount"
        " from {table} where _file_id = any({file_ids}) and {key} <> ''"
        " and (_file_id, {key}) in (select _file_id, {key} from {table}"
        " where _file_id = any({file_ids}) group by 1, 2 having count(*) > 1)"
    ).format(
        key=_key(table),
        written=sql.SQL(", ").join(sql.Identifier(column.name) for column in table.key_columns),
        content=content,
        amount=sql.SQL(" * ").join(sql.SQL(f"({text})") for text in amounts or ["0"]),
        table=sql.Identifier("raw", table.raw_table),
        file_ids=sql.Literal(file_ids),
    )


def _replaced(table: SourceTable, file_ids: list[int]) -> sql.Composed:
    """Query for a row per file: number of rows, of replaced rows, and shares of rows and money."""
    amounts = [casts("UTC").as_number(sql.Identifier(name).as_string()) for name in table.amount]
    return sql.SQL(
        "with repeated as ({rows}), following as ("
        " select *, lead(content) over (partition by _file_id, key order by _line) as next_content"
        " from repeated), replaced as ("
        " select _file_id, count(*) as count_replaced, sum(abs(amount)) as amount"
        " from following where content <> next_content group by _file_id), files as ("
        " select _file_id, count(*) as count_rows, sum(abs({amount})) as amount from {table}"
        " where _file_id = any({file_ids}) group by _file_id), counted as ("
        " select _file_id as file_id, count_rows, coalesce(count_replaced, 0) as count_replaced,"
        "  coalesce(replaced.amount / nullif(files.amount, 0), 0)::double precision as money_rate"
        " from files left join replaced using (_file_id))"
        " select file_id, count_rows, count_replaced,"
        " case when count_replaced > {few} then count_replaced::double precision / count_rows"
        "  else 0 end as replaced_rate,"
        " case when count_replaced > {few} then money_rate else 0 end as replaced_money_rate"
        " from counted"
    ).format(
        rows=_repeated(table, file_ids),
        amount=sql.SQL(" * ").join(sql.SQL(f"({text})") for text in amounts or ["0"]),
        table=sql.Identifier("raw", table.raw_table),
        file_ids=sql.Literal(file_ids),
        few=sql.Literal(FEW_ROWS),
    )
