"""Parse a score contract from its yml. Unknown and missing entries are errors."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from perennial import entities
from perennial.contract_types import (
    CUSTOMER_KEY,
    KINDS,
    MONTH,
    ONE_ROW_VIEWS,
    PREDICTS,
    RULES,
    STATUS_COLUMNS,
    WEEK,
    Contract,
    ContractError,
    ScoreColumn,
    ScoreTable,
)

QUESTION_META = {
    "question", "kind", "horizons_days", "lookback", "trained_each", "needs", "reads", "in_sql",
    "kept_days",
}  # fmt: skip
TABLE_META = {
    "entity", "keyed_by", "rows_per_entity", "headlines", "may_be_empty",
    *(f"in_{view}" for view in ONE_ROW_VIEWS),
}  # fmt: skip
COLUMN_META = {"min", "max", "values", "required_when_scored", "fact", "bounded_by"}
DATA_TYPE = re.compile(
    r"text|integer|bigint|double precision|numeric\(\d+,\d+\)|date|boolean|timestamp with time zone"
    r"|jsonb|(text|integer|bigint|double precision)\[\]"
)
# Columns that every score table has, besides its own: name -> type. Doc blocks describe them.
STATUS = {"score_status": "text", "score_reason": "text"}
STAMPS = {
    "model_name": "text",
    "model_version": "text",
    "run_id": "text",
    "publication_id": "bigint",
    "scored_at": "timestamp with time zone",
}
STATUSES = ("scored", "not_scored")


def doc_blocks(folder: Path) -> dict[str, str]:
    """Texts of the dbt doc blocks in a folder's Markdown files, by name."""
    block = re.compile(r"{%\s*docs\s+(\w+)\s*%}(.*?){%\s*enddocs\s*%}", re.DOTALL)
    return {
        name: " ".join(text.split())
        for path in sorted(folder.glob("*.md"))
        for name, text in block.findall(path.read_text())
    }


def parse(text: str, question: str, docs: dict[str, str]) -> Contract:
    """Parse a contract.

    Args:
        text: dbt properties (yml) with the source `scores`.
        question: Name that the source's meta must have as `question`.
        docs: Doc blocks by name, for descriptions of the form `{{ doc('name') }}`.

    Raises:
        ContractError: If an entry is missing or unknown; the message names file, table and column.
    """
    where = f"{question}.yml"
    sources = [source for source in yaml.safe_load(text)["sources"] if source["name"] == "scores"]
    if len(sources) != 1:
        raise ContractError(f"{where}: has {len(sources)} sources named scores, not one")
    meta = _meta(sources[0], QUESTION_META, where)
    tables = tuple(_table(table, where, docs) for table in sources[0].get("tables", []))
    _check_question(meta, tables, question, where)
    return Contract(
        question=question,
        kind=meta["kind"],
        tables=tables,
        horizons_days=tuple(meta.get("horizons_days", ())),
        is_looked_back_on=bool(meta.get("lookback", False)),
        trained_each=meta.get("trained_each", MONTH),
        needs=tuple(meta.get("needs", ())),
        reads=tuple(meta.get("reads", ())),
        is_in_sql=bool(meta.get("in_sql", False)),
        kept_days=meta.get("kept_days"),
    )


def _check_question(
    meta: dict[str, Any], tables: tuple[ScoreTable, ...], question: str, where: str
) -> None:
    if meta.get("question") != question:
        raise ContractError(f"{where}: meta names question {meta.get('question')!r}")
    if not tables or tables[0].name != question:
        raise ContractError(f"{where}: the first table must be named {question}")
    if meta.get("kind") not in KINDS:
        raise ContractError(f"{where}: kind {meta.get('kind')!r} is none of {', '.join(KINDS)}")
    if meta.get("trained_each", MONTH) not in (MONTH, WEEK):
        raise ContractError(f"{where}: trained_each is none of {MONTH}, {WEEK}")
    if meta.get("lookback") and (meta["kind"] != PREDICTS or not meta.get("horizons_days")):
        raise ContractError(f"{where}: lookback is for a question that predicts, with horizons")
    kept_days = meta.get("kept_days", 1)
    if not isinstance(kept_days, int) or kept_days < 1:
        raise ContractError(f"{where}: kept_days is no whole number from 1 up")
    if meta.get("in_sql") and meta["kind"] != RULES:
        raise ContractError(f"{where}: in_sql is for a question with rules")
    dealt = {table.entity.dealt_by for table in tables} - {None}
    if len(dealt) > 1:
        raise ContractError(f"{where}: tables are dealt by {', '.join(sorted(map(str, dealt)))}")


