"""The pool of heavy tasks, which limits how many run at once. It is created at start."""

from typing import Any

from perennial.settings import Settings

HEAVY_POOL = "cores"
HEAVY_SLOTS = Settings().cores

# The waiting task with the highest priority gets the next slot: first what readers see, then what
# other tasks wait for. Airflow's default weights a task by the number of tasks after it, so
# publishing would wait for all models.
PRIORITIES = {"erase": 7, "publish": 6, "score": 5, "look_back": 4, "build": 3, "train": 2}
PRIORITIES["contest"] = 1  # meanwhile the champion scores


def hard(step: str) -> dict[str, Any]:
    """Arguments of a heavy task: its pool, and its priority in the pool.

    Args:
        step: One of PRIORITIES.
    """
    return {
        "pool": HEAVY_POOL,
        "priority_weight": PRIORITIES[step],
        "weight_rule": "absolute",
    }
