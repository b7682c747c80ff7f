"""How scoring fans out: a task a shard, and several dates at once."""

from typing import Any

from perennial.settings import Settings

# Dates of one question that are scored side by side: none reads what another wrote. How many tasks
# really work at once is the pool's to say.
DATES_AT_ONCE = 4

_settings = Settings()


def by_shard(score: Any) -> list[Any]:
    """The mapped task that scores each shard; none where there is one, which `publish` scores.

    Args:
        score: A task of one argument, `shard_number`.
    """
    if _settings.shards == 1:
        return []
    return [score.expand(shard_number=list(range(_settings.shards)))]
