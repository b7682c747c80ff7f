"""Score contracts: what a question's tables look like and which values they may hold.

One place says it: the dbt source in `dbt_project/models/scores/<question>.yml`. The tables, their
comments, the check before publishing, the gate behind it and the reporting views follow from it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from psycopg import sql

from perennial.settings import DBT_PROJECT, SettingsError

SCORES = DBT_PROJECT / "models" / "scores"
# Published like a question, and none: how past answers to the questions turned out.
LOOKBACK = "lookback"

CUSTOMER_KEY = "customer_id"  # its name in every table behind raw
KEY_COLUMNS = ("as_of_date", "publication_id")
# What publish fills in itself; a question's frame holds the other columns.
STAMPED_COLUMNS = (
    "as_of_date",
    "model_name",
    "model_version",
    "run_id",
    "publication_id",
    "scored_at",
)
# Equal runs are equal in every column but these.
RUN_COLUMNS = ("run_id", "publication_id", "scored_at")
META = {"min", "max", "values", "required_when_scored", "fact", "bounded_by"}
STATUS_COLUMNS = ("score_status", "score_reason")
DATA_TYPE = re.compile(
    r"text|integer|bigint|double precision|numeric\(\d+,\d+\)|date|boolean|timestamp with time zone"
)


class ContractError(ValueError):
    """A contract is not one, or rows do not keep it; the message names table and column."""


@dataclass(frozen=True)
class ScoreColumn:
    """A column, the values it may hold, and whether a scored row must have one.

    A row that is not scored must have none, unless the column is a fact and no prediction.
    """

    name: str
    data_type: str
    description: str
    minimum: float | None = None
    maximum: float | None = None
    values: tuple[str, ...] = ()
    is_required_when_scored: bool = False
    is_fact: bool = False
    bounded_by: str = ""  # a column that this one is not above, unless that is 0


@dataclass(frozen=True)
class ScoreTable:
    """A table in `scores`: one row per as_of_date, publication_id and entity."""

    name: str
    description: str
    entity: tuple[str, ...]
    columns: tuple[ScoreColumn, ...]
    headlines: dict[str, str] = field(default_factory=dict)  # label: SQL over a date's rows
    may_be_empty: bool = False  # whether a date may have no rows

    @property
    def relation(self) -> sql.Identifier:
        """The table, quoted for SQL."""
        return sql.Identifier("scores", self.name)

    @property
    def column_names(self) -> tuple[str, ...]:
        """Names of all columns, in the table's order."""
        return tuple(column.name for column in self.columns)

    @property
    def question_columns(self) -> tuple[ScoreColumn, ...]:
        """Columns that the question's frame brings: entity, numbers, status and reason."""
        return tuple(column for column in self.columns if column.name not in STAMPED_COLUMNS)


@dataclass(frozen=True)
class Contract:
    """The score tables of one question."""

    question: str
    tables: tuple[ScoreTable, ...]

    @property
    def description(self) -> str:
        """What the question asks: the description of its first table."""
        return self.tables[0].description

    def table(self, name: str) -> ScoreTable:
        """The table of that name."""
        return next(table for table in self.tables if table.name == name)


def questions() -> list[str]:
    """Names of the questions about customers and products that have a contract."""
    return [name for name in published() if name != LOOKBACK]


def published() -> list[str]:
    """Names of all contracts: whatever `publish` writes."""
    return sorted(path.stem for path in SCORES.glob("*.yml"))


@cache
def load(question: str) -> Contract:
    """Read a question's contract.

    Raises:
        SettingsError: If there is no such question; the message lists those there are.
        ContractError: If the file lacks something that a contract needs.
    """
    if question not in published():
        raise SettingsError(
            f"unknown question {question!r}: choose one of {', '.join(published())}"
        )
    return parse((SCORES / f"{question}.yml").read_text(), question, doc_blocks(SCORES))


def doc_blocks(folder: Path) -> dict[str, str]:
    """Texts of the dbt doc blocks in a folder's Markdown files, by name."""
    block = re.compile(r"{%\s*docs\s+(\w+)\s*%}(.*?){%\s*enddocs\s*%}", re.DOTALL)
    return {
        name: " ".join(text.split())
        for path in sorted(folder.glob("*.md"))
        for name, text in block.findall(path.read_text())
    }


