"""What CI runs, with a `make` that only writes down how it was called; seconds by folder."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from perennial.settings import REPOSITORY
from tests.faults.__main__ import _parts
from tests.faults.touched import TOUCHES, changed_paths, parts_of
from tests.seconds import by_folder, table

STUB = """#!/bin/sh
echo "$*" >> {calls}
case "$*" in *{fails}*) exit 3 ;; esac
"""


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A folder with CI's script, and a Python that names two parts."""
    (tmp_path / ".ci").mkdir()
    shutil.copy(REPOSITORY / ".ci" / "run", tmp_path / ".ci")
    program = tmp_path / ".venv" / "bin" / "python"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\nprintf 'kills\\nbackup\\n'\n")
    program.chmod(0o755)
    return tmp_path


def run_ci(clone: Path, fails: str = "nothing", **environment: str) -> tuple[int, list[str], str]:
    """CI's exit code, what it had `make` do, and what it printed."""
    calls = clone / "calls"
    (clone / "bin").mkdir(exist_ok=True)
    make = clone / "bin" / "make"
    make.write_text(STUB.format(calls=calls, fails=fails))
    make.chmod(0o755)
    done = subprocess.run(
        [clone / ".ci" / "run"],
        cwd="/",
        env=os.environ | {"PATH": f"{make.parent}:{os.environ['PATH']}"} | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, calls.read_text().splitlines(), done.stdout


def test_ci_runs_lint_every_test_and_the_parts_that_were_touched(clone: Path) -> None:
    code, calls, _ = run_ci(clone)
    assert code == 0
    assert calls == [
        "lint",
        "test",
        "test-faults ONLY=kills SEED=1",
        "test-faults ONLY=backup SEED=1",
    ]


@pytest.mark.parametrize(
    ("fails", "called"), [("lint", ["lint"]), ("test", ["lint", "test"]), ("ONLY=kills", None)]
)
def test_ci_fails_with_what_fails_and_goes_no_further(
    clone: Path, fails: str, called: list[str] | None
) -> None:
    code, calls, _ = run_ci(clone, fails)
    assert code == 3
    assert calls == (called or ["lint", "test", "test-faults ONLY=kills SEED=1"])


def test_ci_begins_no_part_late_and_says_which_it_left_out(clone: Path) -> None:
    code, calls, printed = run_ci(clone, CI_LAST_START_SECONDS="-1")
    assert (code, calls) == (0, ["lint", "test"])
    assert [line.split(": ")[1] for line in printed.splitlines()] == [
        "make test-faults ONLY=kills",
        "make test-faults ONLY=backup",
    ]


def test_a_change_of_paths_names_its_parts_once() -> None:
    assert parts_of(["README.md", "ml_tasks/churn/model.py"]) == []
    assert parts_of(["local/restore.py", "local/backup.py"]) == ["backup"]
    assert parts_of(["tests/faults/test_kills.py", "ingest/land.py"]) == [
        *("bad_input", "two_at_once", "kills"),
    ]


def test_the_map_names_parts_and_paths_that_exist() -> None:
    assert {part for parts in TOUCHES.values() for part in parts} <= set(_parts())
    for beginning in TOUCHES:
        assert list(REPOSITORY.glob(f"{beginning}*")), beginning


def test_what_the_last_commit_changed_is_what_git_says() -> None:
    done = subprocess.run(
        ["git", "diff", "--name-only", "HEAD~1"], cwd=REPOSITORY, capture_output=True, text=True
    )
    if done.returncode:
        pytest.skip("there is no commit before the last: a shallow clone")
    assert changed_paths() == done.stdout.splitlines()


def test_seconds_are_added_up_by_folder() -> None:
    reports = [
        SimpleNamespace(nodeid="tests/unit/test_a.py::test_x", duration=1.0),
        SimpleNamespace(nodeid="tests/unit/test_a.py::test_x", duration=0.5),  # its fixture
        SimpleNamespace(nodeid="tests/sql/test_b.py::test_y[tests/z]", duration=40.0),
    ]
    rows = by_folder(reports)  # type: ignore[arg-type]
    assert rows == [("tests/sql", 1, 40.0), ("tests/unit", 1, 1.5)]
    assert table(rows)[-1].split() == ["all", "2", "tests", "42", "s"]
