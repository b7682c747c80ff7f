"""Publishing scores beside a bare COPY of the same rows into an equally indexed table, in one run.

`python -m benchmarks.publishing [ROWS] [ROUNDS]`; the table is churn's. A bare COPY checks nothing,
proves nothing (no checksum, no gate) and shows readers what it has so far.
"""

from __future__ import annotations

import shutil
import sys
import time
from datetime import date
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import psycopg
from psycopg import sql

from benchmarks.results import WORKSPACE, keep_speeds
from benchmarks.warehouse import fresh_settings
from local import postgres
from ml_tasks.shared.model import TrainedModel
from ml_tasks.shared.publish import publish
from perennial import contracts
from perennial.warehouse import connect

if TYPE_CHECKING:
    from perennial.settings import Settings

ROWS, ROUNDS = 1_000_000, 3
LEAST_SHARE = 0.7
DAY = date(2024, 3, 1)
MODEL = TrainedModel("coin", DAY, {"seed": 7})
CHURN = contracts.load("churn")
BARE = sql.Identifier("scores", "bare_copy")
ORIGINAL = sql.Identifier("scores", "churn")


def main(rows: int = ROWS, rounds: int = ROUNDS) -> int:
    """Print the table; 1 if publishing is slower than it has to be."""
    folder = WORKSPACE / "publishing"
    settings = fresh_settings(folder, "canonical")
    postgres.start(settings)
    try:
        return _compare(settings, rows, rounds)
    finally:
        postgres.stop(settings)
        postgres.remove(settings)
        shutil.rmtree(folder)


def _compare(settings: Settings, rows: int, rounds: int) -> int:
    frames = _frames(rows)
    seconds: dict[str, list[float]] = {"bare COPY": [], "publishing": []}
    for _ in range(rounds):
        _checkpoint(settings)
        started = time.perf_counter()
        publish(settings, frames, CHURN, DAY, MODEL, "benchmark")
        seconds["publishing"].append(time.perf_counter() - started)
        content = _content(settings)
        _empty(settings)
        started = time.perf_counter()
        with (
            connect(settings, "scorer") as connection,
            connection.cursor().copy(sql.SQL("copy {} from stdin").format(BARE)) as copy,
        ):
            for block in content:
                copy.write(block)
        seconds["bare COPY"].append(time.perf_counter() - started)
        with connect(settings, "scorer") as connection:
            connection.execute("truncate scores.churn, scores.churn_reasons")
    title = f"{rows:,} rows of scores.churn, into a table of its columns and indexes"
    keep_speeds("publishing", title, seconds, rows, "rows")
    return int(min(seconds["bare COPY"]) / min(seconds["publishing"]) < LEAST_SHARE)


def _frames(rows: int) -> dict[str, pd.DataFrame]:
    """Scores of so many customers, and the reasons table with one row: the rest is the same."""
    draw = np.random.default_rng(7)
    churn = pd.DataFrame({"customer_id": [f"C{number:08d}" for number in range(rows)]})
    churn["churn_probability_90d"] = draw.uniform(0.01, 0.99, rows)
    churn["churn_percentile_90d"] = churn["churn_probability_90d"].rank(pct=True) * 100
    churn["churn_risk_band"] = draw.choice(["low", "medium", "high"], rows)
    churn[["reason_1", "reason_2", "reason_3"]] = "last order 40 days ago, usually every 21"
    churn = churn.assign(score_status="scored", score_reason=None)
    reasons = (
        churn[["customer_id"]]
        .head(1)
        .assign(reason_rank=1, reason="r", feature="days_since_last_order", feature_value=3.5)
    )
    reasons = reasons.assign(contribution_log_odds=0.1, score_status="scored", score_reason=None)
    return {"churn": churn, "churn_reasons": reasons}


def _checkpoint(settings: Settings) -> None:
    """Both sides begin with nothing left to be written to disk."""
    with psycopg.connect(settings.dsn(postgres.SUPERUSER), autocommit=True) as connection:
        connection.execute("checkpoint")


def _empty(settings: Settings) -> None:
    with psycopg.connect(settings.dsn(postgres.SUPERUSER), autocommit=True) as connection:
        connection.execute(sql.SQL("drop table if exists {}").format(BARE))
        connection.execute(
            sql.SQL("create table {} (like {} including all)").format(BARE, ORIGINAL)
        )
        connection.execute(sql.SQL("grant insert on {} to scorer").format(BARE))
    _checkpoint(settings)


def _content(settings: Settings) -> list[bytes]:
    """The published rows as COPY reads them, in memory, so that reading them costs nothing."""
    statement = sql.SQL("copy (select * from {} order by customer_id) to stdout").format(ORIGINAL)
    with connect(settings, "scorer") as connection, connection.cursor().copy(statement) as copy:
        rows = [bytes(row) for row in copy]
    return [b"".join(rows[start : start + 5_000]) for start in range(0, len(rows), 5_000)]


if __name__ == "__main__":
    raise SystemExit(main(*map(int, sys.argv[1:])))
