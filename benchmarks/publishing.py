"""Publishing scores beside a bare COPY of the same rows into an equally indexed table, in one run.

`python -m benchmarks.publishing [ROWS] [ROUNDS]`; the tables are churn's, in the chunks in which a
large shop is scored. A bare COPY checks nothing, has no checksum and no gate, and shows readers
what it has so far.
"""

from __future__ import annotations

import sys
import time
from datetime import date
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import psycopg
from psycopg import sql

from benchmarks.results import WORKSPACE, keep_speeds
from benchmarks.warehouse import fresh_home
from local import postgres
from ml_tasks.engine.chunks import MAX_ROWS_AT_ONCE
from ml_tasks.engine.publish import publish
from ml_tasks.trained_model import TrainedModel
from perennial import contracts
from perennial.warehouse import connect

if TYPE_CHECKING:
    from perennial.settings import Settings

ROWS, ROUNDS = 1_000_000, 3
LEAST_SHARE = 0.7
DAY = date(2024, 3, 1)
MODEL = TrainedModel("coin", DAY, {"seed": 7})
CHURN = contracts.load("churn")
TABLES = [table.name for table in CHURN.tables]


def main(rows: int = ROWS, rounds: int = ROUNDS) -> int:
    """Print the table; return 1 if publishing exceeds its limit."""
    with fresh_home(WORKSPACE / "publishing", "canonical") as settings:
        return _compare(settings, rows, rounds)


def _compare(settings: Settings, rows: int, rounds: int) -> int:
    parts = _parts(rows)
    with connect(settings, "transformer") as connection:  # customers that the gate requires
        connection.execute(
            f"create table features.customer_snapshots as select date '{DAY}' as as_of_date,"
            " 'C' || to_char(n, 'FM00000000') as customer_id, true as is_in_sample"
            f" from generate_series(0, {rows - 1}) as n"
        )
        connection.execute("analyze features.customer_snapshots")  # as it is by then
    seconds: dict[str, list[float]] = {"bare COPY": [], "publishing": []}
    for _ in range(rounds):
        _begin(settings)
        started = time.perf_counter()
        publish(settings, parts, CHURN, DAY, MODEL, "benchmark")
        seconds["publishing"].append(time.perf_counter() - started)
        contents = {table: _content(settings, table) for table in TABLES}
        _empty(settings)
        started = time.perf_counter()
        with connect(settings, "scorer") as connection:
            for table, content in contents.items():
                statement = sql.SQL("copy {} from stdin").format(_bare(table))
                with connection.cursor().copy(statement) as copy:
                    for block in content:
                        copy.write(block)
        seconds["bare COPY"].append(time.perf_counter() - started)
    title = f"{rows:,} rows each of {' and '.join(TABLES)}, into tables equally indexed"
    keep_speeds("publishing", title, seconds, len(TABLES) * rows, "rows")
    return int(min(seconds["bare COPY"]) / min(seconds["publishing"]) < LEAST_SHARE)


def _parts(rows: int) -> list[dict[str, pd.DataFrame]]:
    """Scores of `rows` customers, with one reason each, in chunks."""
    draw = np.random.default_rng(7)
    churn = pd.DataFrame({"customer_id": [f"C{number:08d}" for number in range(rows)]})
    churn["churn_probability_90d"] = draw.uniform(0.01, 0.99, rows)
    churn["churn_percentile_90d"] = churn["churn_probability_90d"].rank(pct=True) * 100
    churn["churn_risk_band"] = draw.choice(["low", "medium", "high"], rows)
    churn["churn_risk_band_rank"], churn["churn_relative_band"] = 3, "3 middle"
    churn[["reason_1", "reason_2", "reason_3"]] = "last order 40 days ago, usually every 21"
    churn[[f"reason_code_{rank}" for rank in (1, 2, 3)]] = "long_silence"
    churn = churn.assign(score_status="scored", score_reason=None)
    reasons = churn[["customer_id"]].assign(
        reason_rank=1, reason="r", feature="days_since_last_order", feature_value=3.5
    )
    reasons = reasons.assign(contribution_log_odds=0.1, score_status="scored", score_reason=None)
    reasons = reasons.assign(reason_code="long_silence", usual_value=21.0)
    frames = {"churn": churn, "churn_reasons": reasons}
    return [
        {name: frame[start : start + MAX_ROWS_AT_ONCE] for name, frame in frames.items()}
        for start in range(0, rows, MAX_ROWS_AT_ONCE)
    ]


def _begin(settings: Settings) -> None:
    """Empty the tables and flush Postgres, so that both sides begin alike."""
    with psycopg.connect(settings.dsn(postgres.SUPERUSER), autocommit=True) as connection:
        for table in TABLES:
            connection.execute(sql.SQL("truncate {}").format(sql.Identifier("scores", table)))
        connection.execute("checkpoint")


def _empty(settings: Settings) -> None:
    with psycopg.connect(settings.dsn(postgres.SUPERUSER), autocommit=True) as connection:
        for table in TABLES:
            bare, original = _bare(table), sql.Identifier("scores", table)
            connection.execute(sql.SQL("drop table if exists {}").format(bare))
            like = sql.SQL("create table {} (like {} including all)")
            connection.execute(like.format(bare, original))
            connection.execute(sql.SQL("grant insert on {} to scorer").format(bare))
        connection.execute("checkpoint")


def _bare(table: str) -> sql.Identifier:
    return sql.Identifier("scores", f"bare_{table}")


def _content(settings: Settings, table: str) -> list[bytes]:
    """The published rows as COPY reads them, in memory, so that reading them costs nothing."""
    statement = sql.SQL("copy (select * from {} order by customer_id) to stdout").format(
        sql.Identifier("scores", table)
    )
    with connect(settings, "scorer") as connection, connection.cursor().copy(statement) as copy:
        rows = [bytes(row) for row in copy]
    return [b"".join(rows[start : start + 5_000]) for start in range(0, len(rows), 5_000)]


if __name__ == "__main__":
    raise SystemExit(main(*map(int, sys.argv[1:])))
