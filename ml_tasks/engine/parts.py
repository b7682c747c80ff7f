"""Parts: the rows of one shard, kept in Postgres until their run publishes them.

A publication claims the parts of its run once, so no part is used twice, and a part that is lost
costs time but changes no row.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from psycopg.types.json import Jsonb

from ml_tasks.engine.publish import OvertakenError
from ml_tasks.features.shards import Shard

if TYPE_CHECKING:
    import psycopg

    from ml_tasks.question import Question
    from ml_tasks.trained_model import TrainedModel

log = logging.getLogger(__name__)

# Texts stay in Arrow: as Python objects, millions of them would take far more memory.
AS_ARROW = {pa.string(): pd.ArrowDtype(pa.string())}

Frames = Mapping[str, pd.DataFrame]


@dataclass(frozen=True)
class Scoring:
    """A question and date to score, the run, and the model.

    Attributes:
        hooks: The question, see `question.load`.
        as_of_date: The date to score.
        run_id: The run that scores.
        model: The model that scores.
    """

    hooks: Question
    as_of_date: date
    run_id: str
    model: TrainedModel

    @property
    def question(self) -> str:
        """Name of the question."""
        return self.hooks.name


@dataclass(frozen=True)
class Part:
    """The rows of one shard.

    Attributes:
        frames: Score table -> rows, not yet checked against the contract.
        late_file_ids: Late files that the rows include.
        read_at: When the run began to read features.
        features: Tally of the features, see `distance.Tally.as_json`; None if the model has no
            reference to compare it with.
    """

    frames: Frames
    late_file_ids: Collection[int]
    read_at: datetime
    features: Mapping[str, Any] | None = None


def keep(connection: psycopg.Connection[Any], scoring: Scoring, shard: Shard, part: Part) -> None:
    """Store a part for the run's publication, in place of an earlier try's; commits."""
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
    """Claim the parts of a run's tasks for one publication, and delete them when it ends.

    Args:
        connection: Role scorer, committing each statement.
        scoring: The publication. Its run_id, which is unique, replaces the tasks' run_id.
        run_id: The run_id under which the tasks stored the parts.
        shard_count: Number of shards; parts made with another count or model are ignored.

    Yields:
        Shard number -> part, with unread rows. Parts that are added under the publication's run_id
        are deleted too.
    """
    own = [scoring.question, scoring.as_of_date]
    rows = connection.execute(
        "update ops.score_parts set run_id = %s"
        " where run_id = %s and question = %s and as_of_date = %s"
        " returning shard_count, model_version, shard_number, table_name, late_file_ids, read_at,"
        " feature_counts",
        [scoring.run_id, run_id, *own],
    ).fetchall()
    parts: dict[int, Part] = {}
    for count, model_version, number, name, late_file_ids, read_at, features in rows:
        if (count, model_version) != (shard_count, scoring.model.model_version):
            log.warning("ignored: shard %d of %d by %s", number + 1, count, model_version)
            continue
        names = {*(parts[number].frames if number in parts else ()), name}
        kept = Kept(connection, scoring, Shard(number, count), tuple(sorted(names)))
        parts[number] = Part(kept, late_file_ids, read_at, features)
    try:
        yield parts
    finally:
        if not connection.broken:  # else `cleanup` deletes them later
            connection.execute(
                "delete from ops.score_parts"
                " where run_id = %s and question = %s and as_of_date = %s",
                [scoring.run_id, *own],
            )


@dataclass(frozen=True)
class Kept(Mapping[str, pd.DataFrame]):
    """Score table -> rows of a stored part; each table is read on access."""

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
        if row is None:  # an erasure deletes all parts, since any may hold the erased customer
            raise OvertakenError(
                f"the parts of {scoring.question} {scoring.as_of_date} were erased"
            )
        rows = pq.read_table(io.BytesIO(row[0]))
        return rows.to_pandas(types_mapper=AS_ARROW.get, date_as_object=False)
