"""First starts by different users, with clone and home in different places."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
import pytest

from local import postgres, programs
from local.home import free_port
from perennial.settings import REPOSITORY, Settings
from tests.conftest import StartHome

IS_ROOT = os.geteuid() == 0
ORDINARY = "nobody"  # a user who is not root, if we are
PRIVATE, OPEN = 0o700, 0o755
needs_root = pytest.mark.skipif(not IS_ROOT, reason="only root's server runs as another user")
USERS = [pytest.param(None, id="us"), pytest.param(ORDINARY, id="ordinary", marks=needs_root)]


def python_of(user: str | None) -> str:
    """A Python 3.11 that the user can run: ours may lie in a private folder."""
    reads = subprocess.run(["test", "-r", str(REPOSITORY / "Makefile")], user=user, cwd="/")
    if reads.returncode:
        pytest.skip(f"{user} may not enter this clone, so it can start nothing of it")
    for path in (sys.executable, "/usr/bin/python3.11"):
        with suppress(PermissionError, FileNotFoundError):
            subprocess.run([path, "-c", ""], check=True, user=user, cwd="/")
            return path
    pytest.skip(f"{user} can run no Python 3.11 here")


@contextmanager
def clone(mode: int, user: str | None, name: str = "clone") -> Iterator[Path]:
    """A folder of the user with its own wheel, like a clone with its .venv."""
    top = Path(tempfile.mkdtemp(prefix="perennial-test-"))
    folder = top / name
    try:
        installed = programs._site_packages()
        info = next(installed.glob(f"{programs.WHEEL}-*.dist-info")).name
        for part in (*programs.PARTS, info):
            shutil.copytree(installed / part, folder / "wheel" / part, symlinks=True)
        init = Path(programs.WHEEL) / "__init__.py"
        shutil.copy2(installed / init, folder / "wheel" / init)
        if user:
            for path in (top, *top.rglob("*")):
                shutil.chown(path, user)
        top.chmod(mode)
        yield folder
    finally:
        shutil.rmtree(top)


def run(verb: str, folder: Path, settings: Settings, user: str | None) -> tuple[int, str]:
    """Run `perennial postgres` in that clone; return exit code and output."""
    done = subprocess.run(
        [python_of(user), "-m", "command", "postgres", verb],
        cwd=REPOSITORY,
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join(
                map(str, (folder / "wheel", REPOSITORY, programs._site_packages()))
            ),
            "PERENNIAL_HOME": str(settings.home),
            "PERENNIAL_SOURCE": settings.source,
            "PERENNIAL_PG_PORT": str(settings.pg_port),
        },
        user=user,
        extra_groups=[] if user else None,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    return done.returncode, done.stdout + done.stderr


def start_and_stop(folder: Path, settings: Settings, user: str | None) -> None:
    code, output = run("start", folder, settings, user)
    assert code == 0, output
    try:
        assert postgres.is_running(settings)
    finally:
        assert run("stop", folder, settings, user)[0] == 0


@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize(
    "mode", [pytest.param(PRIVATE, id="private"), pytest.param(OPEN, id="open")]
)
def test_a_home_starts_first_and_again(mode: int, user: str | None) -> None:
    with clone(mode, user, "a clöne") as folder:
        settings = Settings(home=folder / ".perennial", source="canonical", pg_port=free_port())
        copies = postgres._copies(settings)
        try:
            start_and_stop(folder, settings, user)
            has_copy = IS_ROOT and user is None and mode == PRIVATE
            assert copies.exists() == has_copy
            start_and_stop(folder, settings, user)
        finally:
            postgres.remove(settings)
        assert not copies.exists()
        assert stat.S_IMODE(folder.parent.stat().st_mode) == mode  # no folder was opened to others


@needs_root
def test_a_copy_that_is_damaged_or_of_another_wheel_does_no_harm() -> None:
    with clone(PRIVATE, None) as folder:
        settings = Settings(home=folder / ".perennial", source="canonical", pg_port=free_port())
        copies = postgres._copies(settings)
        try:
            (copies / "0.1.0-01234567" / programs.BIN).mkdir(parents=True)
            (copies / "new" / programs.BIN).mkdir(parents=True)
            start_and_stop(folder, settings, None)
            (whole,) = copies.iterdir()
            library = next((whole / programs.PARTS[1]).glob("libpq*"))
            size = library.stat().st_size
            os.truncate(library, 1_000)
            start_and_stop(folder, settings, None)
            assert library.stat().st_size == size
            shutil.rmtree(
                whole / programs.PARTS[1]
            )  # copies of an earlier version lacked this part
            start_and_stop(folder, settings, None)
            assert library.exists()
        finally:
            postgres.remove(settings)


def test_a_lost_reader_password_is_replaced(start_home: StartHome) -> None:
    settings = start_home("canonical")
    before, key = settings.dsn("bi_reader"), settings.pii_key
    psycopg.connect(before).close()
    (settings.secrets_dir / "bi_reader").unlink()
    postgres.start(settings)
    psycopg.connect(settings.dsn("bi_reader")).close()
    with pytest.raises(psycopg.OperationalError, match="authentication failed"):
        psycopg.connect(before)
    assert settings.pii_key == key


@needs_root
def test_who_deletes_a_home_to_begin_anew_is_told_of_its_database() -> None:
    with clone(PRIVATE, None) as folder:
        settings = Settings(home=folder / ".perennial", source="canonical", pg_port=free_port())
        data = postgres.data_folder(settings)
        try:
            start_and_stop(folder, settings, None)
            shutil.rmtree(settings.home)
            code, output = run("start", folder, settings, None)
            assert code == 1
            assert f"delete its database, too: {data.parent}" in output
            shutil.rmtree(data.parent)
            start_and_stop(folder, settings, None)
        finally:
            postgres.remove(settings)


@needs_root
def test_a_home_that_is_moved_or_opened_keeps_its_database() -> None:
    with clone(PRIVATE, None) as folder:
        settings = Settings(home=folder / ".perennial", source="canonical", pg_port=free_port())
        data = postgres.data_folder(settings)
        moved = settings.model_copy(update={"home": folder / "moved"})
        try:
            start_and_stop(folder, settings, None)
            made = (data / "PG_VERSION").stat().st_mtime_ns
            settings.home.rename(moved.home)
            folder.parent.chmod(OPEN)
            assert postgres.data_folder(moved) == data
            start_and_stop(folder, moved, None)
            assert (data / "PG_VERSION").stat().st_mtime_ns == made
            shutil.copytree(moved.home, settings.home, symlinks=True)
            code, output = run("start", folder, settings, None)
            assert code == 1
            assert "is a copy of" in output
            postgres.remove(settings)
            assert data.exists()  # it belongs to the other home
            data.rename(data.with_name("elsewhere"))
            code, output = run("start", folder, moved, None)
            assert code == 1
            assert f"was in {data}, and that is gone" in output
            assert not data.exists()
        finally:
            postgres.remove(moved)
        assert not data.parent.exists()