def _table(table: dict[str, Any], where: str, docs: dict[str, str]) -> ScoreTable:
    where = f"{where}, table {table['name']}"
    meta = _meta(table, TABLE_META, where)
    if "entity" not in meta:
        raise ContractError(f"{where}: lacks an entity")
    try:
        entity = entities.load(meta["entity"])
    except entities.EntityError as error:
        raise ContractError(f"{where}: {error}") from None
    result = ScoreTable(
        name=table["name"],
        description=_description(table, where, docs),
        entity=entity,
        keyed_by=tuple(meta.get("keyed_by", ())),
        rows_per_entity=int(meta.get("rows_per_entity", 1)),
        columns=_columns(table, where, docs),
        headlines=meta.get("headlines", {}),
        may_be_empty=bool(meta.get("may_be_empty", False)),
        shown_in={
            view: _named(meta[f"in_{view}"]) for view in ONE_ROW_VIEWS if f"in_{view}" in meta
        },
    )
    _check_table(result, where)
    return result


def _check_table(table: ScoreTable, where: str) -> None:
    names = set(table.column_names)
    needed = {*table.key, *(c.bounded_by for c in table.columns)} - {""}
    needed |= {column for columns in table.shown_in.values() for column in columns}
    if table.entity.is_personal:  # erasure selects rows by this column
        needed.add(CUSTOMER_KEY)
    if missing := sorted(needed - names):
        raise ContractError(f"{where}: lacks {', '.join(missing)}")
    if len(names) < len(table.columns):
        raise ContractError(f"{where}: a column stands twice")
    for view in table.shown_in:
        if table.key != ONE_ROW_VIEWS[view]:
            raise ContractError(f"{where}: in_{view} is for one row per {ONE_ROW_VIEWS[view][0]}")
    if CUSTOMER_KEY in names and not table.entity.is_personal:
        raise ContractError(f"{where}: has {CUSTOMER_KEY}, and {table.entity.name} is not personal")


def _named(columns: list[str | dict[str, str]]) -> dict[str, str]:
    """Convert `[a, {b: c}]` to `{a: a, b: c}`."""
    return {
        old: new
        for entry in columns
        for old, new in (entry.items() if isinstance(entry, dict) else [(entry, entry)])
    }


def _columns(table: dict[str, Any], where: str, docs: dict[str, str]) -> tuple[ScoreColumn, ...]:
    """The date, the columns of the yml, then common columns that the yml leaves out."""
    own = [_column(column, where, docs) for column in table.get("columns", [])]
    named = {column.name for column in own}
    common = {"as_of_date": "date"} | STATUS | STAMPS
    for column in own:
        if common.get(column.name, column.data_type) != column.data_type:
            raise ContractError(f"{where}, column {column.name}: is {common[column.name]}")
    added = {
        name: ScoreColumn(name, data_type, docs[name], values=_values(name))
        for name, data_type in common.items()
        if name not in named
    }
    first = [added.pop("as_of_date")] if "as_of_date" in added else []
    return (*first, *own, *added.values())


def _values(name: str) -> tuple[str, ...]:
    return STATUSES if name == STATUS_COLUMNS[0] else ()


def _column(column: dict[str, Any], where: str, docs: dict[str, str]) -> ScoreColumn:
    where = f"{where}, column {column['name']}"
    meta = _meta(column, COLUMN_META, where)
    data_type = str(column.get("data_type"))
    if not DATA_TYPE.fullmatch(data_type):
        raise ContractError(f"{where}: data_type {data_type!r} is not {DATA_TYPE.pattern}")
    return ScoreColumn(
        name=column["name"],
        data_type=data_type,
        description=_description(column, where, docs),
        minimum=meta.get("min"),
        maximum=meta.get("max"),
        values=tuple(meta.get("values", ())),
        is_required_when_scored=bool(meta.get("required_when_scored", False)),
        is_fact=bool(meta.get("fact", False)),
        bounded_by=meta.get("bounded_by", ""),
    )


def _meta(node: dict[str, Any], known: set[str], where: str) -> dict[str, Any]:
    meta: dict[str, Any] = {**node.get("meta", {}), **node.get("config", {}).get("meta", {})}
    if unknown := sorted(meta.keys() - known):
        raise ContractError(f"{where}: unknown meta {', '.join(unknown)}")
    return meta


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
