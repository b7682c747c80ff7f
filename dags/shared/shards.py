"""Derive the score DAG of a question from its contract: schedule, training, shards."""

from typing import Any

from airflow.sdk import AssetAll, PartitionedAssetTimetable

from dags.shared.assets import FEATURES, SCORES
from perennial import contracts
from perennial.settings import Settings

# Dates of one question that are scored concurrently: no date reads another's scores. The pool
# limits the number of tasks that run at once.
DATES_AT_ONCE = 4

_settings = Settings()


def after_what_is_read(question: str) -> PartitionedAssetTimetable:
    """Schedule of a question: once a date has the scores that the question reads, or features."""
    read = [SCORES[name] for name in contracts.load(question).reads]
    return PartitionedAssetTimetable(assets=AssetAll(*read) if read else FEATURES)


def if_trained(train: Any, question: str) -> list[Any]:
    """The task that ensures a model; an empty list for a question with rules."""
    return [train()] if contracts.load(question).is_trained else []


def by_shard(score: Any, question: str) -> list[Any]:
    """The mapped task that scores each shard; an empty list for one shard: `publish` scores it.

    Args:
        score: A task with one argument, `shard_number`.
        question: Name of the question; without `dealt_by` it has one shard.
    """
    if _settings.shards == 1 or contracts.load(question).dealt_by is None:
        return []
    return [score.expand(shard_number=list(range(_settings.shards)))]
