"""Which parts of `make test-faults` a change touches: `python -m tests.faults.touched`.

A fixed map of paths, so that the same change runs the same parts. It prints a part a line.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable

from perennial.settings import REPOSITORY

BASE = "CI_BASE"  # a commit: what changed since the branch left it; not set: in the last commit

# The parts that a path's change can break, by the beginning of the path, the quickest first: those
# of whole chains under Airflow (scheduler, on_call) take too long for each change and are run
# by hand.
TOUCHES = {
    "dags/score.py": ("airflow_chain",),
    "dags/shared/alerts.py": ("watchdog",),
    "dags/shared/shards.py": ("airflow_chain",),
    "dbt_project/macros/": ("incremental", "point_in_time"),
    "dbt_project/models/features/": ("point_in_time",),
    "dbt_project/models/intermediate/": ("incremental",),
    "dbt_project/models/marts/": ("incremental",),
    "dbt_project/models/reporting/": ("readers",),
    "dbt_project/models/staging/": ("bad_input", "incremental"),
    "expectations/days.py": ("usual_days", "poisoned_days"),
    "expectations/reject": ("rejects_gate", "usual_rejects"),
    "expectations/shop_days.py": ("usual_days", "poisoned_days"),
    "ingest/": ("bad_input", "two_at_once"),
    "local/backup.py": ("backup",),
    "local/new_question.py": ("new_question",),
    "local/new_source.py": ("new_source",),
    "local/restore.py": ("backup",),
    "ml_tasks/engine/": ("readers", "two_at_once"),
    "ml_tasks/models/artefacts.py": ("pickles",),
    "perennial/reader_limit.py": ("readers",),
    "perennial/roles.py": ("readers", "injection"),
    "perennial/settings.py": ("secrets",),
    "perennial/text.py": ("injection",),
    "perennial/warehouse.py": ("injection",),
    "oncall/watchdog/": ("watchdog",),
    "privacy/": ("erasure",),
}


def parts_of(paths: Iterable[str]) -> list[str]:
    """Parts that a change of these paths can break, each once, in the order of the map.

    Args:
        paths: In the repository, as git writes them.
    """
    changed = list(paths)
    own = {
        path.removeprefix("tests/faults/test_").removesuffix(".py")
        for path in changed
        if path.startswith("tests/faults/test_")
    }
    named = {
        part: None
        for beginning, parts in TOUCHES.items()
        if any(path.startswith(beginning) for path in changed)
        for part in parts
    }
    return [*named, *sorted(own - set(named))]


def changed_paths() -> list[str]:
    """Paths that the last commit changed, or all since CI_BASE.

    Raises:
        subprocess.CalledProcessError: If there is no such commit; git's error is printed.
    """
    base = os.environ.get(BASE)
    done = subprocess.run(
        ["git", "diff", "--name-only", f"{base}...HEAD" if base else "HEAD~1"],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()


def main() -> int:
    """Print the parts, one a line."""
    try:
        print("\n".join(parts_of(changed_paths())))
    except subprocess.CalledProcessError:  # a shallow clone, a first commit
        print("no commit to compare with, so no part of test-faults is run", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
