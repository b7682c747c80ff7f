"""A date's scores made shard by shard: parts are kept in Postgres, and published one at a time.

A part is work done ahead for the one task that publishes. It claims the parts of its run, once, and
makes what is missing: so a part that was lost costs time and changes no row, and none is used
twice. Rows are the same for any number of shards, to the last digit. A shard of many customers is
worked through in chunks, which are shards themselves: memory does not grow with the shop.
"""

from __future__ import annotations

import io
import logging
import math
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from psycopg.types.json import Jsonb

from ml_tasks.drift import distance, watch
from ml_tasks.engine.publish import OvertakenError
from ml_tasks.features.shards import Shard, shards
from ml_tasks.features.store import FeatureStore
from perennial import contracts, entities

if TYPE_CHECKING:
    import psycopg

    from ml_tasks.question import Question
    from ml_tasks.trained_model import TrainedModel

log = logging.getLogger(__name__)

# Texts stay with Arrow: millions of them are as many objects of Python's own.
AS_ARROW = {pa.string(): pd.ArrowDtype(pa.string())}

# Rows that are scored at once. What scoring takes of memory follows from it: some 3 kB a customer.
MAX_ROWS_AT_ONCE = 200_000

Frames = Mapping[str, pd.DataFrame]


@dataclass(frozen=True)
class Scoring:
    """What is scored, by which run, with which model."""

    asked: Question
    as_of_date: date
    run_id: str
    model: TrainedModel

    @property
    def question(self) -> str:
        """Its name."""
        return self.asked.name


@dataclass(frozen=True)
class Part:
    """The rows of one shard.

    Attributes:
        frames: By score table, the columns as the question brings them, not yet checked.
        late_file_ids: Late files that the rows include.
        read_at: When reading what they are made of began.
        features: What they are made of, counted; None if the model has nothing to compare it with.
    """

    frames: Frames
    late_file_ids: Collection[int]
    read_at: datetime
    features: Mapping[str, Any] | None = None


def count_chunks(scoring: Scoring, store: FeatureStore, shard_count: int) -> int:
    """In how many chunks a shard is worked through: 1 unless the shop is large."""
    contract = contracts.load(scoring.question)
    counted = entities.counted_by(contract.dealt_by) if contract.dealt_by else None
    if counted is None:
        return 1
    rows = store.count(counted, scoring.as_of_date) * contract.tables[0].rows_per_entity
    # docs/decisions/workers.md: a date is never in memory as a whole
    return max(1, math.ceil(rows / shard_count / MAX_ROWS_AT_ONCE))


def count_shards(question: str, shard_count: int) -> int:
    """In how many shards a question is scored: 1 where its rows are not dealt."""
    return shard_count if contracts.load(question).dealt_by else 1


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
    frames = scoring.asked.score_shard(scoring.as_of_date, scoring.model, store)
    counted = watch.tallies(scoring.model).get(distance.FEATURES)
    if counted:
        counted.add(scoring.asked.inputs(scoring.as_of_date, store))
    log.info("%s %s: scored shard %s", scoring.question, scoring.as_of_date, store.shard)
    return Part(frames, late_file_ids, read_at, counted.as_json() if counted else None)


def keep(connection: psycopg.Connection[Any], scoring: Scoring, shard: Shard, part: Part) -> None:
    """Keep a part for the run's publication, in place of what an earlier try kept; commits."""
    with connection.transaction():
        for name, frame in part.frames.items():
            buffer = io.BytesIO()
            rows = pa.Table.from_pandas(frame, preserve_index=False)
            pq.write_table(rows.replace_schema_metadata(None), buffer, compression="zstd")
            connection.execute(
                "insert into ops.score_parts (run_id, question, as_of_date, shard_count,"
                " shard_number, table_name, model_version, late_file_ids, read_at,"
                " feature_counts, content) values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %b)"
                " on conflict (run_id, question, as_of_date, shard_count, shard_number, table_name)"
                " do update set model_version = excluded.model_version,"
                " late_file_ids = excluded.late_file_ids, read_at = excluded.read_at,"
                " feature_counts = excluded.feature_counts, content = excluded.content",
                [
                    *(scoring.run_id, scoring.question, scoring.as_of_date),
                    *(shard.count, shard.number, name, scoring.model.model_version),
                    *(list(part.late_file_ids), part.read_at),
                    *(part.features and Jsonb(part.features), buffer.getvalue()),
                ],
            )


