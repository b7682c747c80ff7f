"""The recipe of a model: a digest of the code that it is made with and of the pinned libraries.

Equal recipes prove equal models of equal data. Different recipes prove nothing.
"""

from __future__ import annotations

import ast
import hashlib
from functools import cache
from pathlib import Path

from perennial.settings import REPOSITORY

PACKAGE = "ml_tasks"
# Rooms whose code goes into a model. The others store, publish and watch what a model says.
ROOMS = ("customers", "evaluation", "features")


@cache
def recipe_of(question: str) -> str:
    """Twelve hex digits of the question's code, the rooms' code that it imports, and the lock.

    Comments and docstrings do not count.
    """
    digest = hashlib.sha256((REPOSITORY / "requirements.txt").read_bytes())
    for path, tree in sorted(_imported(question).items()):
        digest.update(f"\n{path.relative_to(REPOSITORY)}\n{ast.dump(tree)}".encode())
    return digest.hexdigest()[:12]  # docs/decisions/questions.md: why not all code


def _imported(question: str) -> dict[Path, ast.Module]:
    """Files of the question and, transitively, what they import from ROOMS -> code."""
    found: dict[Path, ast.Module] = {}
    waiting = sorted((REPOSITORY / PACKAGE / question).rglob("*.py"))
    while waiting:
        path = waiting.pop()
        if path in found:
            continue
        found[path] = _without_docstrings(ast.parse(path.read_text()))
        waiting += _imports_of(found[path])
    return found


def _imports_of(tree: ast.Module) -> list[Path]:
    names: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
    parts = [name.split(".") for name in names]
    of_rooms = [one for one in parts if one[0] == PACKAGE and len(one) > 2 and one[1] in ROOMS]
    paths = [(REPOSITORY / "/".join(one)).with_suffix(".py") for one in of_rooms]
    return [path for path in paths if path.is_file()]


def _without_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            continue
        first = node.body[0] if node.body else None
        if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
            node.body = node.body[1:]
    return tree
