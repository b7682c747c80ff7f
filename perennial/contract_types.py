"""The data types of a score contract; `contracts` reads contracts from the yml files."""

from __future__ import annotations

from dataclasses import dataclass, field

from psycopg import sql

from perennial.entities import Entity

CUSTOMER_KEY = "customer_id"  # the key's name in every table from staging on
# Reporting views that join questions, a row per entity: the key of the tables that they may show.
ONE_ROW_VIEWS = {"customer_360": (CUSTOMER_KEY,), "product_outlook": ("product_id",)}
KEY_COLUMNS = ("as_of_date", "publication_id")
STATUS_COLUMNS = ("score_status", "score_reason")
# Columns that publish fills in; a question's frame holds the other columns.
STAMPED_COLUMNS = (
    "as_of_date",
    "model_name",
    "model_version",
    "run_id",
    "publication_id",
    "scored_at",
)
# Runs on the same data give equal rows except in these columns.
RUN_COLUMNS = ("run_id", "publication_id", "scored_at")

NUMBERS = ("integer", "bigint", "double precision", "numeric")  # how data types of numbers begin

# A question predicts (it trains models, compares challengers, and compares past scores with what
# happened), describes (it learns a structure without an outcome), or has rules (no training).
PREDICTS, DESCRIBES, RULES = "predicts", "describes", "rules"
KINDS = (PREDICTS, DESCRIBES, RULES)
MONTH, WEEK = "month", "week"


class ContractError(ValueError):
    """A contract is not valid, or rows break it; the message names file, table and column."""


@dataclass(frozen=True)
class ScoreColumn:
    """A column, its permitted values, and whether scored rows must have a value.

    In rows that are not scored the column must be null, unless it is a fact (not a prediction).
    """

    name: str
    data_type: str
    description: str
    minimum: float | None = None
    maximum: float | None = None
    values: tuple[str, ...] = ()
    is_required_when_scored: bool = False
    is_fact: bool = False
    bounded_by: str = ""  # a column that this one must not exceed, unless that column is 0

    @property
    def is_number(self) -> bool:
        """Whether its values are numbers; an array of numbers is none."""
        is_array = self.data_type.endswith("[]")
        return self.data_type.startswith(NUMBERS) and not is_array


@dataclass(frozen=True)
class ScoreTable:
    """A table in `scores`: one row per as_of_date, publication_id and key.

    Attributes:
        name: Name of the table.
        description: Description in sentences, with the grain.
        entity: What a row is about.
        columns: All columns: key, the question's own, status, stamps.
        keyed_by: Columns of the key besides the entity's.
        rows_per_entity: Approximate maximum number of rows per entity; if the entity is dealt by
            another entity's id, rows per that id.
        headlines: Label -> SQL aggregate over a date's rows, shown when a run ends.
        may_be_empty: Whether a date may have no rows.
        shown_in: Reporting view with a row per entity -> column -> its name there.
    """

    name: str
    description: str
    entity: Entity
    columns: tuple[ScoreColumn, ...]
    keyed_by: tuple[str, ...] = ()
    rows_per_entity: int = 1
    headlines: dict[str, str] = field(default_factory=dict)
    may_be_empty: bool = False
    shown_in: dict[str, dict[str, str]] = field(default_factory=dict)

    @property
    def relation(self) -> sql.Identifier:
        """The table with its schema, quoted for SQL."""
        return sql.Identifier("scores", self.name)

    @property
    def key(self) -> tuple[str, ...]:
        """Columns that identify a row within a publication."""
        return (*self.entity.key, *self.keyed_by)

    @property
    def column_names(self) -> tuple[str, ...]:
        """Names of all columns, in the contract's order."""
        return tuple(column.name for column in self.columns)

    @property
    def question_columns(self) -> tuple[ScoreColumn, ...]:
        """Columns of the question's frame: key, figures, status and reason."""
        return tuple(column for column in self.columns if column.name not in STAMPED_COLUMNS)


@dataclass(frozen=True)
class Contract:
    """A question and its score tables.

    Attributes:
        question: Name of the question.
        kind: PREDICTS, DESCRIBES or RULES.
        tables: Score tables; the first has the question's name.
        horizons_days: Horizons of the scores, in days.
        is_looked_back_on: Whether past scores are compared with what happened once a horizon has
            passed.
        trained_each: How often there are new training rows, MONTH or WEEK.
        needs: Optional tables of the source that the question requires.
        reads: Questions with scores that this question reads, for the same date.
        is_in_sql: Whether each table is one query of Postgres: its rows never enter Python.
        kept_days: Days that every date is kept; of older ones, the first of each month. None: all
            dates are kept alike.
    """

    question: str
    kind: str
    tables: tuple[ScoreTable, ...]
    horizons_days: tuple[int, ...] = ()
    is_looked_back_on: bool = False
    trained_each: str = MONTH
    needs: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()
    is_in_sql: bool = False
    kept_days: int | None = None

    @property
    def description(self) -> str:
        """Description of the question: that of its first table."""
        return self.tables[0].description

    @property
    def is_trained(self) -> bool:
        """Whether the question has models; rules have none."""
        return self.kind != RULES

    @property
    def dealt_by(self) -> str | None:
        """Column that deals the first table's rows into shards by hash; None: one shard only."""
        return None if self.is_in_sql else self.tables[0].entity.dealt_by

    def table(self, name: str) -> ScoreTable:
        """The table named `name`."""
        return next(table for table in self.tables if table.name == name)