def parse(text: str, question: str, docs: dict[str, str]) -> Contract:
    """Make a contract of the text of its yml.

    Args:
        text: dbt properties with the source `scores`.
        question: What the tables' meta must name as their question.
        docs: Doc blocks by name, for descriptions that are `{{ doc('name') }}`.

    Raises:
        ContractError: If something is missing or unknown; the message names table and column.
    """
    sources = [source for source in yaml.safe_load(text)["sources"] if source["name"] == "scores"]
    tables = tuple(
        _table(table, question, docs) for source in sources for table in source["tables"]
    )
    if not tables:
        raise ContractError(f"contract of {question}: there is no table in a source named scores")
    return Contract(question, tables)


def _table(table: dict[str, Any], question: str, docs: dict[str, str]) -> ScoreTable:
    where = f"contract of {question}, table {table['name']}"
    meta = _meta(table)
    if meta.get("question") != question:
        raise ContractError(f"{where}: meta says question {meta.get('question')!r}")
    result = ScoreTable(
        name=table["name"],
        description=_description(table, where, docs),
        entity=tuple(meta.get("entity", ())),
        columns=tuple(_column(column, where, docs) for column in table["columns"]),
        headlines=meta.get("headlines", {}),
        may_be_empty=bool(meta.get("may_be_empty", False)),
    )
    needed = {*result.entity, *STAMPED_COLUMNS, *STATUS_COLUMNS}
    needed |= {column.bounded_by for column in result.columns if column.bounded_by}
    missing = sorted(needed - set(result.column_names))
    if missing or not result.entity:
        raise ContractError(f"{where}: lacks {', '.join(missing) or 'an entity'}")
    if len(set(result.column_names)) < len(result.column_names):
        raise ContractError(f"{where}: a column stands twice")
    return result


def _column(column: dict[str, Any], where: str, docs: dict[str, str]) -> ScoreColumn:
    where = f"{where}, column {column['name']}"
    meta = _meta(column)
    unknown = sorted(meta.keys() - META)
    if unknown:
        raise ContractError(f"{where}: unknown meta {', '.join(unknown)}")
    data_type = column.get("data_type")
    if not DATA_TYPE.fullmatch(str(data_type)):
        raise ContractError(f"{where}: data_type {data_type!r} is not {DATA_TYPE.pattern}")
    return ScoreColumn(
        name=column["name"],
        data_type=str(data_type),
        description=_description(column, where, docs),
        minimum=meta.get("min"),
        maximum=meta.get("max"),
        values=tuple(meta.get("values", ())),
        is_required_when_scored=bool(meta.get("required_when_scored", False)),
        is_fact=bool(meta.get("fact", False)),
        bounded_by=meta.get("bounded_by", ""),
    )


def _meta(node: dict[str, Any]) -> dict[str, Any]:
    return {**node.get("meta", {}), **node.get("config", {}).get("meta", {})}


def _description(node: dict[str, Any], where: str, docs: dict[str, str]) -> str:
    def resolve(match: re.Match[str]) -> str:
        if match[1] not in docs:
            raise ContractError(f"{where}: there is no doc block {match[1]!r}")
        return docs[match[1]]

    doc = r"""{{\s*doc\(\s*['"](\w+)['"]\s*\)\s*}}"""
    text = " ".join(re.sub(doc, resolve, node.get("description", "")).split())
    if not text:
        raise ContractError(f"{where}: has no description")
    return text


def creation(table: ScoreTable) -> sql.Composed:
    """Statement that makes a score table where there is none; for the owner role.

    The grants come from the owner's default privileges.
    """
    return sql.SQL(
        "create table if not exists {table} ({columns}, primary key ({key}))"
        " partition by range (as_of_date)"
    ).format(
        table=table.relation,
        columns=sql.SQL(", ").join(map(_column_ddl, table.columns)),
        key=sql.SQL(", ").join(map(sql.Identifier, (*KEY_COLUMNS, *table.entity))),
    )


def comments(table: ScoreTable) -> list[sql.Composed]:
    """Statements that say in the database what the table and its columns are."""
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
    # the type fits DATA_TYPE: checked when the contract was read
    return sql.SQL("{name} {type}").format(
        name=sql.Identifier(column.name),
        type=sql.SQL(column.data_type),
    )
