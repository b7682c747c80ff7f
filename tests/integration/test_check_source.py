"""`make check-source`: its figures of a shop's files, and that it leaves nothing behind."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import pytest

from local import check_source as module
from local import postgres, server_folder
from local.check_source import PREFIX, check_source
from perennial.settings import REPOSITORY, Settings

BASE = Path(__file__).parent.parent / "cases" / "00-base"


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A separate folder for temporary files, so that leftovers are visible."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def data_folders(temporary: Path) -> set[Path]:
    """Data folders of the checks' servers."""
    return {postgres.data_folder(Settings(home=folder)) for folder in temporary.glob(f"{PREFIX}*")}


def at_work_on(folders: set[Path]) -> list[int]:
    return [
        process.pid
        for process in psutil.process_iter(["cmdline"])
        if {str(folder) for folder in (*folders, *(f.with_suffix(".new") for f in folders))}
        & set(process.info["cmdline"] or [])
    ]


def test_a_sound_shop_is_reported_in_figures_and_nothing_is_kept(temporary: Path) -> None:
    """The figures equal those in the case's README."""
    home, printed, seen = temporary / "home", [], set()

    def tell(line: str) -> None:
        printed.append(line)
        seen.update(data_folders(temporary))

    settings = Settings(home=home, source="canonical", files=str(BASE), currency="BRL")
    assert check_source(settings, None, tell) == 0
    text = "\n".join(printed)
    assert "give 1,942 orders of 394 customers (217 of guests), revenue 93,936.94 BRL" in text
    assert "in zone Europe/London, from 2023-01-01 to 2024-12-30." in text
    assert "customer is unknown" in text
    for question in ("churn", "clv", "survival", "demand"):
        assert f"  {question:<9} yes " in text
    assert list(temporary.iterdir()) == []
    assert len(seen) == 1
    assert not any(folder.exists() for folder in seen)
    assert at_work_on(seen) == []


def test_what_a_run_would_hold_is_reported_and_the_check_goes_on(temporary: Path) -> None:
    files = temporary / "files"
    files.mkdir()
    (files / "customers.csv").write_text("customer_id\nc1\n")
    (files / "products.csv").write_text("product_id,product_name\np1,Lamp\n")
    (files / "orders.csv").write_text(
        "order_id,customer_id,ordered_at,order_type\no1,c1,2024-01-10 23:30:00,sale\n"
        + "".join(f"x{n},c1,10 January 2024,sale\n" for n in range(9))
    )
    (files / "order_items.csv").write_text(
        "order_item_id,order_id,product_id,quantity,unit_price_amount,line_type\n"
        "1,o1,p1,2,12.50,product\n1,x1,p1,1,99.00,product\n"
    )
    printed: list[str] = []
    settings = Settings(home=temporary / "home", source="canonical", files=str(files))
    assert check_source(settings, None, printed.append) == 1
    text = "\n".join(printed)
    assert "A run would hold them at the door: " in text
    assert "canonical_orders.ordered_at" in text
    assert "BATCH" not in text
    assert "give 1 order of 1 customer (0 of guests), revenue 25.00 GBP" in text
    assert "99.00" in text
    for question in ("churn", "clv", "survival", "demand"):
        assert f"  {question:<9} no " in text
    assert [path.name for path in temporary.iterdir()] == ["files"]


@pytest.mark.parametrize(
    ("unpriced", "unknown", "expected"),
    [
        pytest.param(30, 0, "A run would warn: 'unit_price_amount is no number'", id="door"),
        pytest.param(
            0, 30, "A run would hold them once they are built: 'customer is unknown'", id="built"
        ),
    ],
)
def test_what_the_gate_of_rejects_finds_names_no_batch_and_no_table(
    temporary: Path, unpriced: int, unknown: int, expected: str
) -> None:
    files = temporary / "files"
    files.mkdir()
    (files / "customers.csv").write_text("customer_id\nc1\nc2\nc3\n")
    (files / "orders.csv").write_text(
        "order_id,customer_id,ordered_at,order_type\n"
        + "".join(
            f"order-{n},{'x' if n < unknown else 'c'}{1 + n % 3},2024-01-{1 + n % 28:02} 10:00:00"
            ",sale\n"
            for n in range(40)
        )
    )
    (files / "order_items.csv").write_text(
        "order_item_id,order_id,product_id,quantity,unit_price_amount,line_type\n"
        + "".join(
            f"1,order-{n},p1,2,{'n/a' if n < unpriced else '12.50'},product\n" for n in range(40)
        )
    )
    printed: list[str] = []
    settings = Settings(home=temporary / "home", source="canonical", files=str(files))
    assert check_source(settings, None, printed.append) == 1
    text = "\n".join(printed)
    assert f"{expected} rejects too much; found: 30 of 40 orders (75.0%)" in text
    assert "(order" in text  # an example
    assert "BATCH" not in text
    assert "int_rejected_rows" not in text


@pytest.mark.parametrize(
    ("number", "wait_seconds"),
    [
        pytest.param(signal.SIGINT, 0, id="Ctrl-C while the database is made"),
        pytest.param(signal.SIGTERM, 4, id="kill, later"),
    ],
)
def test_a_check_that_is_stopped_leaves_nothing(
    tmp_path: Path, number: signal.Signals, wait_seconds: float
) -> None:
    command = [sys.executable, "-m", "command", "check-source", "--source=canonical"]
    with (tmp_path / "output").open("w") as log:
        check = subprocess.Popen(
            [*command, f"--files={BASE}"],
            env=os.environ | {"TMPDIR": str(tmp_path), "PERENNIAL_HOME": str(tmp_path / "home")},
            cwd=REPOSITORY,
            stdout=log,
            stderr=subprocess.STDOUT,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        while not at_work_on(data_folders(tmp_path)) and check.poll() is None:
            time.sleep(0.1)
        seen = data_folders(tmp_path)
        assert len(seen) == 1
        time.sleep(wait_seconds)
        check.send_signal(number)
        assert check.wait(120) == 130
    assert "stopped" in (tmp_path / "output").read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["output"]
    assert not any(folder.exists() for folder in seen)
    assert at_work_on(seen) == []


def test_what_a_killed_check_left_is_deleted_by_the_next(temporary: Path) -> None:
    left, at_work = (temporary / f"{PREFIX}{name}" for name in ("left", "at_work"))
    for folder in (left, at_work):
        folder.mkdir()
        (folder / "lock").touch()
        server_folder.make_data_folder(Settings(home=folder))
    outside = postgres.data_folder(Settings(home=left))
    with (at_work / "lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        module._sweep()
    assert at_work.exists()
    assert not left.exists()
    assert not outside.exists()
    module._sweep()
    assert not at_work.exists()
