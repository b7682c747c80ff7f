"""Landing beside a bare COPY of the same uncompressed file into the same text columns, in one run.

`python -m benchmarks.landing [FILE.csv.gz] [ROUNDS]`; the default file is Online Retail II.

A bare COPY is the cheapest way to load a file: it stores no file, line or time, rejects nothing
(one broken line stops it), counts nothing and would load the same file twice.
"""

from __future__ import annotations

import gzip
import resource
import shutil
import sys
import time
from datetime import date
from pathlib import Path

import psycopg
from psycopg import sql
from rich.console import Console

from benchmarks.results import WORKSPACE, keep_speeds
from benchmarks.warehouse import fresh_home
from ingest.land import land
from local import postgres
from perennial import sources
from perennial.settings import REPOSITORY, Settings
from perennial.warehouse import connect

ONLINE_RETAIL = (
    REPOSITORY.parent / "shared" / "data" / "online_retail_ii" / "online_retail_II.csv.gz"
)
ROUNDS = 5
LEAST_SHARE = 0.5
BLOCK_BYTES = 1 << 20
BARE = sql.Identifier("raw", "bare_copy")


def main(compressed: Path = ONLINE_RETAIL, rounds: int = ROUNDS) -> int:
    """Print the table; return 1 if landing exceeds its limit."""
    folder = WORKSPACE / "landing"
    with fresh_home(folder, "online_retail") as settings:
        file = folder / "invoice_lines.csv"
        with gzip.open(compressed) as packed, file.open("wb") as unpacked:
            shutil.copyfileobj(packed, unpacked, BLOCK_BYTES)
        return _compare(settings, file, rounds)


def _compare(settings: Settings, file: Path, rounds: int) -> int:
    seconds: dict[str, list[float]] = {"bare COPY": [], "landing": [], "landing, known file": []}
    (table,) = sources.load("online_retail").tables
    records = 0
    for _ in range(rounds):
        _empty(settings, table.raw_table, [column.name for column in table.columns])
        seconds["bare COPY"].append(_bare_copy(settings, file))
        landed, taken = _land(settings, file)
        seconds["landing"].append(taken)
        records = landed
        seconds["landing, known file"].append(_land(settings, file)[1])
    title = f"{records:,} records, {file.stat().st_size / 1e6:,.0f} MB, uncompressed CSV"
    keep_speeds("landing", title, seconds, records, "records")
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    Console().print(f"Best of {rounds} rounds. Peak memory: {peak_mb:,.0f} MB.")
    share = min(seconds["bare COPY"]) / min(seconds["landing"])
    return int(share < LEAST_SHARE)


def _empty(settings: Settings, raw_table: str, columns: list[str]) -> None:
    """Empty the tables and flush Postgres, so that both sides begin alike."""
    with connect(settings, "perennial") as connection:
        connection.execute(sql.SQL("drop table if exists {}").format(BARE))
        definitions = sql.SQL(", ").join(
            sql.SQL("{} text").format(sql.Identifier(column)) for column in columns
        )
        connection.execute(sql.SQL("create table {} ({})").format(BARE, definitions))
        connection.execute(sql.SQL("truncate {}").format(sql.Identifier("raw", raw_table)))
        connection.execute("truncate ops.rejected_lines, ops.built_files, ops.late_dates")
        connection.execute("delete from ops.landed_files")
    with psycopg.connect(settings.dsn(postgres.SUPERUSER), autocommit=True) as connection:
        connection.execute("checkpoint")


def _bare_copy(settings: Settings, file: Path) -> float:
    started = time.perf_counter()
    statement = sql.SQL("copy {} from stdin (format csv, header)").format(BARE)
    with (
        connect(settings, "loader") as connection,
        connection.cursor().copy(statement) as copy,
        file.open("rb") as stream,
    ):
        while block := stream.read(BLOCK_BYTES):
            copy.write(block)
    return time.perf_counter() - started


def _land(settings: Settings, file: Path) -> tuple[int, float]:
    started = time.perf_counter()
    landing = land(settings, date(2011, 12, 10), str(file), "benchmark")
    return landing.summary()["landed"], time.perf_counter() - started


if __name__ == "__main__":
    arguments = sys.argv[1:]
    raise SystemExit(
        main(
            Path(arguments[0]) if arguments else ONLINE_RETAIL,
            int(arguments[1]) if len(arguments) > 1 else ROUNDS,
        )
    )
