"""Training, storing, loading and scoring unpickle nothing, and no stored file is a pickle."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile

import pytest

from perennial.settings import REPOSITORY, Settings
from tests.conftest import StartHome
from tests.faults.chain import DAYS, shop, write_files
from tests.faults.ledger import record
from tests.steps import build, land_files

pytestmark = pytest.mark.whole

AS_OF = DAYS[0]
FORMATS = {".json", ".md", ".png", ".ubj", ".safetensors"}

# Python's audit event for each class that an unpickler looks up, in whatever library.
SCORE = """
import json, sys
seen = []
def hook(event, names):
    if event == "pickle.find_class":
        seen.append(names)
sys.addaudithook(hook)
from datetime import date
from perennial.settings import Settings
from tests.steps import score
score(Settings(), date.fromisoformat(sys.argv[1]))
import pickle
count = len(seen)
pickle.loads(pickle.dumps(date(2024, 1, 1)))  # proves that the hook works
print(json.dumps({"seen": seen[:count], "control": seen[count:]}))
"""


def scored(settings: Settings) -> dict:
    fields = {"HOME": settings.home, "PG_PORT": settings.pg_port, "SOURCE": settings.source}
    done = subprocess.run(
        [sys.executable, "-c", SCORE, str(AS_OF)],
        cwd=REPOSITORY,
        env=os.environ | {f"PERENNIAL_{name}": str(value) for name, value in fields.items()},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def home(start_home: StartHome, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    settings = start_home("canonical")
    files = tmp_path_factory.mktemp("shop")
    write_files(shop(), files, AS_OF)
    land_files(settings, AS_OF, files)
    build(settings, AS_OF)
    return settings


def test_nothing_is_unpickled(home: Settings) -> None:
    trained, loaded = scored(home), scored(home)
    record(
        "nobody in",
        "every question trained, stored, loaded and scored, each unpickled class recorded",
        f"{len(trained['seen'])} in training, {len(loaded['seen'])} in scoring with stored models",
        leaks=len(trained["seen"]) + len(loaded["seen"]),
    )
    assert trained["control"] == loaded["control"] == [["datetime", "date"]]
    assert trained["seen"] == []
    assert loaded["seen"] == []


def test_no_stored_file_is_a_pickle(home: Settings) -> None:
    files = [path for path in (home.home / "mlflow").rglob("*") if path.is_file()]
    assert len(files) > 12
    assert {path.suffix for path in files} <= FORMATS
    for path in files:
        assert not path.read_bytes().startswith(b"\x80"), path  # a pickle's first byte
        assert not zipfile.is_zipfile(path), path  # torch.save writes zip files
