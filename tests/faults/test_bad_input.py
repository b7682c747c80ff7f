"""Bad files through real landing and real dbt: nothing breaks and nothing is lost.

A reader either refuses a file with a reason in one line, or reads it. Then landed + rejected =
given, as counted by an independent second reader. Staging rejects what it cannot use with a reason:
staged + rejected = landed. No text makes dbt fail.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from ingest import batches
from ingest.csv_records import MAX_RECORD_BYTES
from ingest.files import LandingError, blocks, examine, find, opened
from ingest.land import land
from ingest.reading import Candidate, prepare, read_rows
from perennial import sources
from perennial.dbt import dbt
from perennial.settings import Settings
from perennial.warehouse import connect
from tests.conftest import StartHome
from tests.faults.bad_files import BadFile, bad_file
from tests.faults.ledger import draw, record, size
from tests.naive_csv import naive

DAY = date(2024, 12, 1)
TO_THE_MARTS = ("run", "--select", "staging", "intermediate", "marts", "features")
LONGEST_MESSAGE = 5_000

# Staging models with one row per row of a raw table, good or rejected.
JUDGED = {
    "canonical_customers": "stg_canonical__customers_judged",
    "canonical_orders": "stg_canonical__orders_judged",
    "canonical_order_items": "stg_canonical__order_items_judged",
    "canonical_products": "stg_canonical__products_judged",
    "online_retail_invoice_lines": "stg_online_retail__invoice_lines",
}


@dataclass
class Seen:
    """The outcome of the files."""

    files: int = 0
    refused: int = 0
    lines: int = 0
    expected: dict[str, tuple[int, int]] = field(default_factory=dict)  # name: landed, rejected


def candidate_of(settings: Settings, path: Path) -> Candidate:
    """The file as a candidate of landing, read once to its end."""
    (file,) = find(str(path), DAY)
    (table,) = [t for t in sources.load(settings.source).tables if t.holds(file.base_name)]
    candidate = prepare(file, table, path.parent)
    for _ in read_rows(candidate, candidate.layout, b"%d,%b\n", examine(file, candidate.local)):
        pass
    return candidate


def counted(candidate: Candidate) -> tuple[int, int]:
    """Numbers of landed and rejected records, by readers that share only the header with ours."""
    if candidate.file.format == "parquet":
        return pq.read_metadata(candidate.local).num_rows, 0
    with opened(candidate.file, candidate.local) as stream:
        content = b"".join(blocks(stream.read))
    layout = candidate.layout
    if candidate.file.format == "csv":
        body = content[layout.body_start :]
        landed, rejected, _ = naive(body, len(layout.headers), MAX_RECORD_BYTES, layout.delimiter)
        return len(landed), len(rejected)
    lines = [line for line in io.BytesIO(content).read().splitlines() if line.strip()]
    return len(lines), 0


def take(settings: Settings, folder: Path, files: list[BadFile], seen: Seen) -> None:
    """Land what can be landed, in one batch, and accept it."""
    folder.mkdir()
    messages = []
    for file in files:
        path = folder / file.name
        path.write_bytes(file.content)
        seen.files += 1
        try:
            candidate = candidate_of(settings, path)
        except LandingError as error:
            messages.append(str(error))
            seen.refused += 1
            path.unlink()
            continue
        except Exception as error:
            raise AssertionError(f"{file.name} ({file.damage})") from error
        seen.expected[str(path)] = counted(candidate)
    assert all(m.isprintable() and len(m) < LONGEST_MESSAGE for m in messages)
    landing = land(settings, DAY, str(folder), "test")
    assert landing.batch_id
    batches.accept(settings, landing.batch_id, "test")


def assert_nothing_lost_at_the_door(settings: Settings, seen: Seen) -> None:
    with connect(settings, "loader") as connection:
        rows = connection.execute(
            "select file_name, table_name, file_id, landed_count, rejected_count"
            " from ops.landed_files"
        ).fetchall()
        rejected_lines = dict(
            connection.execute("select file_id, count(*) from ops.rejected_lines group by 1")
        )
        raw: dict[int, int] = {}
        for table in {row[1] for row in rows}:
            raw |= dict(
                connection.execute(f'select _file_id, count(*) from raw."{table}" group by 1')
            )
    assert rows
    for name, _, file_id, landed, rejected in rows:
        expected_landed, expected_rejected = seen.expected[name]
        assert (landed, rejected) == (raw.get(file_id, 0), rejected_lines.get(file_id, 0)), name
        assert landed + rejected == expected_landed + expected_rejected, name
        if name.endswith(("csv", "csv.gz")):
            assert landed == expected_landed, name
        seen.lines += landed + rejected


def assert_nothing_lost_in_staging(settings: Settings, seen: Seen) -> tuple[int, int]:
    """Check that every landed row is in staging once, good or with a reason; return both counts."""
    good = bad = 0
    with connect(settings, "transformer") as connection:
        for table in sources.load(settings.source).tables:
            if table.raw_table not in JUDGED:
                continue
            model = f"staging.{JUDGED[table.raw_table]}"
            (missing,) = connection.execute(
                f"select count(*) from (select _file_id, _line from raw.{table.raw_table}"
                f" except select file_id, line_number from {model}) as lost"
            ).fetchone()
            (landed,) = connection.execute(f"select count(*) from raw.{table.raw_table}").fetchone()
            (staged, rejected, mute) = connection.execute(
                "select count(*) filter (where rejected_reason is null),"
                " count(*) filter (where rejected_reason is not null),"
                f" count(*) filter (where rejected_reason = '') from {model}"
            ).fetchone()
            assert (missing, mute, staged + rejected) == (0, 0, landed), model
            good, bad = good + staged, bad + rejected
    return good, bad


@pytest.mark.parametrize(
    ("source", "rounds", "count", "max_rows"),
    [
        pytest.param("canonical", size(1, 6), size(60, 200), size(40, 500), id="canonical"),
        pytest.param(*("online_retail", 2, 200, 400), id="online_retail", marks=pytest.mark.whole),
    ],
)
def test_whatever_is_in_a_file_nothing_breaks_and_nothing_is_lost(
    source: str, rounds: int, count: int, max_rows: int, start_home: StartHome, tmp_path: Path
) -> None:
    settings, rng, seen = start_home(source), draw(source), Seen()
    definition = sources.load(source)
    for number in range(rounds):
        files = [bad_file(rng, definition, n, max_rows) for n in range(count)]
        take(settings, tmp_path / str(number), files, seen)
        dbt(settings, DAY, *TO_THE_MARTS)
        batches.close_build(settings)
        staged, rejected = assert_nothing_lost_in_staging(settings, seen)
    assert_nothing_lost_at_the_door(settings, seen)
    assert min(staged, rejected, seen.refused, seen.files - seen.refused) > 0
    record(
        "bad input",
        f"{source}: odd values, encodings, headers and damaged bytes, through landing and dbt",
        f"{seen.refused} files refused with one plain line; {seen.lines:,} records landed or "
        f"rejected, {staged:,} staged, {rejected:,} rejected with a reason; no error of dbt",
        files=seen.files,
        lines=seen.lines,
        lost=0,
    )
