"""The chain's steps, called one after the other without Airflow: what the DAGs' tasks call."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd
from ingest.batches import close_build
from psycopg import sql

from expectations.features import gate_features
from expectations.raw import gate_raw
from ingest.land import land
from local.airflow import environment
from ml_tasks.shared import registry
from ml_tasks.shared.run import score_question
from perennial import contracts
from perennial.settings import DBT_PROJECT, Settings
from perennial.warehouse import connect, read_frame

BUILD = ("build", "--exclude", "resource_type:unit_test", "resource_type:exposure")  # as the DAG does

# What may differ between two runs of the same date.
STAMPS = {"run_id", "publication_id", "scored_at"}


def land_files(settings: Settings, as_of_date: date, files: Path | str) -> dict[str, Any]:
    """Land and let the gate decide."""
    landing = land(settings, as_of_date, str(files), "test").summary()
    gate_raw(settings, landing["batch_id"], as_of_date, "test")
    return landing


def dbt(settings: Settings, as_of_date: date, *arguments: str) -> str:
    """Run dbt on the home's warehouse and return what it printed; fails with that text."""
    env = environment(settings)
    variables = {
        "source": settings.staging_source,
        "as_of_date": str(as_of_date),
        "time_zone": env["PERENNIAL_TIME_ZONE"],
        "currency": env["PERENNIAL_CURRENCY"],
    }
    command = [str(Path(sys.executable).parent / "dbt"), *(arguments or BUILD)]
    command += ["--project-dir", str(DBT_PROJECT), "--profiles-dir", str(DBT_PROJECT)]
    done = subprocess.run(
        [*command, "--vars", json.dumps(variables)],
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    return done.stdout


def build(settings: Settings, as_of_date: date) -> None:
    """Marts and features of the date, and the gate behind them."""
    dbt(settings, as_of_date)
    close_build(settings)
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
