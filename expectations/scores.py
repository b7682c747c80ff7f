"""Gate behind scoring: asks the rows of one publication before the pointer is switched to them.

Every rule follows from the question's contract, so that a new question has its gate with its yml.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from datetime import date
from itertools import pairwise
from typing import TYPE_CHECKING

from psycopg import sql

from expectations.gate import BATCH, WARNING, Check, Summary, run_gate
from perennial.contracts import Contract, ScoreColumn, ScoreTable

if TYPE_CHECKING:
    import great_expectations.expectations as gxe

    from perennial.settings import Settings

# Below this share of scored rows somebody should look, though each row says why.
SCORED_MIN_RATE = 0.5


def gate_scores(
    settings: Settings,
    contract: Contract,
    as_of_date: date,
    publication_id: int,
    run_id: str,
    row_counts: Mapping[str, int],
) -> Summary:
    """Ask the rows of one publication, as scorer.

    Args:
        settings: Where the warehouse is.
        contract: What the rows must keep.
        as_of_date: Date that was scored.
        publication_id: The rows to look at.
        run_id: Run that wrote them.
        row_counts: Rows written, by table.

    Raises:
        expectations.gate.GateFailed: If they must not be shown to readers.
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
            expectations=suite(table, as_of_date, row_counts[table.name]),
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


def suite(table: ScoreTable, as_of_date: date, row_count: int) -> list[gxe.Expectation]:
    """Rules of one score table. That an entity has one row, its primary key sees to."""
    import great_expectations.expectations as gxe

    key = table.key
    return [
        # stop the run: readers would get wrong or missing scores
        gxe.ExpectTableRowCountToEqual(value=row_count),
        *(gxe.ExpectColumnValuesToNotBeNull(column=name) for name in (*key, "score_status")),
        *_entities(table, as_of_date),
        *_status(table),
        *(rule for column in table.question_columns for rule in _values(column)),
        *_bands(table),
        *_bounded(table),
        # tell a person: the scores are right but few
        gxe.ExpectColumnValuesToBeInSet(
            column="score_status", value_set=["scored"], mostly=SCORED_MIN_RATE, severity=WARNING
        ),
    ]


def _entities(table: ScoreTable, as_of_date: date) -> list[gxe.Expectation]:
    import great_expectations.expectations as gxe

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
    return [
        gxe.UnexpectedRowsExpectation(
            unexpected_rows_query=query.as_string(),
            description=f"every {table.entity.name} known on the date has a row, and no other has",
        )
    ]


def _status(table: ScoreTable) -> list[gxe.Expectation]:
    import great_expectations.expectations as gxe
    from great_expectations.expectations.row_conditions import Column

    scored = Column("score_status") == "scored"
    not_scored = Column("score_status") == "not_scored"
    required = [column for column in table.question_columns if column.is_required_when_scored]
    return [
        gxe.ExpectColumnValuesToBeNull(column="score_reason", row_condition=scored),
        gxe.ExpectColumnValuesToNotBeNull(column="score_reason", row_condition=not_scored),
        *(
            gxe.ExpectColumnValuesToNotBeNull(column=column.name, row_condition=scored)
            for column in required
        ),
        *(
            gxe.ExpectColumnValuesToBeNull(column=column.name, row_condition=not_scored)
            for column in required
            if not column.is_fact
        ),
    ]


def _values(column: ScoreColumn) -> list[gxe.Expectation]:
    import great_expectations.expectations as gxe

    rules: list[gxe.Expectation] = []
    if column.minimum is not None or column.maximum is not None:
        rules.append(
            gxe.ExpectColumnValuesToBeBetween(
                column=column.name, min_value=column.minimum, max_value=column.maximum
            )
        )
    if column.values:
        rules.append(
            gxe.ExpectColumnValuesToBeInSet(column=column.name, value_set=list(column.values))
        )
    return rules


def _bands(table: ScoreTable) -> list[gxe.Expectation]:
    """A lower quantile or bound is never above the next one: `_lower <= _p10 <= _p50 <= _upper`."""
    import great_expectations.expectations as gxe

    groups: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for name in table.column_names:
        if match := re.fullmatch(r"(.+)_(p(\d+)|lower|upper)", name):
            place = {"lower": 0, "upper": 100}.get(match[2]) or int(match[3] or 0)
            groups[match[1]].append((place, name))
    return [
        gxe.ExpectColumnPairValuesAToBeGreaterThanB(
            column_A=high, column_B=low, or_equal=True, ignore_row_if="either_value_is_missing"
        )
        for group in groups.values()
        for (_, low), (_, high) in pairwise(sorted(group))
    ]


def _bounded(table: ScoreTable) -> list[gxe.Expectation]:
    """A column is not above the one that its contract names, unless that one is 0."""
    import great_expectations.expectations as gxe

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
        gxe.UnexpectedRowsExpectation(
            unexpected_rows_query=query.as_string(),
            description=f"{table.name}: {name} is not above its bound, unless that is 0",
        )
        for name, query in queries.items()
    ]
