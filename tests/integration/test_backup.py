"""A home is backed up while it runs, lost, and restored elsewhere: nothing is missing."""

from __future__ import annotations

import json
import shutil
import stat
import threading
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import pytest

from local import postgres
from local.backup import BackupError, backup
from local.home import free_port
from local.restore import restore
from ml_tasks.models import registry
from ml_tasks.trained_model import TrainedModel
from perennial.settings import Settings, SettingsError
from perennial.warehouse import connect
from tests.conftest import StartHome

DAY = date(2024, 1, 1)
MODEL = TrainedModel("coin", DAY, {"seed": 7}, artefacts={"weights.json": b"[1]"})


@pytest.fixture(scope="module")
def home(start_home: StartHome) -> Settings:
    """A home with a stored model."""
    settings = start_home("canonical")
    registry.add(settings, "churn", MODEL)
    return settings


@pytest.fixture(scope="module")
def taken(home: Settings, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    """A backup taken during continuous writes, and the number of rows before it."""
    stop = threading.Event()
    writer = threading.Thread(target=write_rows, args=(home, stop))
    writer.start()
    try:
        while not (before := count_rows(home)):
            pass
        folder = backup(home, tmp_path_factory.mktemp("backups") / "of_the_home")
    finally:
        stop.set()
        writer.join()
    return folder, before


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Settings]:
    settings = Settings(home=tmp_path / "restored", source="canonical", pg_port=free_port())
    yield settings
    if settings.home.exists():
        postgres.stop(settings)
        postgres.remove(settings)


def write_rows(settings: Settings, stop: threading.Event) -> None:
    """Insert consecutive numbers, one per transaction, until stopped."""
    with connect(settings, "loader", autocommit=True) as connection:
        while not stop.is_set():
            connection.execute(
                "insert into raw.canonical_customers (_batch_id, _file_id, _line, _loaded_at,"
                " customer_id) values (1, 1, (select count(*) + 1 from raw.canonical_customers),"
                " now(), 'a customer')"
            )


def count_rows(settings: Settings) -> int:
    with connect(settings, "loader") as connection:
        lines = connection.execute(
            "select _line from raw.canonical_customers order by 1"
        ).fetchall()
    assert lines == [(number,) for number in range(1, len(lines) + 1)]  # none twice, none missing
    return len(lines)


def test_a_restored_home_has_all_of_it_at_another_place(
    home: Settings, taken: tuple[Path, int], elsewhere: Settings
) -> None:
    folder, count_before = taken
    manifest = restore(elsewhere, folder)
    assert (manifest.source, manifest.home) == ("canonical", str(home.home))
    assert not postgres.is_running(elsewhere)
    postgres.start(elsewhere)
    assert count_before <= count_rows(elsewhere) <= count_rows(home)
    for role in ("bi_reader", "scorer", "airflow_fernet"):
        assert elsewhere.password(role) == home.password(role)

    shutil.move(home.home / "mlflow", home.home / "mlflow.away")  # the restored home has copies
    try:
        assert registry.find(elsewhere, "churn", DAY, MODEL.model_version) == MODEL
        later = TrainedModel("coin", date(2024, 2, 1), {"seed": 8})
        registry.add(elsewhere, "churn", later)
        assert not (home.home / "mlflow").exists()
    finally:
        shutil.move(home.home / "mlflow.away", home.home / "mlflow")


def test_only_its_owner_can_read_a_backup(taken: tuple[Path, int]) -> None:
    folder, _ = taken
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    secrets = list((folder / "home" / "secrets").iterdir())
    assert len(secrets) > 8
    assert {stat.S_IMODE(path.stat().st_mode) for path in secrets} == {0o600}


def damage(folder: Path) -> None:
    archive = folder / "postgres" / "base.tar.gz"
    content = bytearray(archive.read_bytes())
    content[len(content) // 2] ^= 1
    archive.write_bytes(content)


def change(**fields: str) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        manifest = folder / "manifest.json"
        manifest.write_text(json.dumps(json.loads(manifest.read_text()) | fields))

    return apply


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (damage, r"1 files .* not as they were written, postgres/base\.tar\.gz"),
        (lambda folder: (folder / "home" / "shop.json").unlink(), r"home/shop\.json"),
        (lambda folder: (folder / "manifest.json").unlink(), "holds no backup"),
        (change(version="99.0.0"), "made by version 99"),
        (change(postgres="17.2"), "files of Postgres 17"),
    ],
    ids=["a bit flipped", "a file gone", "no manifest", "newer code", "another Postgres"],
)
def test_a_backup_that_is_none_is_refused_and_leaves_nothing(
    taken: tuple[Path, int],
    elsewhere: Settings,
    tmp_path: Path,
    harm: Callable[[Path], None],
    message: str,
) -> None:
    copy = shutil.copytree(taken[0], tmp_path / "copy")
    harm(copy)
    with pytest.raises(BackupError, match=message):
        restore(elsewhere, copy)
    assert not elsewhere.home.exists()


def test_a_living_home_is_never_overwritten(home: Settings, taken: tuple[Path, int]) -> None:
    count = count_rows(home)
    with pytest.raises(SettingsError, match="overwrites nothing"):
        restore(home, taken[0])
    assert count_rows(home) == count


def test_a_backup_never_overwrites_another(home: Settings, taken: tuple[Path, int]) -> None:
    with pytest.raises(SettingsError, match="goes into a new folder"):
        backup(home, taken[0])


def test_what_is_no_home_is_not_backed_up(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no home of ours"):
        backup(Settings(home=tmp_path), tmp_path / "backup")
