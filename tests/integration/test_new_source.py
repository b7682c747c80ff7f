"""`make new-source`: the skeleton parses, keeps the rules, is free of lint and builds unchanged."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from local.new_source import new_source
from perennial.settings import REPOSITORY, SettingsError

PROGRAMS = Path(sys.executable).parent
# Not copied: what git ignores, and what the tools leave.
LEFT_OUT = shutil.ignore_patterns(".*", "__pycache__", "target", "logs", "benchmarks")


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository with a new source in it."""
    root = tmp_path_factory.mktemp("repository") / "perennial"
    shutil.copytree(REPOSITORY, root, ignore=LEFT_OUT)
    shutil.copy(REPOSITORY / ".sqlfluff", root)
    new_source("acme_shop", root)
    return root


def run(copy: Path, *command: str | Path) -> str:
    done = subprocess.run(
        command,
        cwd=copy,
        env=os.environ | {"PERENNIAL_HOME": str(copy / "home"), "PYTHONPATH": str(copy)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    return done.stdout


def test_what_it_writes_is_the_canonical_source_under_another_name(copy: Path) -> None:
    theirs, ours = (copy / "dbt_project/models/staging" / n for n in ("canonical", "acme_shop"))
    names = {path.name.replace("canonical", "acme_shop") for path in theirs.iterdir()}
    assert {path.name for path in ours.iterdir()} == names | {"example"}
    for path in ours.rglob("*.*"):
        assert "canonical" not in path.read_text()
    (test,) = (copy / "dbt_project/tests/acme_shop").iterdir()
    assert "var('source') == 'acme_shop'" in test.read_text()


def test_its_example_comes_to_what_its_lines_say(copy: Path) -> None:
    """By hand: 3 x 4.50, a guest's 8.00, 4.50 + 2 x 7.50; 2.95 of postage; 4.50 refunded."""
    example = "dbt_project/models/staging/acme_shop/example"
    output = run(
        *(copy, sys.executable, "-m", "command", "check-source"),
        *("--source=acme_shop", f"--files={example}", "--currency=EUR"),
    )
    assert "give 3 orders of 2 customers (1 of a guest), revenue 41.00 EUR" in output
    assert "charges beside it 2.95, refunds 4.50" in output
    assert "Dropped: 0 rows." in output
    assert not (copy / "home").exists()


@pytest.mark.whole
def test_it_keeps_the_rules_and_is_lint_free(copy: Path) -> None:
    rules = "tests/rules/test_dbt_models.py"
    # the exit code is also not 0 if no rule applies
    run(copy, sys.executable, "-m", "pytest", "-n0", rules, "-k", "acme_shop")
    run(copy, PROGRAMS / "sqlfluff", "lint", "-q", "dbt_project/models/staging/acme_shop")


@pytest.mark.parametrize(
    "name", ["", "x", "Acme", "acme-shop", "1shop", "a__b", "../x", "sample", "a" * 31, "é1"]
)
def test_what_can_be_no_name_writes_nothing(tmp_path: Path, name: str) -> None:
    with pytest.raises(SettingsError, match="can't be a source"):
        new_source(name, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_source_that_is_there_is_not_overwritten() -> None:
    with pytest.raises(SettingsError, match="there already"):
        new_source("canonical")
