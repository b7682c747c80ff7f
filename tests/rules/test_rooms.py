"""Rooms import downwards only, without circles; read from the source, so inner imports count."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping

import pytest

from perennial import contracts
from perennial.settings import REPOSITORY

# From low to high: a file imports from its own room and from those before it.
ROOMS = (
    *("perennial", "oncall", "ingest", "expectations", "ml_tasks", "privacy", "serve"),
    *("dags", "plugins", "local", "command", "docker", "benchmarks", "tests"),
)
# Exceptions, with the reason.
EXCEPTIONS: dict[tuple[str, str], str] = {}

Imports = Mapping[str, set[str]]


def imports_of(texts: Mapping[str, str]) -> dict[str, set[str]]:
    """Imports between the given modules, by module; also those inside functions and for types."""
    return {module: set(_imported(text, texts)) - {module} for module, text in texts.items()}


def _imported(text: str, modules: Mapping[str, str]) -> Iterator[str]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in modules)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"import by full name: {ast.unparse(node)}"
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            yield from names & set(modules) or {node.module} & set(modules)


def circle(imports: Imports) -> list[str]:
    """Modules of a circular import, with the first one repeated at the end; [] if none."""
    done: set[str] = set()

    def walk(module: str, path: list[str]) -> list[str]:
        if module in path:
            return [*path[path.index(module) :], module]
        if module in done:
            return []
        found = (walk(other, [*path, module]) for other in sorted(imports.get(module, ())))
        first = next((one for one in found if one), [])
        done.add(module)
        return first

    return next((one for module in sorted(imports) if (one := walk(module, []))), [])


def upwards(imports: Imports) -> set[tuple[str, str]]:
    """Imports from a higher room."""
    return {
        (module, other)
        for module, others in imports.items()
        for other in others
        if ROOMS.index(_room(other)) > ROOMS.index(_room(module))
    }


def across(imports: Imports, questions: set[str]) -> set[tuple[str, str]]:
    """Imports of one question by another."""
    return {
        (module, other)
        for module, others in imports.items()
        for other in others
        if (a := _question(module, questions)) and (b := _question(other, questions)) and a != b
    }


def _room(module: str) -> str:
    return module.split(".")[0]


def _question(module: str, questions: set[str]) -> str | None:
    parts = [*module.split("."), ""]
    return parts[1] if parts[0] == "ml_tasks" and parts[1] in questions else None


@pytest.fixture(scope="module")
def texts() -> dict[str, str]:
    """Source of each Python file of the repository, by module."""
    found = {}
    for room in ROOMS:
        for path in (REPOSITORY / room).rglob("*.py"):
            parts = path.relative_to(REPOSITORY).with_suffix("").parts
            found[".".join(parts).removesuffix(".__init__")] = path.read_text()
    assert len(found) > 350
    return found


@pytest.fixture(scope="module")
def imports(texts: dict[str, str]) -> dict[str, set[str]]:
    """Imports by module, without the exceptions."""
    found = imports_of(texts)
    for module, other in EXCEPTIONS:
        found[module].discard(other)
    return found


def test_every_folder_of_python_is_a_room() -> None:
    folders = {path.parent.name for path in REPOSITORY.glob("*/*.py")}
    assert folders == set(ROOMS), "give it a place in ROOMS, above all that it imports"


def test_a_room_imports_only_from_lower_ones(imports: Imports) -> None:
    assert upwards(imports) == set(), "move what both need into the lower room"


def test_nothing_imports_itself_in_a_circle(imports: Imports) -> None:
    assert circle(imports) == []


def test_no_question_imports_another(imports: Imports) -> None:
    questions = set(contracts.questions())
    assert len(questions) >= 4
    assert across(imports, questions) == set(), "move what both need out of the questions"


def test_every_exception_is_still_needed(texts: dict[str, str]) -> None:
    found = imports_of(texts)
    assert {pair for pair in EXCEPTIONS if pair[1] not in found[pair[0]]} == set()


def test_inner_imports_and_those_for_types_count() -> None:
    planted = {
        "perennial.a": "def f():\n    from local.b import x",
        "local.b": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import local.c",
        "local.c": "from local import b, d",
        "local.d": "",
        "ml_tasks.churn.run": "from ml_tasks.clv.model import fit\nfrom ml_tasks.features import x",
        "ml_tasks.clv.model": "",
        "ml_tasks.features": "",
    }
    found = imports_of(planted)
    assert upwards(found) == {("perennial.a", "local.b")}
    assert circle(found) == ["local.b", "local.c", "local.b"]
    assert across(found, {"churn", "clv"}) == {("ml_tasks.churn.run", "ml_tasks.clv.model")}
