"""A full disk, no memory: the cause is named, the last scores stay readable, work goes on."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from benchmarks.steps import DAILY, Task
from local import postgres
from local.home import free_ports
from ml_tasks.models import registry
from perennial.settings import Settings, SettingsError
from tests.faults import chain, ledger, readers, twins
from tests.faults.work import Work

pytestmark = pytest.mark.whole

DAY, NEXT_DAY = chain.DAYS[1:3]
DISK_MEGABYTES = 1_500
LEFT_KILOBYTES = {"land": 64, "dbt": 256, "train churn": 64, "publish churn": 64}
MEMORY_STEPS = ("train churn", "publish churn", "dbt", "land")
MORE_MEGABYTES = 24  # beyond what the process has before its step


@contextmanager
def small_disk() -> Iterator[Settings]:
    """A home on a small disk; skipped where mounting is not allowed."""
    folder = Path(tempfile.mkdtemp(prefix="perennial-test-"))
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK_MEGABYTES}m,mode=755", "tmpfs", str(folder)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if mounted.returncode:
        folder.rmdir()
        pytest.skip(f"no tmpfs can be mounted here: {mounted.stderr.strip()}")
    ports = free_ports()
    settings = Settings(home=folder / "home", source="canonical", **ports)
    try:
        yield settings
    finally:
        ballast(settings).unlink(missing_ok=True)
        postgres.stop(settings)
        subprocess.run(["umount", "-l", str(folder)], check=True)
        folder.rmdir()


def ballast(settings: Settings) -> Path:
    return settings.home.parent / "ballast"


def fill(settings: Settings, left_kilobytes: int) -> None:
    """Fill the disk but for `left_kilobytes`, whatever Postgres allocates or frees meanwhile."""
    with ballast(settings).open("wb") as file:
        while (room := shutil.disk_usage(settings.home).free // 1024 - left_kilobytes) > 0:
            with suppress(OSError):  # another process was quicker
                os.posix_fallocate(file.fileno(), 0, file.seek(0, os.SEEK_END) + room * 1024)


def make_room(settings: Settings) -> None:
    ballast(settings).unlink()


def run(settings: Settings, step: str, task: Task, memory: int | None = None) -> tuple[int, str]:
    # not on the home's disk: that may be full
    log = Path(tempfile.gettempdir()) / f"perennial-step-{os.getpid()}.log"
    log.unlink(missing_ok=True)
    work = Work(step, task, log, memory_megabytes=memory)
    code = work.wait(300)
    text = log.read_text()
    log.unlink()
    assert code is not None, f"{step} hangs"
    return code, text


def connected(settings: Settings) -> psycopg.Connection:
    return psycopg.connect(settings.dsn("bi_reader"), autocommit=True)


def scores(reader: psycopg.Connection) -> list[tuple]:
    """A count per view that reveals any change for a reader."""
    return [tuple(reader.execute(query)) for query in readers.queries().values()]


def may_log_in(settings: Settings) -> bool:
    """Whether one more reader can log in; otherwise the error must name the full disk."""
    try:
        connected(settings).close()
    except psycopg.OperationalError as error:
        if "No space left" not in str(error):
            raise
        return False
    return True


def test_a_full_disk_is_named_and_leaves_the_last_scores(tmp_path: Path) -> None:
    shop, seen, refused = chain.shop(), [], 0
    with small_disk() as settings:
        postgres.start(settings)
        registry.initialise(settings)
        task = Task(settings, DAY, chain.write_files(shop, tmp_path / "files", DAY))
        for step in DAILY:
            code, text = run(settings, step, task)
            assert code == 0, text[-3000:]
        task = replace(
            task, as_of_date=NEXT_DAY, files=chain.write_files(shop, tmp_path / "files", NEXT_DAY)
        )
        for step in DAILY:
            if step in LEFT_KILOBYTES:
                reader = connected(settings)
                before = scores(reader)
                fill(settings, LEFT_KILOBYTES[step])
                code, text = run(settings, step, task)
                is_up = postgres.is_running(settings)
                message = text
                if is_up and code == 0:
                    message = "room enough"
                elif not is_up:
                    with pytest.raises(SettingsError) as error:
                        postgres.start(settings)  # as `make run` does
                    message = str(error.value)
                assert "No space left" in message or message == "room enough", message[-3000:]
                if is_up:
                    assert scores(reader) == before
                    refused += not may_log_in(settings)
                reader.close()
                make_room(settings)
                postgres.start(settings)
                with connected(settings) as reader:
                    assert scores(reader) == before
                seen.append(f"{step}: {'failed' if code else 'room enough'}"
                            f"{'' if is_up else ', Postgres stopped'}")  # fmt: skip
            code, text = run(settings, step, task)
            assert code == 0, text[-3000:]
        assert twins.row_count(settings) > 0
    ledger.record(
        "disk full, out of memory",
        f"a home on a tmpfs of {DISK_MEGABYTES} MB, filled up before {', '.join(LEFT_KILOBYTES)}",
        "; ".join(seen) + "; the error says `No space left on device`; a connected reader "
        f"read the scores of before whenever Postgres ran, a new one was refused with the same "
        f"words {refused} times; all were there with room made, and each step ended well",
        injections=len(LEFT_KILOBYTES),
        lost=0,
    )


def test_a_step_without_memory_says_so(start_home, tmp_path: Path) -> None:
    home, twin = start_home("canonical"), start_home("canonical")
    twins.share_key(home, twin)
    seen = []
    files = chain.write_files(chain.shop(), tmp_path / "files", DAY)
    for settings in (home, twin):
        registry.initialise(settings)
    for step in DAILY:
        assert run(twin, step, Task(twin, DAY, files))[0] == 0
        task = Task(home, DAY, files)
        if step in MEMORY_STEPS:
            code, text = run(home, step, task, MORE_MEGABYTES)
            words = ("memory", "bad_alloc", "cannot allocate", "can't start new thread")
            if code:
                assert any(word in text.lower() for word in words), text[-3000:]
            seen.append(f"{step}: {'failed and said so' if code else 'had enough'}")
        code, text = run(home, step, task)
        assert code == 0, text[-3000:]
    differences = twins.differences(home, twin)
    assert not differences, "\n".join(differences)
    ledger.record(
        "disk full, out of memory",
        f"RLIMIT_AS {MORE_MEGABYTES} MB above what the process had, in {', '.join(MEMORY_STEPS)}",
        "; ".join(seen) + "; each ended well with memory, and all rows equal those of a twin",
        injections=len(MEMORY_STEPS),
        lost=len(differences),
    )
