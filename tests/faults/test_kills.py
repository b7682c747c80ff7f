"""A step is killed at a random moment and run again: the rows are the same."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from benchmarks.steps import DAILY, Task
from perennial import contracts
from tests.conftest import StartHome
from tests.faults import chain, ledger, readers, twins
from tests.faults.homes import ProxiedHome, twin_homes

KILLS = ledger.size(3, 110)
# In `make test`: one question, and as few days as needed.
LEFT_OUT = {*contracts.questions(), "report", "lookback"} - {"churn"}
STEPS = [step for step in DAILY if ledger.is_whole() or step.split()[-1] not in LEFT_OUT]
# Kills of a step before it may finish: dbt takes half a minute, the others seconds.
TIMES = {"dbt": ledger.size((1,), (1, 2))}
OTHER_TIMES = ledger.size((1, 2), (4, 5))
READER_SECONDS = 0.1  # test_readers.py polls every 20 ms


@pytest.fixture(scope="module")
def homes(start_home: StartHome) -> Iterator[tuple[ProxiedHome, ProxiedHome]]:
    yield from twin_homes(start_home)


def killed(
    home: ProxiedHome, twin: ProxiedHome, step: str, task: Task, numbers: random.Random
) -> str:
    """Start a step and kill it at a random moment; return how, or "" if it ended before."""
    moment = numbers.choice(["time", "message", "answer"])
    at = numbers.randint(1, max(1, twin.messages[step]))
    pid: list[int] = []

    def strike() -> None:
        while not pid:
            time.sleep(0.001)
        with suppress(ProcessLookupError):
            os.killpg(pid[0], signal.SIGKILL)

    home.proxy.expect(0 if moment == "time" else at, strike, is_sent_first=moment == "answer")
    work = home.start(step, task)
    pid.append(work.pid)
    if moment == "time":
        work.wait(numbers.uniform(0.01, twin.seconds[step]))
        return "at a random time" if work.kill() else ""
    code = work.wait(300)
    assert code in (0, -signal.SIGKILL), f"{step}: {home.log.read_text()[-4000:]}"
    how = "before a statement was sent" if moment == "message" else "with the answer under way"
    return how if code else ""


def test_a_killed_step_runs_again_to_the_same_rows(
    homes: tuple[ProxiedHome, ProxiedHome], tmp_path: Path
) -> None:
    home, twin = homes
    numbers = ledger.draw("kills")
    shop = chain.shop()
    kills: Counter[str] = Counter()
    ways: Counter[str] = Counter()
    publications = readers.Publications(home.settings)
    days = iter(chain.DAYS)
    reader = None
    dates = 0
    with readers.reading(home.settings, READER_SECONDS) as stop:
        while sum(kills.values()) < KILLS:
            day = next(days)
            dates += 1
            files = chain.write_files(shop, tmp_path / "files", day)
            for step in STEPS:
                task = Task(twin.settings, day, files)
                twin.run(step, task)
                for _ in range(numbers.choice(TIMES.get(step, OTHER_TIMES))):
                    way = killed(home, twin, step, task, numbers)
                    publications.note()
                    if way:
                        kills[step.split()[0]] += 1
                        ways[way] += 1
                home.run(step, task)
                publications.note()
        reader = stop()
    differences = twins.differences(home.settings, twin.settings)
    assert not differences, "\n".join(differences)
    assert not readers.wrong_answers(reader, publications)
    assert not reader.errors
    ledger.record(
        "a task dies",
        f"{sum(kills.values())} SIGKILLs over {dates} dates: "
        + ", ".join(f"{step} {count}" for step, count in kills.items())
        + "; "
        + ", ".join(f"{way} {count}" for way, count in ways.items()),
        f"each step run again at once; all {twins.row_count(home.settings):,} rows of raw to "
        f"reporting, ops and the registry equal those of a twin that nobody killed; a reader got "
        f"no error and no empty, partial or mixed answer",
        kills=sum(kills.values()),
        polls=reader.polls,
        lost=len(differences),
    )
