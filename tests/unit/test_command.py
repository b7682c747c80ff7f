"""The command: fast help, every name that `make` calls, completion, and its installation."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from command import app
from perennial.settings import REPOSITORY

HELP_CPU_SECONDS = 0.5
# slow imports that help and completion do not need
HEAVY = {"airflow", "pandas", "numpy", "psycopg", "pydantic", "local.run", "ml_tasks"}
MEASURE = """
import json, resource, sys
from command.app import main
main(json.loads(sys.argv[1]))
usage = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps([usage.ru_utime + usage.ru_stime, sorted(sys.modules)]))
"""


def names() -> set[str]:
    """Every command of the application."""
    app.main([])  # registers them
    return {str(found.name) for found in app.app.registered_commands}


def test_help_needs_nothing_that_is_slow() -> None:
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, json.dumps(["--help"])],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    *shown, measured = done.stdout.splitlines()
    seconds, modules = json.loads(measured)
    assert HEAVY & set(modules) == set()
    assert seconds < HELP_CPU_SECONDS
    assert "rollback" in "\n".join(shown)


def test_every_command_has_help_in_one_sentence_or_more(capsys: pytest.CaptureFixture[str]) -> None:
    assert len(names()) > 20
    for name in names():
        capsys.readouterr()
        assert app.main([name, "--help"]) == 0
        shown = " ".join(capsys.readouterr().out.split())
        assert re.search(r"[A-Z][a-z].*[a-z]\.", shown), name


def test_what_make_calls_exists() -> None:
    called = set(re.findall(r"\$\(PERENNIAL\) ([a-z-]+)", (REPOSITORY / "Makefile").read_text()))
    assert len(called) > 15
    assert called <= names()


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("perennial roll", {"rollback"}),
        ("perennial rollback ch", {"churn"}),
        ("perennial dsn --role bi", {"bi_reader"}),
        ("perennial run --source can", {"canonical"}),
        ("perennial score look", {"lookback"}),
    ],
)
def test_the_shell_completes_commands_and_values(typed: str, offered: set[str]) -> None:
    request = {"COMP_WORDS": typed, "COMP_CWORD": str(len(typed.split()) - 1)}
    done = subprocess.run(
        [sys.executable, "-m", "command"],
        cwd=REPOSITORY,
        env=os.environ | request | {"_PERENNIAL_COMPLETE": "complete_bash"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert set(done.stdout.split()) == offered


def test_an_editable_install_names_the_clone_and_copies_nothing(tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    shutil.copytree(REPOSITORY / "command", clone / "command")
    for name in ("pyproject.toml", "LICENSE"):
        shutil.copy(REPOSITORY / name, clone)
    build = "import sys, setuptools.build_meta as b; print(b.build_editable(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", build, tmp_path],
        cwd=clone,
        capture_output=True,
        text=True,
        check=True,
    )
    with zipfile.ZipFile(tmp_path / done.stdout.splitlines()[-1]) as wheel:
        texts = {name: wheel.read(name).decode() for name in wheel.namelist()}
    assert [text.strip() for name, text in texts.items() if name.endswith(".pth")] == [str(clone)]
    assert not [name for name in texts if name.endswith(".py")]
    (scripts,) = (text for name, text in texts.items() if name.endswith("entry_points.txt"))
    assert "perennial = command.app:main" in scripts
