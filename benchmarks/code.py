"""The code version of a figure: digests of files and of a question's models, and the commit.

`python -m benchmarks.code` warns if model code has changed since results.md was written.
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
VERSION = re.compile(r"^\*(\w+): .*commit (\S+), model code ([0-9a-f]{12})", re.MULTILINE)


def code(*folders: str) -> list[Path]:
    """Code files in folders of the repository, sorted."""
    return [
        path
        for folder in folders
        for path in sorted((REPOSITORY / folder).rglob("*"))
        if path.suffix in CODE and "target" not in path.parts
    ]


def imported(files: list[Path], package: str) -> list[Path]:
    """The files and all that they import from a package, directly or not, sorted.

    Args:
        files: Where to begin.
        package: Dotted name; imports from outside it are not followed.
    """
    known, waiting = set[Path](), set(files)
    while waiting:
        known |= waiting
        names = {name for file in waiting for name in _imports(file) if name.startswith(package)}
        paths = {REPOSITORY / f"{name.replace('.', '/')}.py" for name in names}
        waiting = {path for path in paths if path.exists()} - known
    return sorted(known)


def _imports(file: Path) -> Iterator[str]:
    if file.suffix != ".py":
        return
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{name.name}" for name in node.names)
        elif isinstance(node, ast.Import):
            yield from (name.name for name in node.names)


def model_code(question: str) -> list[Path]:
    """Files of a question's models, their imports from ml_tasks, and files of learnt defaults."""
    data = [path for path in (REPOSITORY / "ml_tasks").rglob("*") if path.suffix in DATA_OF_MODELS]
    return [*imported(code(f"ml_tasks/{question}"), "ml_tasks"), *sorted(data)]


def digest(paths: list[Path]) -> str:
    """Twelve hex digits of the files' contents; for a data file or folder, of its sizes."""
    total = hashlib.sha256()
    for path in paths:
        if path.suffix in {*CODE, ".txt", ".parquet", *DATA_OF_MODELS} and path.is_file():
            total.update(path.read_bytes())
        else:
            files = sorted(path.rglob("*")) if path.is_dir() else [path]
            total.update(str([(file.name, file.stat().st_size) for file in files]).encode())
    return total.hexdigest()[:12]


def commit() -> str:
    """The commit, with `-dirty` if other files than the results and looks have changed since."""

    def git(*command: str) -> str:
        return subprocess.run(
            ["git", *command], capture_output=True, text=True, cwd=REPOSITORY, check=True
        ).stdout.strip()

    figures = (f":!{path.relative_to(REPOSITORY)}" for path in (RESULTS, SCALE, LOOKS))
    is_changed = git("status", "--porcelain", "--", ".", *figures)
    return git("describe", "--always") + ("-dirty" if is_changed else "")


def changed_since(results: str) -> list[str]:
    """Warnings for questions with model code that changed since their figures were computed.

    Args:
        results: Text of results.md.
    """
    versions: dict[str, set[tuple[str, str]]] = {}
    for question, of_commit, of_code in VERSION.findall(results):
        versions.setdefault(question, set()).add((of_code, of_commit))
    if not versions:
        return ["no figure in benchmarks/results.md names its model code: make bench"]
    warnings = []
    for question, known in sorted(versions.items()):
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
