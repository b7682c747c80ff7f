"""The chain's steps, called one after the other without Airflow, as the DAGs' tasks call them."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd
from psycopg import sql

from expectations.days import gate_days
from expectations.features import gate_features
from expectations.raw import gate_raw
from expectations.rejects import gate_rejects
from ingest.batches import close_build
from ingest.land import land
from ml_tasks.engine.scoring import score_question
from ml_tasks.models import registry
from perennial import contracts
from perennial.dbt import BUILD
from perennial.settings import Settings
from perennial.warehouse import connect, read_frame
from tests.forked_dbt import dbt

# Columns that may differ between two runs of the same date.
STAMPS = {"run_id", "publication_id", "scored_at"}


def land_files(settings: Settings, as_of_date: date, files: Path | str) -> dict[str, Any]:
    """Land the files and run the raw gate."""
    landing = land(settings, as_of_date, str(files), "test").summary()
    gate_raw(settings, landing["batch_id"], as_of_date, "test")
    return landing


def build(settings: Settings, as_of_date: date) -> None:
    """Build marts and features of the date, and run the gates after them."""
    dbt(settings, as_of_date, *BUILD)
    close_build(settings)
    gate_rejects(settings, as_of_date, "test")
    gate_days(settings, as_of_date, "test")
    gate_features(settings, as_of_date, "test")


def score(settings: Settings, as_of_date: date, *questions: str) -> None:
    """Train what is missing, score and publish."""
    registry.initialise(settings)
    for question in questions or contracts.questions():
        score_question(settings, question, as_of_date, "test")


def rows(settings: Settings, relation: str, as_of_date: date) -> pd.DataFrame:
    """A relation's rows of a date, in a total order, without the stamps of a run."""
    schema, name = relation.split(".")
    role = "bi_reader" if schema == "reporting" else "scorer"
    with connect(settings, role) as connection:
        frame = read_frame(
            connection,
            sql.SQL("select * from {} where as_of_date = %s").format(sql.Identifier(schema, name)),
            [as_of_date],
        )
    kept = [column for column in frame.columns if column not in STAMPS]
    return frame[kept].sort_values(kept, key=lambda c: c.astype(str), ignore_index=True)


def score_relations() -> list[str]:
    """Each score table's history view, as BI reads it."""
    return [
        f"reporting.{table.name}_history"
        for question in contracts.questions()
        for table in contracts.load(question).tables
    ]


def primary_keys(settings: Settings, schema: str) -> dict[str, list[str]]:
    """Columns of every table's primary key in Postgres; [] where there is none."""
    with connect(settings, "transformer") as connection:
        rows = connection.execute(
            "select relname, array(select attname::text from unnest(conkey) with ordinality"
            " as key (number, position) join pg_attribute on attrelid = pg_class.oid"
            " and attnum = number order by position)"
            " from pg_class left join pg_constraint on conrelid = pg_class.oid and contype = 'p'"
            " where relnamespace = %s::regnamespace and relkind = 'r'",
            [schema],
        ).fetchall()
    return dict(rows)
