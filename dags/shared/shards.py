"""How scoring follows from a contract: what it waits for, whether it trains, its shards."""

from typing import Any

from airflow.sdk import AssetAll, PartitionedAssetTimetable

from dags.shared.assets import FEATURES, SCORES
from perennial import contracts
from perennial.settings import Settings

# Dates of one question that are scored side by side: none reads what another wrote. How many tasks
# really work at once is the pool's to say.
DATES_AT_ONCE = 4

_settings = Settings()


def after_what_is_read(question: str) -> PartitionedAssetTimetable:
    """Schedule of a question: once a date has its features, or the scores that it reads."""
    read = [SCORES[name] for name in contracts.load(question).reads]
    return PartitionedAssetTimetable(assets=AssetAll(*read) if read else FEATURES)


def if_trained(train: Any, question: str) -> list[Any]:
    """The task that makes sure of a model; none for a question that has rules."""
    return [train()] if contracts.load(question).is_trained else []


def by_shard(score: Any, question: str) -> list[Any]:
    """The mapped task that scores each shard; none where there is one, which `publish` scores.

    Args:
        score: A task of one argument, `shard_number`.
        question: One whose rows are not dealt has one shard.
    """
    if _settings.shards == 1 or contracts.load(question).dealt_by is None:
        return []
    return [score.expand(shard_number=list(range(_settings.shards)))]
