"""`make new-question`: three toy questions run from contract to view, and no other file changes.

Rules about customers, a description of visits that needs a table which most shops do not send, and
a prediction of pairs of customer and product.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from local.new_question import new_question
from perennial.settings import REPOSITORY, SettingsError

PROGRAMS = Path(sys.executable).parent
LEFT_OUT = shutil.ignore_patterns(".*", "__pycache__", "target", "logs", "results.md")
TOYS = REPOSITORY / "tests" / "toys"
# Files that an author adds to those that the command writes.
ADDED = {
    "session.yml": "perennial/entities",
    "customer_product.yml": "perennial/entities",
    "canonical__events__sources.yml": "dbt_project/models/staging/canonical",
    "stg_canonical__events.sql": "dbt_project/models/staging/canonical",
    "stg_canonical__events.yml": "dbt_project/models/staging/canonical",
    "visits_facts.sql": "dbt_project/models/features",
    "visits_facts__unit_tests.yml": "dbt_project/models/features",
}
QUESTIONS = {
    "levels": ("customer", "rules"),
    "visits": ("session", "describes"),
    "repurchase": ("customer_product", "predicts"),
}


def run(copy: Path, *command: str | Path) -> str:
    done = subprocess.run(
        command,
        cwd=copy,
        env=os.environ | {"PERENNIAL_HOME": str(copy / "home"), "PYTHONPATH": str(copy)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]
    return done.stdout


def texts(root: Path) -> dict[str, bytes]:
    """Contents of every file, by path."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and ".cache" not in str(path)
    }


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository with three new questions in it."""
    root = tmp_path_factory.mktemp("repository") / "perennial"
    shutil.copytree(REPOSITORY, root, ignore=LEFT_OUT)
    shutil.copy(REPOSITORY / ".sqlfluff", root)
    before = texts(root)
    for name, folder in ADDED.items():
        if name.startswith(("session", "customer")):
            shutil.copy(TOYS / name, root / folder)
    for name, (entity, kind) in QUESTIONS.items():
        run(root, sys.executable, "-m", "command", "new-question", name, entity, kind)
    for name, folder in ADDED.items():  # replaces the empty skeleton of the visits' facts
        shutil.copy(TOYS / name, root / folder)
    need_events(root)
    after = texts(root)
    assert {path: after[path] for path in before} == before  # 0 other files changed
    assert len(after) - len(before) > 20
    return root


def need_events(root: Path) -> None:
    """Declare that visits need events, in the question's contract and its facts' properties."""
    models = root / "dbt_project" / "models"
    for path, old, new in (
        ("scores/visits.yml", "kind: describes", "kind: describes, needs: [events]"),
        # dbt lets no exposure depend on a model that is disabled
        ("scores/visits.yml", "depends_on: [ref('visits_facts')]", "depends_on: []"),
        (
            "features/visits_facts.yml",
            "      meta: {entity: session,",
            "      enabled: \"{{ 'events' in env_var('PERENNIAL_DBT_TABLES', '').split(',') }}\"\n"
            "      meta: {needs: [events], entity: session,",
        ),
    ):
        text = (models / path).read_text()
        assert old in text
        (models / path).write_text(text.replace(old, new))


@pytest.mark.whole
def test_what_it_writes_keeps_the_rules(copy: Path) -> None:
    code = [f"ml_tasks/{name}" for name in QUESTIONS]
    python = [*code, *(f"tests/unit/test_{name}.py" for name in QUESTIONS)]
    run(copy, PROGRAMS / "ruff", "check", *python)
    run(copy, PROGRAMS / "ruff", "format", "--check", *python)
    run(copy, PROGRAMS / "mypy", *code)
    written = [path for path in copy.glob("dbt_project/models/*/*.sql") if named(path)]
    assert len(written) == 9
    run(copy, PROGRAMS / "sqlfluff", "lint", "-q", *written)
    tests = [f"tests/unit/test_{name}.py" for name in (*QUESTIONS, "question", "contracts")]
    run(copy, PROGRAMS / "pytest", "-q", "-p", "no:cacheprovider", *tests, "tests/rules")


def named(path: Path) -> bool:
    return path.name.startswith(tuple(QUESTIONS))


def test_the_questions_run_from_contract_to_view(copy: Path) -> None:
    run(copy, PROGRAMS / "pytest", "-q", "-p", "no:cacheprovider", "tests/toys/walk.py")


@pytest.mark.whole
def test_the_questions_pass_the_suite_of_all_questions(copy: Path) -> None:
    suite = "tests/integration/test_conformance.py"
    toys = ("-k", " or ".join(QUESTIONS))
    run(copy, PROGRAMS / "pytest", "-q", "-p", "no:cacheprovider", suite, *toys)


@pytest.mark.parametrize("entity", ["customer", "product", "covariate"])
@pytest.mark.parametrize("kind", ["predicts", "describes", "rules"])
def test_every_kind_and_entity_makes_valid_files(entity: str, kind: str, tmp_path: Path) -> None:
    output = new_question("next_thing", entity, kind, tmp_path)
    assert "next_thing" in output
    for path in tmp_path.rglob("*.py"):
        compile(path.read_text(), str(path), "exec")
    assert (tmp_path / "dbt_project/models/scores/next_thing.yml").is_file()
    with pytest.raises(SettingsError, match="is there already"):
        new_question("next_thing", entity, kind, tmp_path)


@pytest.mark.parametrize(
    ("name", "entity", "kind", "message"),
    [
        ("Next", "customer", "rules", "NAME='Next' can't be a question"),
        ("class", "customer", "rules", "NAME='class' can't be a question"),
        ("next_thing", "shop", "rules", "unknown entity 'shop': choose one of action, .*covariate"),
        ("next_thing", "customer", "guesses", "KIND='guesses': choose one of predicts"),
    ],
)
def test_what_cannot_be_is_refused(name, entity, kind, message, tmp_path):
    with pytest.raises(SettingsError, match=message):
        new_question(name, entity, kind, tmp_path)
    assert list(tmp_path.iterdir()) == []
