"""Which code a figure comes from: digests of files, of a question's models, and the commit.

`python -m benchmarks.code` warns of model code that has changed since results.md was made.
"""

from __future__ import annotations

import ast
import hashlib
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

from perennial.settings import REPOSITORY

RESULTS = REPOSITORY / "benchmarks" / "results.md"
SCALE = REPOSITORY / "benchmarks" / "scale.md"
LOOKS = REPOSITORY / "benchmarks" / "panel" / "looks.md"
CODE = {".py", ".sql", ".yml"}
DATA_OF_MODELS = {".json", ".toml", ".csv"}  # defaults that were learnt are model code, too
TOLD = re.compile(r"^\*(\w+): .*commit (\S+), model code ([0-9a-f]{12})", re.MULTILINE)


def code(*folders: str) -> list[Path]:
    """Files of code in folders of the repository, in order."""
    return [
        path
        for folder in folders
        for path in sorted((REPOSITORY / folder).rglob("*"))
        if path.suffix in CODE and "target" not in path.parts
    ]


def imported(files: list[Path], package: str) -> list[Path]:
    """The files and what they import of a package, and so on, in order.

    Args:
        files: Where to begin.
        package: Dotted; what lies outside it is not followed.
    """
    known, waiting = set[Path](), set(files)
    while waiting:
        known |= waiting
        names = {name for file in waiting for name in _imports(file) if name.startswith(package)}
        paths = {REPOSITORY / f"{name.replace('.', '/')}.py" for name in names}
        waiting = {path for path in paths if path.exists()} - known
    return sorted(known)


def _imports(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{name.name}" for name in node.names)
        elif isinstance(node, ast.Import):
            yield from (name.name for name in node.names)


def model_code(question: str) -> list[Path]:
    """Files of a question's models, what they import of ml_tasks, and defaults that were learnt."""
    data = [path for path in (REPOSITORY / "ml_tasks").rglob("*") if path.suffix in DATA_OF_MODELS]
    return [*imported(code(f"ml_tasks/{question}"), "ml_tasks"), *sorted(data)]


def digest(paths: list[Path]) -> str:
    """Twelve hex digits of the files' contents; of a data file or folder, its sizes."""
    total = hashlib.sha256()
    for path in paths:
        if path.suffix in {*CODE, ".txt", ".parquet", *DATA_OF_MODELS} and path.is_file():
            total.update(path.read_bytes())
        else:
            files = sorted(path.rglob("*")) if path.is_dir() else [path]
            total.update(str([(file.name, file.stat().st_size) for file in files]).encode())
    return total.hexdigest()[:12]


def commit() -> str:
    """What is measured; -dirty if it was changed since, the figures' own files and looks aside."""

    def git(*command: str) -> str:
        return subprocess.run(
            ["git", *command], capture_output=True, text=True, cwd=REPOSITORY, check=True
        ).stdout.strip()

    figures = (f":!{path.relative_to(REPOSITORY)}" for path in (RESULTS, SCALE, LOOKS))
    is_changed = git("status", "--porcelain", "--", ".", *figures)
    return git("describe", "--always") + ("-dirty" if is_changed else "")


def changed_since(results: str) -> list[str]:
    """A warning for each question whose models are no longer those of its figures.

    Args:
        results: Text of results.md.
    """
    told: dict[str, set[tuple[str, str]]] = {}
    for question, of_commit, of_code in TOLD.findall(results):
        told.setdefault(question, set()).add((of_code, of_commit))
    if not told:
        return ["no figure in benchmarks/results.md says of which models it is: make bench"]
    warnings = []
    for question, known in sorted(told.items()):
        now = digest(model_code(question))
        old = sorted(of_commit for of_code, of_commit in known if of_code != now)
        if old:
            warnings.append(
                f"{question}: model code has changed since figures in benchmarks/results.md were"
                f" computed (commit {', '.join(old)}): make bench ONLY={question}"
            )
    return warnings


if __name__ == "__main__":
    for warning in changed_since(RESULTS.read_text()):
        print(f"warning: {warning}")
