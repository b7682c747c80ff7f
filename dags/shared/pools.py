"""The pool of tasks that work hard, so that the machine stays responsive. Made at start."""

from typing import Any

from perennial.settings import Settings

HEAVY_POOL = "cores"
HEAVY_SLOTS = Settings().cores

# Of the tasks that wait for a slot the highest goes first: what readers get next, then what others
# wait for. Airflow's own rule counts the tasks behind one, so publishing would wait for all models.
PRIORITIES = {"erase": 7, "publish": 6, "score": 5, "look_back": 4, "build": 3, "train": 2}
PRIORITIES["contest"] = 1  # the champion scores meanwhile


def hard(step: str) -> dict[str, Any]:
    """Arguments of a task that works hard: its pool, and who goes first in it.

    Args:
        step: One of PRIORITIES.
    """
    return {
        "pool": HEAVY_POOL,
        "priority_weight": PRIORITIES[step],
        "weight_rule": "absolute",
    }
