"""What a score contract is made of: see `contracts`, which reads and hands them out."""

from __future__ import annotations

from dataclasses import dataclass, field

from psycopg import sql

from perennial.entities import Entity

CUSTOMER_KEY = "customer_id"  # its name in every table behind raw
KEY_COLUMNS = ("as_of_date", "publication_id")
STATUS_COLUMNS = ("score_status", "score_reason")
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

# A question predicts (it trains, models contend, past scores are compared with what happened),
# describes (it learns a structure that has no outcome), or has rules (it trains nothing).
PREDICTS, DESCRIBES, RULES = "predicts", "describes", "rules"
KINDS = (PREDICTS, DESCRIBES, RULES)
MONTH, WEEK = "month", "week"


class ContractError(ValueError):
    """A contract is not one, or rows do not keep it; the message names file, table and column."""


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
    """A table in `scores`: one row per as_of_date, publication_id and key.

    Attributes:
        name: Of the table.
        description: In a sentence or more, the grain among them.
        entity: What a row is about.
        keyed_by: Columns of the key beside the entity's.
        rows_per_entity: How many rows an entity has at most, about; of an entity that is dealt by
            another's id, rows per id.
        columns: All of them: key, the question's own, status, stamps.
        headlines: Label -> SQL over a date's rows, shown when a run ends.
        may_be_empty: Whether a date may have no rows.
        in_customer_360: Column -> its name in reporting.customer_360.
    """

    name: str
    description: str
    entity: Entity
    columns: tuple[ScoreColumn, ...]
    keyed_by: tuple[str, ...] = ()
    rows_per_entity: int = 1
    headlines: dict[str, str] = field(default_factory=dict)
    may_be_empty: bool = False
    in_customer_360: dict[str, str] = field(default_factory=dict)

    @property
    def relation(self) -> sql.Identifier:
        """The table, quoted for SQL."""
        return sql.Identifier("scores", self.name)

    @property
    def key(self) -> tuple[str, ...]:
        """Columns that tell the rows of a publication apart."""
        return (*self.entity.key, *self.keyed_by)

    @property
    def column_names(self) -> tuple[str, ...]:
        """Names of all columns, in the contract's order."""
        return tuple(column.name for column in self.columns)

    @property
    def question_columns(self) -> tuple[ScoreColumn, ...]:
        """Columns that the question's frame brings: key, numbers, status and reason."""
        return tuple(column for column in self.columns if column.name not in STAMPED_COLUMNS)


@dataclass(frozen=True)
class Contract:
    """What a question is, and its score tables.

    Attributes:
        question: Its name.
        kind: PREDICTS, DESCRIBES or RULES.
        tables: Its tables; the first is named like the question.
        horizons_days: How far ahead its scores look, days.
        is_looked_back_on: Whether past scores are compared with what happened once a horizon has
            passed.
        trained_each: How often there is something new to learn, MONTH or WEEK.
        needs: Tables that a shop may leave out and that the question can't do without.
        reads: Questions whose scores of the same date it reads.
    """

    question: str
    kind: str
    tables: tuple[ScoreTable, ...]
    horizons_days: tuple[int, ...] = ()
    is_looked_back_on: bool = False
    trained_each: str = MONTH
    needs: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()

    @property
    def description(self) -> str:
        """What the question asks: the description of its first table."""
        return self.tables[0].description

    @property
    def is_trained(self) -> bool:
        """Whether it has models; rules have none."""
        return self.kind != RULES

    @property
    def dealt_by(self) -> str | None:
        """Column by whose hash its own table is dealt into shards; None: the first has it all."""
        return self.tables[0].entity.dealt_by

    def table(self, name: str) -> ScoreTable:
        """The table of that name."""
        return next(table for table in self.tables if table.name == name)
