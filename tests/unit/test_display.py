"""What is seen of runs under way: bars on a terminal, plain lines elsewhere, nothing twice."""

from __future__ import annotations

import io
import os
import pty
import re
import subprocess
import sys
from collections import Counter
from datetime import date

import pytest
from rich.console import Console

from local import display, watch
from local.display import Bars, Ended, Lines, Step, display_on
from perennial.settings import REPOSITORY
from tests.unit.scripted_api import CHAIN, follow

FOLLOW = [sys.executable, "-m", "tests.unit.scripted_api"]


def drawn(bars: Bars) -> list[str]:
    """The picture as it stands, a line a row."""
    console = Console(file=io.StringIO(), width=120)
    console.print(bars._table())
    assert isinstance(console.file, io.StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def test_without_a_terminal_each_task_has_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "POLL_SECONDS", 0.0)
    printed = io.StringIO()
    follow(Console(file=printed, width=60))
    lines = printed.getvalue().splitlines()
    assert len(lines) == len(CHAIN)
    assert lines[0].split() == [
        *("2024-03-01", "success", "land.land_task", "74.3", "s"),
        *("landed", "1,067,371,", "batch", "id", "7"),
    ]
    assert "score_churn.score_churn_task" in lines[2]
    assert lines[2].endswith("churn 4,892")
    assert "\x1b" not in printed.getvalue()


def test_a_long_silence_is_broken_once_for_each_thing_at_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [0.0]
    monkeypatch.setattr(display.time, "monotonic", lambda: now[0])
    printed = io.StringIO()
    lines = Lines(Console(file=printed))
    for work in ("train", "train", "train", "publish", "publish"):
        now[0] += 20
        lines.show([Step("score_churn", at_work=[work]), Step("report")])
    assert printed.getvalue().split() == ["…", "score_churn.train", "…", "score_churn.publish"]


def test_in_a_pipe_there_are_lines_and_on_a_terminal_bars() -> None:
    done = subprocess.run(FOLLOW, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert len(done.stdout.splitlines()) == len(CHAIN)
    assert max(Counter(done.stdout.splitlines()).values()) == 1
    shown = in_a_terminal()
    assert "\x1b[1A" in shown  # drawn anew in place
    assert "score_churn waits for build_warehouse" in " ".join(without_codes(shown).split())
    last = without_codes(shown.rsplit("\x1b[1A", 1)[1])
    rows = [line.split() for line in last.splitlines() if line.strip()]
    assert [row[0] for row in rows] == CHAIN  # each step once, and all done
    assert all("1/1" in row and "75" in row for row in rows)
    assert rows[0][-2:] == ["landed", "1,067,371"]


def without_codes(written: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]|\r", "", written)


def in_a_terminal() -> str:
    """What the same program writes where its output is a terminal of 100 by 40."""
    ours, theirs = pty.openpty()
    environment = os.environ | {"COLUMNS": "100", "LINES": "40", "TERM": "xterm-256color"}
    process = subprocess.Popen(FOLLOW, cwd=REPOSITORY, stdout=theirs, env=environment)
    os.close(theirs)
    written = b""
    try:
        while piece := os.read(ours, 4096):
            written += piece
    except OSError:  # as Linux ends a terminal whose last writer is gone
        pass
    os.close(ours)
    assert process.wait() == 0
    return written.decode()


def test_a_terminal_that_can_move_nothing_has_lines() -> None:
    dumb = Console(force_terminal=True, _environ={"TERM": "dumb"})
    assert isinstance(display_on(dumb), Lines)


def test_a_bar_says_what_a_step_does_wrote_and_waits_for() -> None:
    bars = Bars(Console(file=io.StringIO(), width=120, height=20))
    bars.show(
        [
            Step("land", (), 2, 2, 9.0, [], "landed 7", is_done=True),
            Step("build", ("land",), 31, 61, 20.0, ["dbt (30 of 59 tasks)"]),
            Step("score", ("build",)),
            Step("report", ("score", "land")),
        ]
    )
    land, build, score, report = (line.split() for line in drawn(bars))
    assert (land[0], land[-5:]) == ("land", ["2/2", "9", "s", "landed", "7"])
    assert build[2:] == [*("31/61", "20", "s"), *("dbt", "(30", "of", "59", "tasks)")]
    assert score == ["score", "waits", "for", "build"]
    assert report == ["report", "waits", "for", "score"]  # land is done


def test_a_small_terminal_shows_what_is_at_work_before_what_is_done() -> None:
    bars = Bars(Console(file=io.StringIO(), width=120, height=8))
    done = [Step(f"done_{number}", (), 1, 1, is_done=True) for number in range(9)]
    working = [Step(f"working_{number}", (), 1, 2, 1.0, ["x"]) for number in range(3)]
    bars.show([*done, *working, Step("next")])
    names = [line.split()[0] for line in drawn(bars)]
    assert names == ["done_0", "working_0", "working_1", "working_2", "next", "and"]


def test_a_failed_step_is_seen_and_the_picture_stays() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=100, height=20)
    with Bars(console) as bars:
        bars.end(Ended(date(2024, 3, 1), "land", "land_files", "failed", 1.0, ""))
        bars.show([Step("land", (), 1, 2, 3.0, has_failed=True), Step("build", ("land",))])
    assert isinstance(console.file, io.StringIO)
    assert "\x1b[31mland" in console.file.getvalue()
