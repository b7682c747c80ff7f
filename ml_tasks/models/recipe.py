"""The recipe of a model: a digest of the code that trains it and of the pinned libraries.

Equal recipes and equal data give equal models. Different recipes may give equal models, too.
"""

from __future__ import annotations

import ast
import hashlib
import json
from functools import cache
from pathlib import Path

import yaml

from perennial.settings import REPOSITORY

PACKAGE = "ml_tasks"
# Folders with code that trains or predicts. The other folders store, publish and watch.
ROOMS = ("customers", "evaluation", "features")


@cache
def recipe_of(question: str) -> str:
    """Digest of the question's code and rules, the code of ROOMS that it imports, requirements.txt.

    Rules are the folder's yml files. Comments and docstrings do not count.

    Returns:
        Twelve hex digits.
    """
    digest = hashlib.sha256((REPOSITORY / "requirements.txt").read_bytes())
    for path, tree in sorted(_imported(question).items()):
        digest.update(f"\n{path.relative_to(REPOSITORY)}\n{ast.dump(tree)}".encode())
    for path in sorted((REPOSITORY / PACKAGE / question).rglob("*.yml")):
        rules = json.dumps(yaml.safe_load(path.read_text()), sort_keys=True)
        digest.update(f"\n{path.relative_to(REPOSITORY)}\n{rules}".encode())
    return digest.hexdigest()[:12]  # docs/decisions/questions.md: why not all code


def _imported(question: str) -> dict[Path, ast.Module]:
    """File -> code, for the question's files and what they import from ROOMS, transitively."""
    trees: dict[Path, ast.Module] = {}
    waiting = sorted((REPOSITORY / PACKAGE / question).rglob("*.py"))
    while waiting:
        path = waiting.pop()
        if path in trees:
            continue
        trees[path] = _without_docstrings(ast.parse(path.read_text()))
        waiting += _imports_of(trees[path])
    return trees


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