@contextmanager
def claimed(
    connection: psycopg.Connection[Any], scoring: Scoring, run_id: str, shard_count: int
) -> Iterator[dict[int, Part]]:
    """The parts that a run's tasks kept, for this publication alone; they go when it ends.

    Args:
        connection: Role scorer, committing each statement.
        scoring: Its run_id, which no other has, is what they are kept under from now on.
        run_id: What the tasks kept them under.
        shard_count: As the tasks dealt; parts of another model or number of shards are not used.

    Yields:
        Part by number of its shard, rows unread. What is kept meanwhile goes, too.
    """
    whose = [scoring.question, scoring.as_of_date]
    rows = connection.execute(
        "update ops.score_parts set run_id = %s"
        " where run_id = %s and question = %s and as_of_date = %s"
        " returning shard_count, model_version, shard_number, table_name, late_file_ids, read_at,"
        " feature_counts",
        [scoring.run_id, run_id, *whose],
    ).fetchall()
    parts: dict[int, Part] = {}
    for count, model_version, number, name, late_file_ids, read_at, features in rows:
        if (count, model_version) != (shard_count, scoring.model.model_version):
            log.warning("not used: shard %d of %d by %s", number + 1, count, model_version)
            continue
        names = {*(parts[number].frames if number in parts else ()), name}
        kept = Kept(connection, scoring, Shard(number, count), tuple(sorted(names)))
        parts[number] = Part(kept, late_file_ids, read_at, features)
    try:
        yield parts
    finally:
        if not connection.broken:  # else they go with what runs leave behind
            connection.execute(
                "delete from ops.score_parts"
                " where run_id = %s and question = %s and as_of_date = %s",
                [scoring.run_id, *whose],
            )


@dataclass(frozen=True)
class Kept(Mapping[str, pd.DataFrame]):
    """The rows of a part that is kept, by score table, each read when it is asked for."""

    connection: psycopg.Connection[Any]
    scoring: Scoring
    shard: Shard
    names: tuple[str, ...]

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, name: str) -> pd.DataFrame:
        if name not in self.names:
            raise KeyError(name)
        scoring = self.scoring
        with self.connection.cursor(binary=True) as cursor:
            row = cursor.execute(
                "select content from ops.score_parts where run_id = %s and question = %s"
                " and as_of_date = %s and shard_count = %s and shard_number = %s"
                " and table_name = %s",
                [
                    *(scoring.run_id, scoring.question, scoring.as_of_date),
                    *(self.shard.count, self.shard.number, name),
                ],
            ).fetchone()
        if row is None:  # an erasure takes parts away, for anybody may be in them
            raise OvertakenError(f"{scoring.question} {scoring.as_of_date}: its parts were erased")
        rows = pq.read_table(io.BytesIO(row[0]))
        return rows.to_pandas(types_mapper=AS_ARROW.get, date_as_object=False)


@contextmanager
def collected(
    connection: psycopg.Connection[Any],
    scoring: Scoring,
    store: FeatureStore,
    shard_count: int,
    late_file_ids: Collection[int],
    read_at: datetime,
) -> Iterator[list[Part]]:
    """The parts of all shards: those that were kept, and what is missing, made here.

    Args:
        connection: Role scorer, committing each statement; another than the store's.
        scoring: What is scored.
        store: Reads everybody.
        shard_count: Number of shards that tasks make ahead.
        late_file_ids: Noted before this.
        read_at: Now.
    """
    count = shard_count * count_chunks(scoring, store, shard_count)
    if count == 1:  # nothing is made ahead, and nothing need be kept
        yield [score_part(scoring, store, late_file_ids, read_at)]
        return
    own = replace(scoring, run_id=f"{scoring.run_id}, {read_at.isoformat()}")
    with claimed(connection, own, scoring.run_id, count) as parts:
        if parts and len(parts) < count:
            log.warning("%d of %d shards were kept; the others are made now", len(parts), count)
        for shard in shards(count):
            if shard.number not in parts:
                part = score_part(scoring, store.of_shard(shard), late_file_ids, read_at)
                keep(connection, own, shard, part)
                kept = Kept(connection, own, shard, tuple(part.frames))
                parts[shard.number] = replace(part, frames=kept)
        yield [parts[shard.number] for shard in shards(count)]


def in_all(parts: Collection[Part]) -> list[int]:
    """Late files that the rows of every part include."""
    return sorted(set.intersection(*(set(part.late_file_ids) for part in parts)))


def joined(scoring: Scoring, parts: Collection[Part], store: FeatureStore) -> Iterator[Frames]:
    """The rows of the date, part by part, with what depends on all of them.

    Args:
        scoring: What is scored.
        parts: Of all shards.
        store: Reads everybody.
    """
    frames = [part.frames for part in parts]
    return scoring.asked.joined(frames, scoring.as_of_date, scoring.model, store)
