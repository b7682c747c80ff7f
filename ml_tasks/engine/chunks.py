"""Score a date shard by shard and chunk by chunk.

Tasks score shards ahead and keep their parts (see `parts`) for the one task that publishes, which
scores what is missing. Rows are the same for any number of shards, to the last digit. A shard with
many customers is scored in chunks, which are smaller shards, so memory does not grow with the shop.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ml_tasks.drift import distance, watch
from ml_tasks.engine.parts import Frames, Kept, Part, Scoring, claimed, keep
from ml_tasks.features.shards import shards
from ml_tasks.features.store import FeatureStore
from perennial import contracts, entities

if TYPE_CHECKING:
    import psycopg

log = logging.getLogger(__name__)

# Rows that are scored at once. Scoring takes about 3 kB of memory per customer.
MAX_ROWS_AT_ONCE = 200_000


def count_chunks(scoring: Scoring, store: FeatureStore, shard_count: int) -> int:
    """Number of chunks that each shard is scored in: 1 unless the shop is large.

    Args:
        scoring: The question and date.
        store: Counts the entities of all shards.
        shard_count: Number of shards.
    """
    contract = contracts.load(scoring.question)
    counted = entities.counted_by(contract.dealt_by) if contract.dealt_by else None
    if counted is None:
        return 1
    rows = store.count(counted, scoring.as_of_date) * contract.tables[0].rows_per_entity
    # docs/decisions/workers.md: a date is never in memory as a whole
    return max(1, math.ceil(rows / shard_count / MAX_ROWS_AT_ONCE))


def count_shards(question: str, shard_count: int) -> int:
    """Number of shards that a question is scored in: 1 if its entity is not divided into shards."""
    return shard_count if contracts.load(question).dealt_by else 1


def score_part(
    scoring: Scoring, store: FeatureStore, late_file_ids: Collection[int], read_at: datetime
) -> Part:
    """Score one shard and tally its features.

    Args:
        scoring: The question, date and model.
        store: Reads the shard.
        late_file_ids: Late files noted before the features are read.
        read_at: Time before the features are read.
    """
    frames = scoring.hooks.score_shard(scoring.as_of_date, scoring.model, store)
    counted = watch.tallies(scoring.model).get(distance.FEATURES)
    if counted:
        counted.add(scoring.hooks.inputs(scoring.as_of_date, store))
    log.info("%s %s: scored shard %s", scoring.question, scoring.as_of_date, store.shard)
    return Part(frames, late_file_ids, read_at, counted.as_json() if counted else None)


@contextmanager
def collected(
    connection: psycopg.Connection[Any],
    scoring: Scoring,
    store: FeatureStore,
    shard_count: int,
    late_file_ids: Collection[int],
    read_at: datetime,
) -> Iterator[list[Part]]:
    """The parts of all shards: the stored ones, and the missing ones, which are scored here.

    Args:
        connection: Role scorer, committing each statement; not the store's connection.
        scoring: The question, date and model.
        store: Reads all shards.
        shard_count: Number of shards that tasks score ahead.
        late_file_ids: Late files noted before the features are read.
        read_at: Time before the features are read.
    """
    count = shard_count * count_chunks(scoring, store, shard_count)
    if count == 1:  # no task scores ahead, so nothing is stored
        yield [score_part(scoring, store, late_file_ids, read_at)]
        return
    own = replace(scoring, run_id=f"{scoring.run_id}, {read_at.isoformat()}")
    with claimed(connection, own, scoring.run_id, count) as parts:
        if parts and len(parts) < count:
            log.warning("%d of %d shards are stored; scoring the others now", len(parts), count)
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
    """The rows of each part in turn, with the columns that depend on all rows.

    Args:
        scoring: The question, date and model.
        parts: The parts of all shards.
        store: Reads all shards.
    """
    frames = [part.frames for part in parts]
    return scoring.hooks.joined(frames, scoring.as_of_date, scoring.model, store)
