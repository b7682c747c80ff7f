"""A date's scores made shard by shard: parts are kept by the tasks that make them, and joined.

A part is work done ahead for the one task that publishes. It takes the parts of its run out, once,
and makes what is missing: so a part that was lost costs time and changes no row, and none is used
twice. Rows are the same for any number of shards, to the last digit.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ml_tasks.shared.features import FeatureStore
from ml_tasks.shared.shards import Shard, shards

if TYPE_CHECKING:
    import psycopg

    from ml_tasks.shared.model import TrainedModel
    from ml_tasks.shared.run import Question

log = logging.getLogger(__name__)

# Texts stay with Arrow: millions of them are as many objects of Python's own.
AS_ARROW = {pa.string(): pd.ArrowDtype(pa.string())}


@dataclass(frozen=True)
class Scoring:
    """What is scored, by which run, with which model."""

    question: str
    as_of_date: date
    run_id: str
    model: TrainedModel
    module: Question


@dataclass(frozen=True)
class Part:
    """The rows of one shard.

    Attributes:
        tables: By score table, the columns as the question brings them, not yet checked.
        late_file_ids: Late files that the rows include.
        read_at: When reading what they are made of began.
    """

    tables: Mapping[str, pa.Table]
    late_file_ids: Collection[int]
    read_at: datetime


def score_part(
    scoring: Scoring, store: FeatureStore, late_file_ids: Collection[int], read_at: datetime
) -> Part:
    """Score one shard.

    Args:
        scoring: What is scored.
        store: Reads the shard.
        late_file_ids: Noted before this.
        read_at: Now.
    """
    score = getattr(scoring.module, "score_shard", scoring.module.score)
    frames = score(scoring.as_of_date, scoring.model, store)
    tables = {
        name: pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None)
        for name, frame in frames.items()
    }
    log.info("%s %s: scored shard %s", scoring.question, scoring.as_of_date, store.shard)
    return Part(tables, late_file_ids, read_at)


def keep(connection: psycopg.Connection[Any], scoring: Scoring, shard: Shard, part: Part) -> None:
    """Keep a part for the run's publication, in place of what an earlier try kept."""
    for name, rows in part.tables.items():
        buffer = io.BytesIO()
        pq.write_table(rows, buffer, compression="zstd")
        connection.execute(
            "insert into ops.score_parts (run_id, question, as_of_date, shard_count, shard_number,"
            " table_name, model_version, late_file_ids, read_at, content)"
            " values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %b)"
            " on conflict (run_id, question, as_of_date, shard_count, shard_number, table_name)"
            " do update set model_version = excluded.model_version,"
            " late_file_ids = excluded.late_file_ids, content = excluded.content,"
            " read_at = excluded.read_at",
            [
                *(scoring.run_id, scoring.question, scoring.as_of_date),
                *(shard.count, shard.number, name, scoring.model.model_version),
                *(list(part.late_file_ids), part.read_at, buffer.getvalue()),
            ],
        )


def take(
    connection: psycopg.Connection[Any], scoring: Scoring, shard_count: int
) -> dict[int, Part]:
    """Take out what the run's tasks kept, and commit.

    Returns:
        By number of the shard; parts of another model or number of shards are dropped.
    """
    with connection.cursor(binary=True) as cursor:
        rows = cursor.execute(
            "delete from ops.score_parts"
            " where run_id = %s and question = %s and as_of_date = %s"
            " returning shard_count, model_version, shard_number, table_name, late_file_ids,"
            " read_at, content",
            [scoring.run_id, scoring.question, scoring.as_of_date],
        ).fetchall()
    connection.commit()
    parts: dict[int, Part] = {}
    for count, model_version, number, table_name, late_file_ids, read_at, content in rows:
        if (count, model_version) != (shard_count, scoring.model.model_version):
            log.warning("not used: shard %d of %d by %s", number + 1, count, model_version)
            continue
        tables = parts[number].tables if number in parts else {}
        tables = {**tables, table_name: pq.read_table(io.BytesIO(content))}
        parts[number] = Part(tables, late_file_ids, read_at)
    return parts


def collect(
    connection: psycopg.Connection[Any],
    scoring: Scoring,
    shard_count: int,
    late_file_ids: Collection[int],
    read_at: datetime,
) -> list[Part]:
    """The parts of all shards: those that were kept, and what is missing, made here.

    Args:
        connection: Role scorer; it commits.
        scoring: What is scored.
        shard_count: Number of shards.
        late_file_ids: Noted before this.
        read_at: Now.
    """
    kept = take(connection, scoring, shard_count)
    if kept and len(kept) < shard_count:
        log.warning("%d of %d shards were kept; the others are made now", len(kept), shard_count)
    return [
        kept.get(shard.number)
        or score_part(scoring, FeatureStore(connection, shard=shard), late_file_ids, read_at)
        for shard in shards(shard_count)
    ]


def joined(
    scoring: Scoring, parts: Collection[Part], store: FeatureStore
) -> dict[str, pd.DataFrame]:
    """The parts as the rows of the date, with what depends on all of them.

    Args:
        scoring: What is scored.
        parts: Of all shards.
        store: Reads everybody.
    """
    names = {name for part in parts for name in part.tables}
    frames = {
        name: pa.concat_tables(
            [part.tables[name] for part in parts], promote_options="permissive"
        ).to_pandas(types_mapper=AS_ARROW.get, date_as_object=False)
        for name in sorted(names)
    }
    join = getattr(scoring.module, "joined", None)
    return join(frames, scoring.as_of_date, scoring.model, store) if join else frames


def in_all(parts: Collection[Part]) -> list[int]:
    """Late files that the rows of every shard include."""
    return sorted(set.intersection(*(set(part.late_file_ids) for part in parts)))
