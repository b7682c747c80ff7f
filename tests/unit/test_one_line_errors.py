"""Errors that a command prints in one line: full disk, Ctrl-C, broken file, lost password."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from command.errors import exit_code
from ingest.sample_shop import make_files
from local import backup, home, postgres
from local.home import LASTING_SECRETS, prepare, whole_file
from perennial.machine import REMEDIES
from perennial.settings import REPOSITORY, Settings, SettingsError, shop_of


def raising(error: BaseException) -> Callable[[], int]:
    def call() -> int:
        raise error

    return call


@pytest.mark.parametrize(
    ("error", "says"),
    [
        pytest.param(OSError(errno.ENOSPC, "x", "/home/f"), "/home/f: the disk is full", id="room"),
        pytest.param(PermissionError(errno.EACCES, "x", "/h"), "as the user who owns", id="right"),
        pytest.param(OSError(errno.EROFS, "x", "/h"), "PERENNIAL_HOME", id="read-only"),
        pytest.param(OSError(errno.EMFILE, "x"), "ulimit -n", id="open files"),
        pytest.param(
            shutil.Error([("/a", "/b", "[Errno 28] No space: '/a' -> '/b'"), ("/c", "/d", "x")]),
            "/b: the disk is full",
            id="a folder that was copied",
        ),
        pytest.param(psycopg.errors.DiskFull("could not extend"), "df -h", id="Postgres' disk"),
        pytest.param(KeyboardInterrupt(), "make down", id="Ctrl-C"),
    ],
)
def test_what_a_user_can_mend_is_one_line_with_the_remedy(
    capsys: pytest.CaptureFixture[str], error: BaseException, says: str
) -> None:
    assert exit_code(raising(error)) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    [line] = printed.err.splitlines()
    assert line.startswith("error: ")
    assert says in line


def test_what_nobody_foresaw_keeps_its_traceback() -> None:
    assert errno.ESPIPE not in REMEDIES
    with pytest.raises(OSError, match="seek"):
        exit_code(raising(OSError(errno.ESPIPE, "Illegal seek")))


def test_a_reader_that_has_enough_ends_a_command_without_a_word(tmp_path: Path) -> None:
    command = f"{sys.executable} -m command logs | head -c 1; exit ${{PIPESTATUS[0]}}"
    logs = tmp_path / "logs"
    logs.mkdir()
    for number in range(400):
        (logs / f"{number}.log").write_text("word " * 1_000)
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=REPOSITORY,
        env=os.environ | {"PERENNIAL_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (141, "")


# Files of a home ----------------------------------------------------------------------------------


@pytest.mark.parametrize("content", ["", '{"sou', "[]", '{"source": 7}', '"canonical"', "\xff\xfe"])
def test_a_broken_shop_json_is_reported_with_the_remedy(tmp_path: Path, content: str) -> None:
    (tmp_path / "shop.json").write_text(content, encoding="latin1")
    with pytest.raises(SettingsError, match=r'shop\.json is broken.*backup.*\{"source"'):
        shop_of(tmp_path)
    with pytest.raises(SettingsError, match="is broken"):
        prepare(Settings(home=tmp_path))
    assert (tmp_path / "shop.json").read_text(encoding="latin1") == content


def test_a_file_is_there_whole_or_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "shop.json"
    path.write_text("before")

    def write_half() -> None:
        with whole_file(path) as file:
            file.write("half")
            raise OSError(errno.ENOSPC, "full")

    with pytest.raises(OSError, match="full"):
        write_half()
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_sample_shop_that_could_not_be_made_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(home=tmp_path, sample_customers=20, sample_days=40)
    write_text, written = Path.write_text, []

    def full_after_two(path: Path, text: str) -> int:
        written.append(path)
        if len(written) > 2:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        return write_text(path, text)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", full_after_two)
        with pytest.raises(OSError, match="No space"):
            make_files(settings, tmp_path / "sample_shop")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "sample_shop.part").mkdir()
    (tmp_path / "sample_shop.part" / "orders_1999-01.csv").write_text("of another plan")
    names = {path.name for path in make_files(settings, tmp_path / "sample_shop")}
    assert "products.csv" in names
    assert "orders_1999-01.csv" not in names


@pytest.mark.parametrize("inside", ["backup", "logs/backup", "."])
def test_a_backup_into_its_own_home_is_refused(tmp_path: Path, inside: str) -> None:
    settings = Settings(home=tmp_path / "home")
    prepare(settings)
    before = sorted(settings.home.rglob("*"))
    with pytest.raises(SettingsError, match=r"which is to be backed up|is there already"):
        backup.backup(settings, settings.home / inside)
    assert sorted(settings.home.rglob("*")) == before


# Lost passwords -----------------------------------------------------------------------------------


@contextmanager
def home_with_a_database(folder: Path) -> Iterator[Settings]:
    """A home with a database folder; no server is needed."""
    settings = Settings(home=folder)
    assert prepare(settings) == []  # a first start has lost nothing
    data = postgres.data_folder(settings)
    data.mkdir(parents=True)
    (data / "PG_VERSION").write_text("18\n")
    try:
        yield settings
    finally:
        postgres.remove(settings)


@pytest.mark.parametrize("name", LASTING_SECRETS)
def test_a_lost_password_that_data_were_made_with_is_not_replaced(
    tmp_path: Path, name: str
) -> None:
    with home_with_a_database(tmp_path) as settings:
        (settings.secrets_dir / name).unlink()
        with pytest.raises(SettingsError) as error:
            prepare(settings)
        assert f"{settings.secrets_dir / name} is gone" in str(error.value)
        assert f"<backup>/home/secrets/{name}" in str(error.value)
        assert "\n" not in str(error.value)
        assert not (settings.secrets_dir / name).exists()


def test_other_lost_passwords_are_replaced_and_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with home_with_a_database(tmp_path) as settings:
        names = {path.name for path in settings.secrets_dir.iterdir()} - set(LASTING_SECRETS)
        kept = {name: (settings.secrets_dir / name).read_text() for name in LASTING_SECRETS}
        for name in names:
            (settings.secrets_dir / name).unlink()
        assert set(prepare(settings)) == names
        told_of = capsys.readouterr().out
        assert all(name in told_of for name in names)
        assert kept == {name: (settings.secrets_dir / name).read_text() for name in kept}
        assert prepare(settings) == []


def test_every_password_is_classified_as_permanent_or_replaceable() -> None:
    """Every new password must be classified: reset in the database, or needed to read its data."""
    set_at_each_start = {*home.ROLES, *home.AIRFLOW_SECRETS, *home.MLFLOW_SECRETS}
    assert set_at_each_start - set(LASTING_SECRETS) == {
        *("perennial", "loader", "transformer", "scorer", "eraser", "watcher", "bi_reader"),
        *("reader_check", "reader_limit", "airflow", "mlflow"),  # bootstrap: alter role
        *("airflow_admin", "airflow_jwt", "airflow_api"),  # read from the file, kept nowhere
        *("mlflow_admin", "mlflow_sessions"),  # mlflow.start
    }


@pytest.mark.parametrize("name", LASTING_SECRETS)
def test_a_set_in_containers_keeps_what_its_data_were_made_with(tmp_path: Path, name: str) -> None:
    def secrets() -> subprocess.CompletedProcess[str]:
        script = REPOSITORY / "docker" / "secrets.sh"
        return subprocess.run([script, tmp_path / "s"], capture_output=True, text=True, check=False)

    assert secrets().returncode == 0
    assert secrets().returncode == 0
    (tmp_path / "s" / name).unlink()
    done = secrets()
    assert done.returncode == 1
    assert f"{name} is gone" in done.stderr
    assert not (tmp_path / "s" / name).exists()
