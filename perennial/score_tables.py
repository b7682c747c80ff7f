"""SQL that creates the score tables of a contract, for the owner role."""

from __future__ import annotations

from psycopg import sql

from perennial.contract_types import KEY_COLUMNS, ScoreColumn, ScoreTable


def creation(table: ScoreTable) -> sql.Composed:
    """Statement that creates a score table if it does not exist.

    The owner's default privileges grant the rights.
    """
    return sql.SQL(
        "create table if not exists {table} ({columns}, primary key ({key}))"
        " partition by range (as_of_date)"
    ).format(
        table=table.relation,
        columns=sql.SQL(", ").join(map(_column_ddl, table.columns)),
        key=sql.SQL(", ").join(map(sql.Identifier, (*KEY_COLUMNS, *table.key))),
    )


def comments(table: ScoreTable) -> list[sql.Composed]:
    """Statements that write the descriptions of the table and its columns as comments."""
    of_columns = [
        sql.SQL("comment on column {column} is {text}").format(
            column=sql.Identifier("scores", table.name, column.name),
            text=sql.Literal(column.description),
        )
        for column in table.columns
    ]
    of_table = sql.SQL("comment on table {table} is {text}").format(
        table=table.relation, text=sql.Literal(table.description)
    )
    return [of_table, *of_columns]


def _column_ddl(column: ScoreColumn) -> sql.Composed:
    # parsing the contract has checked the type against contract_yml.DATA_TYPE
    return sql.SQL("{name} {type}").format(
        name=sql.Identifier(column.name), type=sql.SQL(column.data_type)
    )
