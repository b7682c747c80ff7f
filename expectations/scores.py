"""Gate behind scoring: checks the rows of a publication before it becomes the valid one.

Every rule follows from the question's contract, so that a new question has a gate with its yml.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from datetime import date
from itertools import pairwise
from typing import TYPE_CHECKING

from psycopg import sql

from expectations import rules
from expectations.gate import Summary, run_gate
from expectations.results import WARNING
from expectations.rules import BATCH, Check, Equals, Rule
from perennial.contracts import Contract, ScoreColumn, ScoreTable

if TYPE_CHECKING:
    from perennial.settings import Settings

# Warn if the share of scored rows is below this, though each other row has its reason.
SCORED_MIN_RATE = 0.5


def gate_scores(
    settings: Settings,
    contract: Contract,
    as_of_date: date,
    publication_id: int,
    run_id: str,
    row_counts: Mapping[str, int],
) -> Summary:
    """Check the rows of one publication, with the role scorer.

    Args:
        settings: Where the warehouse is.
        contract: Contract of the question.
        as_of_date: The scored date.
        publication_id: The publication.
        run_id: Run that wrote the rows.
        row_counts: Table -> number of rows written.

    Raises:
        expectations.results.GateFailed: If a critical rule failed; the rows must not be published.
    """
    checks = [
        Check(
            f"scores.{table.name}",
            rows=sql.SQL(
                "select * from {table} where as_of_date = {as_of_date}"
                " and publication_id = {publication_id}"
            ).format(
                table=table.relation,
                as_of_date=sql.Literal(as_of_date),
                publication_id=sql.Literal(publication_id),
            ),
            columns=table.column_names,
            rules=suite(table, as_of_date, row_counts[table.name]),
            may_be_empty=table.may_be_empty,
        )
        for table in contract.tables
    ]
    return run_gate(
        settings,
        "scorer",
        "scores",
        checks,
        as_of_date=as_of_date,
        run_id=run_id,
        publication_id=publication_id,
    )


def suite(table: ScoreTable, as_of_date: date, row_count: int) -> list[Rule]:
    """Rules of one score table. Its primary key already ensures one row per entity.

    Args:
        table: The score table's contract.
        as_of_date: The scored date.
        row_count: Number of rows written.
    """
    return [
        # stop the run: readers would get wrong or missing scores
        rules.row_count(row_count),
        *(rules.not_null(name) for name in (*table.key, "score_status")),
        *_entities(table, as_of_date),
        *_status(table),
        *(rule for column in table.question_columns for rule in _values(column)),
        *_bands(table),
        *_bounded(table),
        # warn: the scores are right but few
        rules.in_set("score_status", ["scored"], mostly=SCORED_MIN_RATE, severity=WARNING),
    ]


def _entities(table: ScoreTable, as_of_date: date) -> list[Rule]:
    if table.entity.covered is None:
        return []
    key = sql.SQL(", ").join(map(sql.Identifier, table.entity.key))
    query = sql.SQL(
        "select 1 from ({covered}) as known"
        " full join (select distinct {key} from {batch}) as given using ({key})"
        " where known.{first} is null or given.{first} is null"
    ).format(
        covered=table.entity.covered_on(sql.Literal(as_of_date)),
        key=key,
        batch=BATCH,
        first=sql.Identifier(table.entity.key[0]),
    )
    text = f"every {table.entity.name} known on the date has a row, and no other has"
    return [rules.no_rows(query, text)]


def _status(table: ScoreTable) -> list[Rule]:
    scored = Equals("score_status", "scored")
    not_scored = Equals("score_status", "not_scored")
    required = [column for column in table.question_columns if column.is_required_when_scored]
    return [
        rules.null("score_reason", where=scored),
        rules.not_null("score_reason", where=not_scored),
        *(rules.not_null(column.name, where=scored) for column in required),
        *(rules.null(column.name, where=not_scored) for column in required if not column.is_fact),
    ]


def _values(column: ScoreColumn) -> list[Rule]:
    result: list[Rule] = []
    if column.minimum is not None or column.maximum is not None:
        result.append(rules.between(column.name, column.minimum, column.maximum))
    if column.values:
        result.append(rules.in_set(column.name, column.values))
    return result


def _bands(table: ScoreTable) -> list[Rule]:
    """Quantiles and bounds are ascending: `_lower <= _p10 <= _p50 <= _upper`."""
    groups: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for name in table.column_names:
        if match := re.fullmatch(r"(.+)_(p(\d+)|lower|upper)", name):
            place = {"lower": 0, "upper": 100}.get(match[2]) or int(match[3] or 0)
            groups[match[1]].append((place, name))
    return [
        rules.at_least(high, low, ignores_nulls=True)
        for group in groups.values()
        for (_, low), (_, high) in pairwise(sorted(group))
    ]


def _bounded(table: ScoreTable) -> list[Rule]:
    """A column is not above the bounding column of its contract, unless the bound is 0."""
    queries = {
        column.name: sql.SQL(
            "select 1 from {batch} where {column} > {bound} and {bound} <> 0"
        ).format(
            batch=BATCH,
            column=sql.Identifier(column.name),
            bound=sql.Identifier(column.bounded_by),
        )
        for column in table.question_columns
        if column.bounded_by
    }
    return [
        rules.no_rows(query, f"{table.name}: {name} is not above its bound, unless that is 0")
        for name, query in queries.items()
    ]
